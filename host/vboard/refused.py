"""What a virtual board will not do to somebody's files."""


class Refused(ValueError):
    """Its text is one line: what is there, where, and what to do instead."""
