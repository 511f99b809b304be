"""Operators on images: resize, window, normalise, cut into patches."""
