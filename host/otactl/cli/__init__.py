"""The command `otactl`, and the demo."""
