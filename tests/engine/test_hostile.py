"""An engine that is hostile, or broken: it gets nowhere (P8), the slot that runs is untouched, and the next look works."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.board.link import Link
from otactl.release import archive, envelope, swu
from otactl.release.ledger import RELEASE
from otactl.workspace import keys
from rig import NEW, OLD, boots, forged, image, repl, slot_bytes, touched
from vboard.flash.otadata import State

from engine.fleet import HOST, Fleet
from engine.served import Answer, Asked, Reply, Served, as_json

ELSEWHERE, ITS_ADDRESS = "elsewhere.test", "10.0.0.66"
BASE = f"https://{HOST}:{rigs.PORT}/DEFAULT/controller/v1/lamp"
ACTION = {"_links": {"deploymentBase": {"href": f"{BASE}/deploymentBase/4"}}}

CANCELLED = {"_links": {"cancelAction": {"href": f"{BASE}/cancelAction/4"}}}


def packed(sealed: bytes, **changes: Any) -> bytes:
    """A .swu with that envelope."""
    return b"".join(
        archive.member(*one) for one in (("sw-description", b"software"), (RELEASE, sealed), ("TRAILER!!!", b""))
    )


def offering(file: bytes, at: str = f"{BASE}/download", name: str = "lamp.swu") -> Answer:
    """An engine that always offers that file."""

    def answer(asked: Asked) -> Reply:
        if asked.method != "GET":
            return Reply(200)
        if asked.path.endswith("/download"):
            return Reply(200, file)
        if asked.path.endswith("/deploymentBase/4"):
            artifact = {"filename": name, "_links": {"download": {"href": at}}}
            return as_json({"deployment": {"update": "forced", "chunks": [{"artifacts": [artifact]}]}})
        return as_json(ACTION)

    return answer


def saying(*replies: Any) -> Answer:
    """An engine that answers the first request of a look by the first of these, and so on; the last one for ever."""
    left = list(replies)

    def answer(_: Asked) -> Reply:
        said = left.pop(0) if len(left) > 1 else left[0]
        return said if isinstance(said, Reply) else as_json(said)

    return answer


def to(address: str, status: int = 302) -> Reply:
    return Reply(status, b"", (("Location", address),))


class Scene:
    """A board that asks an engine, which `server` is, and another host that engines may send it to."""

    def __init__(self, rig: rigs.Rig, server: Served, elsewhere: Served, fleet: Fleet) -> None:
        self.rig, self.server, self.elsewhere, self.fleet = rig, server, elsewhere, fleet
        self.key = keys.load(rig.workspace.key_file)

    def release(self, *, sign: Any = None, **changes: Any) -> bytes:
        """A .swu of a release of NEW, with `changes`, as rig.forged() takes them."""
        payload = forged(NEW, **({"sequence": 9} | changes))
        return packed(envelope.seal(payload, [sign or self.key]))


def wrong_software(scene: Scene) -> Answer:
    return offering(NEW, name="esp32.bin")


def image_as_swu(scene: Scene) -> Answer:
    return offering(NEW)


def endless_member(scene: Scene) -> Answer:
    head = archive.member("sw-description", b"")
    return offering(head[:54] + b"7FFFFFFF" + head[62:] + bytes(4096))


def lower_version(scene: Scene) -> Answer:
    return offering(scene.release(sequence=1, version="1.0.0"))


def other_product(scene: Scene) -> Answer:
    return offering(scene.release(product="heater"))


def strangers_key(scene: Scene) -> Answer:
    return offering(scene.release(sign=rsa.generate_private_key(65537, 3072)))


def changed_envelope(scene: Scene) -> Answer:
    good = scene.release()
    at = good.index(b'"payload"') + 40
    return offering(good[:at] + (b"A" if good[at : at + 1] != b"A" else b"B") + good[at + 1 :])


def cut_short(scene: Scene) -> Answer:
    return offering(scene.release()[:700])


def elsewhere_for_the_file(scene: Scene) -> Answer:
    scene.elsewhere.answer = lambda _: Reply(200, scene.release(product="heater"))
    return offering(b"", at=f"https://{ELSEWHERE}:{rigs.PORT}/lamp.swu")


def elsewhere_for_the_action(scene: Scene) -> Answer:
    return saying({"_links": {"deploymentBase": {"href": f"https://{ELSEWHERE}:{rigs.PORT}/4"}}})


def elsewhere_by_redirect(scene: Scene) -> Answer:
    scene.elsewhere.answer = lambda _: as_json({})
    return saying(to(f"https://{ELSEWHERE}:{rigs.PORT}/poll"))


def elsewhere_for_the_answer(scene: Scene) -> Answer:
    usual = offering(scene.release(product="heater"))
    return lambda asked: usual(asked) if asked.method == "GET" else to(f"https://{ELSEWHERE}:{rigs.PORT}/told", 307)


def endless_redirect(scene: Scene) -> Answer:
    return saying(to(BASE))


CASES: dict[
    str, tuple[Callable[[Scene], Answer], str, str]
] = {  # what it does, how the look ends, what the board answers
    "another file than a .swu": (wrong_software, "engine-reply no .swu", "failure"),
    "an image that is called .swu": (image_as_swu, "engine-reply swu", "failure"),
    "a member without end": (endless_member, "engine-reply swu", "failure"),
    "a .swu that is cut short": (cut_short, "engine-reply swu", "failure"),
    "a lower version": (lower_version, "older", "failure"),
    "another product": (other_product, "wrong-product", "failure"),
    "a stranger's key": (strangers_key, "unknown-key", "failure"),
    "a changed envelope": (changed_envelope, "bad-signature", "failure"),
    "a file elsewhere, of another product": (elsewhere_for_the_file, "wrong-product", "failure"),
    "an action elsewhere": (elsewhere_for_the_action, "engine-reply elsewhere", ""),
    "a redirect elsewhere": (elsewhere_by_redirect, "up-to-date", ""),
    "an answer that is redirected": (elsewhere_for_the_answer, "wrong-product", "failure"),
    "a redirect without end": (endless_redirect, "too-many-redirects", ""),
    "an action without end that is none": (lambda _: saying(ACTION, Reply(200, b"null"), ACTION), "up-to-date", ""),
    "an action that is over": (lambda _: saying(ACTION, Reply(410)), "up-to-date", ""),
    "a megabyte": (lambda _: saying(Reply(200, b"{}" + b" " * (1 << 20))), "engine-reply too long", ""),
    "no JSON": (lambda _: saying(Reply(200, b"<html>")), "engine-reply no JSON", ""),
    "JSON without end": (lambda _: saying(Reply(200, b"[" * 4000)), "engine-reply no JSON", ""),
    "another kind of JSON": (lambda _: saying([1, 2]), "up-to-date", ""),
    "links that are none": (lambda _: saying({"_links": [{"deploymentBase": 7}]}), "up-to-date", ""),
    "an action of another kind": (
        lambda _: saying(ACTION, {"deployment": ["chunks"]}),
        "engine-reply no .swu",
        "failure",
    ),
    "its token refused": (lambda _: saying(Reply(401, b"{}")), "engine-token 401", ""),
    "its token refused once it has an action": (lambda _: saying(ACTION, Reply(403)), "engine-token 403", ""),
    "a cancellation without end": (lambda _: saying(CANCELLED), "up-to-date", ""),
    "a server without DDI": (lambda _: saying(Reply(404)), "http-status 404", ""),
}


LOOK = """
from ota import agent
from ota.errors import OtaError
try:
    agent.update(lambda *_: None)
