"""The page of `otactl serve`: who runs what, for people with a browser."""
