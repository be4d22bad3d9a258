"""Data sets and batched image transforms."""
