"""A look at a channel, whole and unchanged: bytes, time, heap; and thirty boards' at once. Nothing passes or fails by a time."""

import json
from hashlib import sha256

import rig as rigs
from rig import ADDRESS, HOST, PORT, Rig, started

from bench.looks import crowd, relay

BOARDS = 30
LOOKS = """
import gc, json, time
from ota import agent, release
def look(whole):
    if whole:
        release.unchanged.keep(None)
    gc.collect()
    began = time.ticks_us()
    agent.check()
    return time.ticks_diff(time.ticks_us(), began)
agent.check()
agent.check()
"""
ONE = """
gc.collect()
gc.threshold(-1)
_us = look({whole})
_taken = gc.mem_alloc()
gc.collect()
print("TOLD", json.dumps([_us, _taken - gc.mem_alloc()]))
"""


def test_look_whole_and_unchanged(rig: Rig) -> None:
    """The time in this VM, on this machine: its ratio is what counts; and what a look has left on the heap for the collector."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date", 20)
    server = rig.network.routes[ADDRESS, PORT][1]
    rows = {}
    with relay(server) as wire, rigs.repl(board) as link:
        rig.network.routes[ADDRESS, PORT] = ("127.0.0.1", wire.port)
        link.run(LOOKS)
        for whole in (True, False):
            spent, found = (wire.sent, wire.came), []
            for _ in range(5):
                found.append(json.loads(link.run(ONE.format(whole=whole)).rpartition("TOLD ")[2]))
            us, garbage = sorted(found)[2]
            rows[whole] = (wire.sent - spent[0]) // 5, (wire.came - spent[1]) // 5, us, garbage
    for whole, (sent, came, us, garbage) in rows.items():
        name = "whole" if whole else "unchanged"
        print(
            f"\na look, {name}: {sent} B sent, {came} B received, {us / 1000:.0f} ms here, {garbage} B of heap used",
            end="",
        )
    assert rows[False][1] < rows[True][1]


def test_thirty_boards_look_at_once(rig: Rig) -> None:
    server, ca = rig.network.routes[ADDRESS, PORT][1], rig.workspace.tls / "ca.pem"
    path = "/" + rig.workspace.channel_file.name
    whole, whole_s = crowd(server, ca, HOST, path, BOARDS)
    assert whole == {200}
    same, same_s = crowd(server, ca, HOST, path, BOARDS, _tag(rig))
    assert same == {304}
    print(
        f"\n{BOARDS} clients at once: whole looks {whole_s:.2f} s, unchanged ones {same_s:.2f} s until the last has its answer"
    )


def _tag(rig: Rig) -> str:
    # As the server has it: of the content (server/files.py).
    return f'"{sha256(rig.workspace.channel_file.read_bytes()).hexdigest()[:32]}"'
