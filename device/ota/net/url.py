"""Addresses. Source: RFC 3986."""

from ..errors import require


def split(url: str) -> "tuple[bool, str, int, str]":
    """(whether TLS, host, port, path with query) of an absolute URL. Raises OtaError bad-url."""
    scheme, _, rest = url.partition("://")
    netloc, _, path = rest.partition("/")
    host, _, port = netloc.partition(":")
    port = port or ("443" if scheme == "https" else "80")
    # no smuggled requests, no password that would go into a log, no host but the one that others see in it
    clean = all(32 < ord(c) < 127 for c in url) and not any(c in netloc for c in "@?#[]\\")
    known = scheme in ("http", "https") and bool(host)
    require(clean and known and port.isdigit() and 0 < int(port) < 65536, "bad-url", url[:80])
    return scheme == "https", host, int(port), "/" + path.split("#", 1)[0]


def join(base: str, ref: str) -> str:
    """The absolute URL of `ref` as it stands in the document at `base`; no `..` is resolved."""
    if "://" in ref.split("?", 1)[0]:
        return ref
    if ref[:2] == "//":
        return base.split("/", 1)[0] + ref
    base = base.split("?", 1)[0]
    at = (base + "/").find("/", base.find("://") + 3)
    root, path = base[:at], base[at:]
    return root + (ref if ref[:1] == "/" else path[: path.rfind("/")] + "/" + ref)
