"""Fits from rows that come in chunks: lazy arrays under a memory limit, and dask arrays."""
