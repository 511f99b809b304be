"""Gram matrices of rows and images that were checked; the kernel functions stand on them."""
