"""What turns one app image into another: small files for boards that run the first. docs/deltas.md has the format."""
