"""The synthetic patients of `fastmm.datasets`: who they are, and their scans."""
