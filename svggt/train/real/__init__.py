"""Recorded sequences with depth and poses, as public data sets lay them out."""
