"""The server that boards download from."""
