"""What the larger entries of the configuration may hold, a module each: loaded to check one, then let go."""

from ..errors import require


def digests(raw: list, where: str) -> "list[str]":
    """`raw`, a list of SHA-256 as hex digits, in lower case. Raises OtaError config-invalid."""
    for i, digest in enumerate(raw):
        good = isinstance(digest, str) and len(digest) == 64 and not digest.strip("0123456789abcdefABCDEF")
        require(good, "config-invalid", f"{where}[{i}]")
    return [digest.lower() for digest in raw]
