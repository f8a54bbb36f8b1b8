"""Host tools of the over-the-air update agent: sign, serve, deploy, update."""

__version__ = "0.1.0"