except OtaError as e:
    print("ENDED", e)
"""


def refused(link: Link) -> str:
    """One look; how it ends: code and detail."""
    return link.run(LOOK, timeout_s=60).rpartition("ENDED ")[2].strip()


@pytest.fixture
def scene(rig: rigs.Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in ("engine", "elsewhere"):
        (tmp_path / name).mkdir()
    server = Served(rig.workspace, tmp_path / "engine", [HOST], saying({}))
    elsewhere = Served(rig.workspace, tmp_path / "elsewhere", [ELSEWHERE], saying({}))
    rig.network.hosts[ELSEWHERE] = ITS_ADDRESS
    rig.network.routes[ITS_ADDRESS, rigs.PORT] = ("127.0.0.1", elsewhere.port)
    yield Scene(rig, server, elsewhere, Fleet(rig, server.port, monkeypatch))
    server.close()
    elsewhere.close()


def test_hostile_engine_gets_nowhere(scene: Scene) -> None:
    rig = scene.rig
    rig.publish("1.0.5", OLD)  # what the board has, under the second sequence
    board = rig.board(heap_kib=152)
    board.power_on()
    board.wait_text("ota: up-to-date 1.0.5", 20)
    rigs.configure(board, ddi={"url": f"https://{HOST}:{rigs.PORT}", "id": "lamp", "token": "mark-of-the-token"})
    before = len(board.flash.trace)
    found = {}
    with repl(board) as link:
        for name, (begin, code, _) in CASES.items():
            scene.server.answer, asked = begin(scene), len(scene.server.asked)
            ended = refused(link)
            new = scene.server.asked[asked:]
            closed = [one.said["status"] for one in new if re.search("/deploymentBase/.*/feedback", one.path)]
            found[name] = ended if " " in code else ended.split()[0], closed[-1]["result"]["finished"] if closed else ""
            assert len(new) <= 5, (name, [one.path for one in new])  # a look ends
            assert not closed or closed[-1]["details"][0].startswith(code), name
    assert found == {name: row[1:] for name, row in CASES.items()}
    assert boots(board) == ("ota_0", State.VALID)
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
    assert not touched(board, "ota_1", before)
    assert len(scene.elsewhere.asked) == 2
    assert not [one for one in scene.elsewhere.asked if "authorization" in one.headers]
    assert {one.headers["authorization"] for one in scene.server.asked} == {"TargetToken mark-of-the-token"}

    rig.publish("1.1.0", image(7))
    scene.server.answer = offering(swu.write(rig.workspace, "1.1.0").path.read_bytes())
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 60)
    board.wait_text("ota: up-to-date 1.1.0", 20)
    assert "mark-of-the-token" not in board.text
    assert boots(board) == ("ota_1", State.VALID)
