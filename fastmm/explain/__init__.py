"""Explaining: what columns, patches and pixels add to a score; `explanation` joins them."""
