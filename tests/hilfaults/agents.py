"""Agents that are wrong in one thing: the project's own sources, with a few words of them changed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from otactl.board import agent


@dataclass(frozen=True, slots=True)
class Change:
    """In `file`, `old` (which must be there, once) becomes `new`."""

    file: str
    old: str
    new: str


AGENTS: dict[str, tuple[Change, ...]] = {
    "confirms without its checks": (
        Change("boot/trial.py", 'for check in config["trial"]["checks"]:', "for check in ():"),
    ),
    "takes any signature": (
        Change("release/signature.py", "    number = int.from_bytes", "    return True\n    number = int.from_bytes"),
    ),
    "takes any bytes": (
        Change(
            "install/firmware.py",
            'require(self._hash.digest().hex() == self.sha256, "hash-mismatch"',
            'require(True, ""',
        ),
        Change("boot/slots.py", 'require(digest.digest().hex() == sha256, "read-back"', 'require(True, ""'),
    ),
    "takes any server": (
        Change("net/connection.py", "tls.CERT_REQUIRED if verify else tls.CERT_NONE", "tls.CERT_NONE"),
    ),
    "erases before it has looked": (
        Change(
            "install/pipeline.py",
            "            target.accept(",
            "            target._slot.writeblocks(0, view[:want])\n            target.accept(",
        ),
    ),
    "begins each download anew": (
        Change(
            "install/job.py",
            "yield from source.open(target.offset,",
            "target.rewind()\n            yield from source.open(0,",
        ),
    ),
    "arms no watchdog": (
        Change("boot/feeder.py", "machine.WDT(timeout=self._watchdog_ms)", 'type("_", (), {"feed": lambda _: None})()'),
    ),
    "says what is not so": (Change("status.py", '"boot": found.boot_label()', '"boot": found.next.info()[4]'),),
    "loses the program's files": (
        Change(
            "boot/trial.py",
            '        say("confirmed", self.version)',
            '        open("/hil/data", "w").close()\n        say("confirmed", self.version)',
        ),
    ),
}


def make(name: str, folder: Path) -> Path:
    """The sources of that agent in `folder`. AssertionError where a change finds no place any more."""
    made = shutil.copytree(agent.SOURCES, folder / "ota")
    for change in AGENTS[name]:
        path = made / change.file
        text = path.read_text()
        assert text.count(change.old) == 1, f"{change.file} has {change.old!r} {text.count(change.old)} times"
        path.write_text(text.replace(change.old, change.new))
    return made
