"""Host tools of the over-the-air update agent: sign, serve, deploy, update."""
