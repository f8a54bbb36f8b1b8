"""Who runs what: the boards that have looked at this server, what they said of themselves, and whom a release is offered."""
