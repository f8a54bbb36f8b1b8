"""Releases: firmware in, a signed envelope out."""
