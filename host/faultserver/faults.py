"""Faults as values with a text form: `cut:20000`, `status:503:1`, `chunked+cut:20000`.

A step is what goes wrong with one request: a fault, or several joined by `+`. A script is a list of steps, one for
each request; after its last one the server is sound. N counts bytes of the body of that one answer; where the body
is shorter, its last byte is meant.
"""

import difflib
import re
from dataclasses import dataclass
from random import Random


class FaultError(ValueError):
    """The text is no fault; its own text says which there are."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`form` is how it is written, `arguments` the pattern of what follows the name."""

    form: str
    arguments: str
    text: str


_N, _S = r":\d{1,9}", r":\d{1,4}(\.\d{1,3})?"

KINDS = {
    "refuse": Kind("refuse", "", "reset the connection at once, before TLS"),
    "tls-alert": Kind("tls-alert[:CODE]", r"(:\d{1,3})?", "answer the TLS hello with a fatal alert (40)"),
    "bad-cert": Kind("bad-cert", "", "show a certificate that another CA has signed"),
    "cut": Kind("cut:N", _N, "close the connection after N bytes"),
    "reset": Kind("reset:N", _N, "reset the connection (RST) after N bytes"),
    "stall": Kind("stall:N[:S]", f"{_N}({_S})?", "fall silent after N bytes, for S seconds (60)"),
    "trickle": Kind("trickle:R[:S]", f"{_N}({_S})?", "send R bytes a second, for S seconds (all)"),
    "slow-headers": Kind("slow-headers:R", _N, "send the headers at R bytes a second"),
    "garble": Kind("garble:N", _N, "after N bytes, put bytes into the stream that are not TLS"),
    "short": Kind("short:N", _N, "announce N bytes fewer than are sent"),
    "long": Kind("long:N", _N, "announce N bytes more than are sent"),
    "extra": Kind("extra:N", _N, "announce and send N bytes more than the file has"),
    "no-length": Kind("no-length", "", "announce no length: the end is where the connection ends"),
    "flip": Kind("flip:N", _N, "send byte N with all of its bits turned over; the length is right"),
    "chunked": Kind("chunked", "", "send the body in chunks, with no length"),
    "no-range": Kind("no-range", "", "take no notice of Range: the whole file, 200"),
    "wrong-range": Kind("wrong-range", "", "answer with the part that begins 4096 bytes later"),
    "etag": Kind("etag:N", _N, "close after N bytes; from then on the file has another ETag"),
    "status": Kind("status:CODE[:S]", r":[2-5]\d\d(:\d{1,5})?", "answer with that status; S is Retry-After"),
    "redirect": Kind(
        "redirect:CODE[:same|other-host|http]",
        ":30[12378](:(same|other-host|http))?",
        "redirect to this URL again, to the other host, or to http:",
    ),
    "keep": Kind(
        "keep[:close|reset|answer|nonsense|silent]",
        "(:(close|reset|answer|nonsense|silent))?",
        "leave the connection open for another request; then close or reset it, send an answer before anybody has asked, "
        "answer what is no HTTP, or nothing",
    ),
    "http-1.0": Kind("http-1.0", "", "answer as HTTP/1.0"),
    "redirect-loop": Kind("redirect-loop", "", "redirect to itself for ever, until asked anew"),
}
# What happens before the request is read, so whatever it asks for.
AT_CONNECTION = frozenset({"refuse", "tls-alert", "bad-cert"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; made by `parse`."""

    kind: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ":".join((self.kind, *self.arguments))

    def number(self, index: int, default: float = 0) -> float:
        """An argument as a number; `default` where it was left out."""
        return float(self.arguments[index]) if index < len(self.arguments) else default

    @property
    def n(self) -> int:
        """The first argument: bytes, a rate or a status."""
        return int(self.number(0))


Step = tuple[Fault, ...]


def parse(text: str) -> Step:
    """The step that `text` means; "ok" is a sound answer. Raises FaultError."""
    return () if text == "ok" else tuple(_fault(part) for part in text.split("+"))


def written(step: Step) -> str:
    """The text that `parse` takes."""
    return "+".join(str(fault) for fault in step) or "ok"


def _fault(text: str) -> Fault:
    name, *arguments = text.strip().split(":")
    kind = KINDS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, KINDS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise FaultError(f"no such fault: {name!r}; {hint}--list shows all")
    if not re.fullmatch(kind.arguments, text.strip()[len(name) :]):
        raise FaultError(f"{text.strip()!r} is not written as {kind.form}")
    return Fault(name, tuple(arguments))


def listing() -> str:
    """All faults, a line each."""
    width = max(len(kind.form) for kind in KINDS.values())
    return "\n".join(f"{kind.form:{width}}  {kind.text}" for kind in KINDS.values())


def random_script(rng: Random, size: int, most: int = 4) -> list[Step]:
    """1 to `most` random faults, for a file of `size` bytes. Waits are short: meant for tests."""
    return [parse(_random(rng, size)) for _ in range(rng.randint(1, most))]


def _random(rng: Random, size: int) -> str:
    n = rng.randrange(size)
    few = rng.choice((1, 10, 4096))
    code = rng.choice((404, 408, 429, 500, 502, 503))
    # What a network does comes more often than what a broken server does.
    often = [f"cut:{n}", f"reset:{n}", f"stall:{n}:2", f"garble:{n}", f"etag:{n}", "refuse"]
    often += [f"status:{rng.choice((429, 500, 503))}:1", f"chunked+cut:{n}", "no-range"]
    seldom = [f"flip:{n}", f"short:{few}", f"long:{few}", f"extra:{few}", "no-length", "chunked"]
    seldom += ["wrong-range", f"status:{code}", "tls-alert", "bad-cert", "redirect-loop"]
    seldom += [f"redirect:{rng.choice((301, 302, 307))}:{rng.choice(('same', 'other-host'))}"]
    seldom += ["redirect:302:http", "trickle:20000:0.5", "slow-headers:50", f"no-length+cut:{n}"]
    return rng.choice(often if rng.random() < 0.6 else seldom)
