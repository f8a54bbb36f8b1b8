"""Looks at a channel that stands still: what is asked for, what of an answer is believed, over real TLS. Judged by what the
server was asked for and sent, and by what the agent says of the release."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from faultbench import Bench, opened
from faultserver import exchange, faults
from otactl.board.link import Link
from otactl.release import channels, envelope
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace
from rig import NEW

LOOK = """
import json, time, machine
from ota import agent
from ota.boot import record
from ota.errors import OtaError
def look():
    try:
        return (agent.check() or {"version": "nothing"})["version"]
    except OtaError as e:
        return str(e)
def clock(seconds):
    now = time.gmtime(time.time() + seconds)
    machine.RTC().datetime((now[0], now[1], now[2], 0, now[3], now[4], now[5], 0))
def midnight():
    return 86400 - time.time() % 86400
def edit(path, change):
    with open(path) as f:
        held = json.load(f)
    change(held)
    with open(path, "w") as f:
        json.dump(held, f)
def configured(**changes):
    edit("/etc/ota/config.json", lambda held: held.update(changes))
"""
NOTHING = "nothing"  # is newer
ALL, SAME = (200, NOTHING), (304, NOTHING)


class Looks:
    """A board at its prompt, in one run of its program."""

    def __init__(self, bench: Bench, link: Link) -> None:
        self.bench, self._link = bench, link

    def run(self, code: str) -> str:
        """What the board prints."""
        return self._link.run(code)

    def look(self, *script: str) -> tuple[int, str]:
        """The status that the channel was answered with, and what the agent says."""
        self.bench.events.clear()
        self.bench.server.match = "*.json"
        self.bench.server.script([faults.parse(text) for text in script])
        said = self._link.run("print(look())", timeout_s=30).split("\n")[-2].strip()
        self.bench.server.settle()
        event = self.bench.events[-1]  # before it, perhaps, a question for the date
        assert event.sent == (0 if event.status == 304 else event.whole)
        return event.status, said

    def channel(self, **changes: Any) -> None:
        """The channel's release with other entries, signed by its key."""
        place = self.bench.rig.workspace
        payload = (channels.current(place) or {}) | changes
        place.channel_file.write_bytes(envelope.seal(payload, [keys.load(place.key_file)]))


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[Looks]:
    with opened(tmp_path_factory.mktemp("unchanged"), place, template) as bench, rigs.repl(bench.board) as link:
        link.run(LOOK)
        yield Looks(bench, link)


@pytest.fixture(autouse=True)
def known(looks: Looks) -> Iterator[None]:
    """The channel names what runs, and the board has been told so in this run."""
    held = looks.bench.rig.workspace.channel_file.read_bytes()
    looks.run("if midnight() < 7200:\n    clock(midnight() + 60)")  # no test meets a midnight that it has not made
    assert [looks.look(), looks.look()] == [ALL, SAME]
    yield
    looks.bench.rig.workspace.channel_file.write_bytes(held)
    looks.run("configured(product='demo')")
    looks.run("from ota import release\nrelease.let_go('unchanged')\nrecord.load().note('heard', None)")


def test_unchanged_channel_costs_no_envelope_and_no_signature(looks: Looks) -> None:
    looks.run("from ota.release import signature\nheld, signature.verify_pss = signature.verify_pss, None")
    assert [looks.look() for _ in range(3)] == [SAME] * 3
    looks.run("signature.verify_pss = held")


# what comes between two looks; what the second is answered with, and says
STALE: dict[str, tuple[str, tuple[int, str]]] = {
    "a night": ("clock(midnight())", ALL),
    "a clock that is set back": ("clock(-7200)", ALL),
    "another product": ("configured(product='toaster')", (200, "wrong-product demo")),
    "another key beside": (
        "edit('/etc/ota/keys.json', lambda held: held.update({'a' * 64: hex(int(list(held.values())[0], 16) - 2)}))",
        ALL,
    ),
    "a reset": ("release.unchanged.keep(None)", ALL),
}


@pytest.mark.parametrize(("between", "answer"), STALE.values(), ids=STALE)
def test_look_is_whole_after(between: str, answer: tuple[int, str], looks: Looks) -> None:
    looks.run("from ota import release\nback = time.time()\n" + between)
    assert looks.look() == answer
    looks.run("clock(back - time.time())")


def test_newer_release_is_offered_at_every_look(looks: Looks) -> None:
    looks.bench.rig.forge(NEW, version="9.0.0")
    assert [looks.look(), looks.look()] == [(200, "9.0.0")] * 2


def test_release_that_expires_in_the_meantime_is_told_whatever_the_server_says(looks: Looks) -> None:
    expires = looks.run("print('%04d-%02d-%02dT%02d:%02d:%02dZ' % time.gmtime(time.time() + 3600)[:6])").strip()
    looks.channel(expires=expires)
    assert [looks.look(), looks.look()] == [ALL, SAME]
    looks.run("back = time.time()\nclock(4000)")
    assert looks.look("status:304") == (304, "http-status 304")  # nobody has asked for that
    assert looks.look() == (200, f"expired {expires}")
    looks.run("clock(back - time.time())")


def test_who_answers_304_to_everything_withholds_and_no_more(looks: Looks) -> None:
    looks.bench.rig.forge(NEW, version="9.1.0")
    assert looks.look("status:304") == SAME  # P8: withheld, as by the old file
    looks.run("back = time.time()\nclock(midnight())")
    assert looks.look("status:304") == (304, "http-status 304")
    looks.run("clock(back - time.time())")
    assert looks.look() == (200, "9.1.0")


def test_channel_from_before_is_replayed_though_its_tag_was_known(looks: Looks) -> None:
    before = looks.bench.rig.workspace.channel_file.read_bytes()
    looks.bench.rig.forge(NEW, version="9.2.0", target__size=0x1B0001)
    assert looks.look()[1].startswith("too-big")
    looks.bench.rig.workspace.channel_file.write_bytes(before)
    assert looks.look() == (200, "replayed 1")


def test_server_without_tags_is_asked_for_all(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `python -m http.server`: the date of the last change is none, a release may come in the same second."""
    right = exchange.Folder.answer

    def dated(self: exchange.Folder, request: exchange.Request) -> exchange.Reply:
        if "if-none-match" in request.headers:
            return exchange.Reply(304)
        found = right(self, request)
        found.headers["Last-Modified"] = "Tue, 24 Nov 2026 15:46:00 GMT"
        del found.headers["ETag"]
        return found

    looks.run("from ota import release\nrelease.unchanged.keep(None)")
    monkeypatch.setattr(exchange.Folder, "answer", dated)
    assert [looks.look(), looks.look()] == [ALL] * 2
