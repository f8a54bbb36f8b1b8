"""What a release is, and whether this board may take it."""
