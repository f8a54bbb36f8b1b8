"""The one exception that leaves the agent (P10). Its `code` is short and stable: it is kept across a reset and shown
on the host, which has the sentence for people."""

import sys


def clean(text: object) -> str:
    """At most 80 characters, all of them printable ASCII: what the record has room for, and a console shows as it is."""
    return "".join([c if " " <= c <= "~" else "?" for c in str(text)[:80]])


class OtaError(Exception):
    """`detail`: one short fact, a number or a name; on the console it is one line, whoever has sent it. `wait_s`: what a
    busy server asked for, in seconds."""

    def __init__(self, code: str, detail: object = "", wait_s: int = 0) -> None:
        self.code, self.detail, self.wait_s = code, clean(detail), wait_s
        super().__init__(code, self.detail)

    def __str__(self) -> str:
        return f"{self.code} {self.detail}".rstrip()


def require(good: object, code: str, detail: object = "") -> None:
    """Raise OtaError unless `good`."""
    if not good:
        raise OtaError(code, detail)


def fits(value: object, kinds: tuple, least: int, most: int) -> bool:
    """Whether `value` is of one of `kinds`, or one of the words there, and its number or length in the limits."""
    if type(value) not in kinds:  # not isinstance(): true is no number
        return value in kinds
    return least <= (len(value) if isinstance(value, (str, list, dict)) else value) <= most  # type: ignore


def coded(e: Exception) -> OtaError:
    """`e` with a code: itself, `no-memory`, or `agent-error` for what nobody foresaw, which is shown whole."""
    if isinstance(e, OtaError):
        return e
    if isinstance(e, MemoryError):
        return OtaError("no-memory", str(e)[:40])
    sys.print_exception(e)  # type: ignore[attr-defined]
    return OtaError("agent-error", repr(e)[:80])
