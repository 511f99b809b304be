"""The command ``fastmm bench``: what this machine gives, and how much of it fastmm takes."""
