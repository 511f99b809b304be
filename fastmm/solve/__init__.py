"""Closed-form solvers, pure functions first and thin estimators above them."""
