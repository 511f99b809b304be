"""Validation: how sure a score is."""
