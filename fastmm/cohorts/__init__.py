"""Cohorts: the tables, labels and files that a cohort file names; `cohort` joins them."""
