"""Random sequences of network faults: `make soak SEED=7`; one of them again: `make soak SEED=7 ONLY=17`.

Each sequence is one update, from the same start state, of a board whose server goes wrong 1 to 4 times and is sound
then. It ends with the right image in the slot, or with a code that one of its faults explains; then the next update,
with nothing in its way, goes in. Flash and otadata are read from outside: the agent's word is not taken for it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
import rig as rigs
from faultbench import INSTALLED, LEAK, Bench, opened
from faultserver.faults import Fault, Step, parse, random_script, written
from otactl.board.link import Link
from otactl.workspace.workspace import Workspace
from rig import OLD, boots, image, slot_bytes, touched
from vboard.flash.otadata import State

SEED = os.environ.get("SEED") or "1"
COUNT = int(os.environ.get("SOAK") or 20)  # sequences
ONLY = os.environ.get("ONLY")
NUMBERS = [int(ONLY)] if ONLY else range(1, COUNT + 1)
IMAGE = image(77, size=66 << 10)
TRIES = 3

# The start state: this job and what it has left forgotten, the other slot blank, the running one confirmed.
RESTORE = f"""
from esp32 import NVS, Partition
nvs, room = NVS("ota"), bytearray(1024)
running = Partition(Partition.RUNNING)
other = running.get_next_update()
start = {{}}
for key in ("job0", "job1", "state0", "state1"):
    try:
        start[key] = bytes(room[:nvs.get_blob(key, room)])
    except OSError:
        start[key] = None
def forget(key):
    try:
        nvs.erase_key(key)
    except OSError:
        pass
def restore():
    for key, was in start.items():
        nvs.set_blob(key, was) if was else forget(key)
    forget("offset")
    nvs.commit()
    if Partition(Partition.BOOT).info()[4] != running.info()[4]:
        running.set_boot()
        Partition.mark_app_valid_cancel_rollback()
    for block in range({len(IMAGE) // 4096 + 1}):
        other.ioctl(6, block)
from ota.net import link
fetch = link.fetch
def quick(config, url, **more):
    config["read_timeout_s"] = 0.4
    return fetch(config, url, **more)
link.fetch = quick
"""

# What each fault may end an update with; a fault that is not here never does.
CODES = {
    "refuse": {"dropped", "connect"},
    "tls-alert": {"tls"},
    "bad-cert": {"cert-untrusted"},
    "cut": {"dropped"},
    "etag": {"dropped"},
    "reset": {"dropped"},
    "stall": {"stalled"},
    "slow-headers": {"stalled"},
    "garble": {"tls"},
    "short": {"size-mismatch", "bad-range"},
    "long": {"size-mismatch", "bad-range"},
    "extra": {"size-mismatch", "bad-range"},
    "flip": {"hash-mismatch", "not-an-image", "wrong-chip", "no-descriptor"},
    "wrong-range": {"bad-range"},
    "status": {"http-status"},
    "redirect-loop": {"too-many-redirects"},
    "redirect": {"redirect-to-http"},
}
# What a fault of the release file may end it with besides.
RELEASE_CODES = {
    "short": {"envelope-not-json"},
    "long": {"dropped"},
    "extra": {"envelope-not-json", "envelope-too-big"},
    "flip": {"envelope-not-json", "envelope-type", "unknown-key", "bad-signature"},
    "wrong-range": {"envelope-not-json", "bad-range"},
    "cut": {"envelope-not-json"},  # with no-length: nothing says that more should come
}
PASSING = {
    "refuse",
    "wrong-range",
    "tls-alert",
    "cut",
    "etag",
    "reset",
    "stall",
    "slow-headers",
    "garble",
}
HARMLESS = {"trickle", "no-length", "chunked", "no-range"}


class Sequence(NamedTuple):
    number: int
    script: list[Step]
    match: str


def sequence(number: int) -> Sequence:
    """The same for the same seed, whichever others run."""
    rng = Random(f"{SEED}/{number}")
    match = "*" if rng.random() < 0.3 else "*.bin"
    return Sequence(number, random_script(rng, len(IMAGE)), match)


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[tuple[Bench, Link]]:
    """A board at its prompt, with a release to take; at the end it takes it, and its trial ends well."""
    with opened(tmp_path_factory.mktemp("soak"), place, template) as bench:
        bench.rig.publish("1.1.0", IMAGE)
        with rigs.repl(bench.board) as link:
            bench.warm_up(link)
            link.run(RESTORE)
            yield bench, link
            link.run("restore()", timeout_s=20)
            assert bench.run(link, [])[0] == INSTALLED
        bench.board.reset()
        bench.board.wait_text("ota: up-to-date 1.1.0", 30)
        assert boots(bench.board) == ("ota_1", State.VALID)


@pytest.mark.parametrize("number", NUMBERS)
def test_sequence(soaked: tuple[Bench, Link], number: int, record_property: Callable[[str, object], None]) -> None:
    bench, link = soaked
    told = sequence(number)
    print(f"seed {SEED}, sequence {number}, for {told.match}: {[written(s) for s in told.script]}")
    record_property("again", f"make soak SEED={SEED} ONLY={number}")
    link.run("restore()", timeout_s=20)
    assert boots(bench.board) == ("ota_0", State.VALID)
    entries, trace = rigs.otadata(bench.board), len(bench.board.flash.trace)
    code, lost = bench.run(link, [written(step) for step in told.script], told.match)
    record_property("soak", code)
    print(*bench.events, sep="\n")
    assert code in explained(bench), f"{code} is explained by none of the faults"
    if code == INSTALLED:
        holds_the_image(bench)
    else:
        assert rigs.otadata(bench.board) == entries
        assert not curable(bench), f"{code}, where another try was due"
        assert bench.run(link, [])[0] == INSTALLED
        holds_the_image(bench)
    assert slot_bytes(bench.board, "ota_0", len(OLD)) == OLD
    assert not touched(bench.board, "ota_0", trace)
    assert abs(lost) <= LEAK


def holds_the_image(bench: Bench) -> None:
    assert slot_bytes(bench.board, "ota_1", len(IMAGE)) == IMAGE
    assert boots(bench.board) == ("ota_1", State.NEW)


def applied(bench: Bench) -> list[tuple[Fault, bool]]:
    """The faults that have come to pass, and whether each was of the release file."""
    found = [(parse(event.fault), ".json" in event.request) for event in bench.events]
    return [(fault, of_release) for step, of_release in found for fault in step]


def explained(bench: Bench) -> set[str]:
    codes = {INSTALLED}
    for fault, of_release in applied(bench):
        codes |= CODES.get(fault.kind, set())
        codes |= RELEASE_CODES.get(fault.kind, set()) if of_release else set()
    return codes


def curable(bench: Bench) -> bool:
    """Whether all that went wrong passes with time, and not too often for the agent's tries."""
    found = [fault for fault, _ in applied(bench) if not harmless(fault)]
    cut_unseen = any(len(parse(event.fault)) > 1 for event in bench.events)  # no-length+cut
    return not cut_unseen and all(map(passing, found)) and len(found) < TRIES


def passing(fault: Fault) -> bool:
    if fault.kind == "status":
        return fault.n in (408, 429) or fault.n >= 500
    return fault.kind in PASSING


def harmless(fault: Fault) -> bool:
    return fault.kind in HARMLESS or (fault.kind == "redirect" and "http" not in fault.arguments)
