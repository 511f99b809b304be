"""Regions of interest: masks brought to a scan's grid, cropped to, and measured."""
