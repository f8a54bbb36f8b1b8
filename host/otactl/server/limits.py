"""How many boards a server may have at once: as many as the system lets it open files and connections."""

import contextlib

try:
    import resource
except ImportError:  # Windows, which sets no such limit
    resource = None  # type: ignore[assignment]

_EACH = 3  # of a download: the connection, what watches how much of it is taken, the file
_OWN = 64  # of the server itself
_MOST = 65536  # nobody has so many boards, and some systems say "no limit"


def boards_at_once() -> int:
    """Raise the limit as far as it goes (macOS starts programs with 256, Linux with 1024). How many boards may download at
    once; 0: no limit is known."""
    if resource is None:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    with contextlib.suppress(OSError, ValueError):  # macOS: kern.maxfilesperproc is less than its "no limit"
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(0, (soft - _OWN) // _EACH)
