"""Replay, freeze and fast-forward: releases that were right once, a channel that stands still, and one that runs ahead."""

import base64
import json
from typing import Any

import pytest
from otactl.release.envelope import PAYLOAD_TYPE, pae
from otactl.workspace import trust

from attacks import forgery
from attacks.bench import Bench, Row

OLDER = "an older release, with its old holes"
HOLE = "a hole that stays open: the board hears of no fix"
LOCKED = "boards that take no release any more"
AHEAD = "a floor of time in the future: no certificate is good any more"
PAST, FUTURE = "2026-01-02T00:00:00Z", "2090-01-01T00:00:00Z"
MOST = 0x7FFFFFFF  # a sequence
BOTH = "/etc/ota/both.json"


def _heard(bench: Bench, ahead: int = 0, **more: Any) -> bytes:
    """Our next release, which is not for this board, has been heard of. Returns the channel as it is now."""
    bench.release(sequence=bench.next() + ahead, target__size=0x1B0001, **more)
    assert bench.look().startswith("too-big")
    return bench.rig.workspace.channel_file.read_bytes()


def _installed_again(bench: Bench) -> None:
    good = bench.rig.workspace.channel_file.read_bytes()
    _heard(bench)
    bench.channel(good)


def _between(bench: Bench) -> None:
    bench.release()
    between = bench.rig.workspace.channel_file.read_bytes()
    _heard(bench, 1)
    bench.channel(between)


def _same_sequence(bench: Bench) -> None:
    sequence = bench.next()
    _heard(bench)
    bench.release(sequence=sequence, published=PAST)


def _frozen(bench: Bench) -> None:
    for _ in range(3):
        assert bench.look().startswith("up-to-date")


def _stretched(bench: Bench) -> None:
    """The date of an old channel file taken forward, without a key."""
    bench.release(expires=PAST)
    made = json.loads(bench.rig.workspace.channel_file.read_bytes())
    content = base64.b64decode(made["payload"]).replace(PAST.encode(), FUTURE.encode())
    assert FUTURE.encode() in content
    bench.channel(json.dumps(made | {"payload": base64.b64encode(content).decode()}).encode())


def _by_one_of_two(bench: Bench) -> None:
    bench.put(BOTH, trust.for_board(bench.ring.document(2, "a", "ar", 1, 2)))
    content = json.dumps(forgery.payload(MOST)).encode()
    bench.channel(forgery.envelope(content, [forgery.signed(bench.key, pae(PAYLOAD_TYPE, content))]))


def _dated_ahead(bench: Bench) -> None:
    good = json.loads(bench.rig.workspace.channel_file.read_bytes())
    runs = json.loads(base64.b64decode(good["payload"]))["targets"][0]["sha256"]
    bench.release(sequence=bench.next() - 1, published=FUTURE, target__sha256=runs)


ROWS = {
    "replay: the release that is installed, once a newer one was heard of": Row("replayed", OLDER, _installed_again),
    "replay: a release that was never installed, once a newer one was heard of": Row("replayed", OLDER, _between),
    "replay: the newest release, as it was published before": Row("replayed", OLDER, _same_sequence),
    "freeze: the same channel for ever, where releases do not expire": Row("up-to-date", HOLE, _frozen),
    "freeze: a channel past its date, of what is installed": Row(
        "expired", HOLE, lambda b: b.release(sequence=b.next() - 1, expires=PAST)
    ),
    "freeze: a channel past its date, of a release that is news": Row(
        "expired", HOLE, lambda b: b.release(expires=PAST)
    ),
    "freeze: a channel past its date, which he takes forward": Row("bad-signature", HOLE, _stretched),
    "freeze: a date that nobody can read": Row("expired", HOLE, lambda b: b.release(expires="soon")),
    "freeze: a number for a date": Row("bad-release", HOLE, lambda b: b.release(expires=5)),
    "fast-forward: the highest sequence, signed with a key of his own": Row(
        "unknown-key", LOCKED, lambda b: b.release(sequence=MOST, sign=b.his_key)
    ),
    "fast-forward: the highest sequence, by one key of the two that have to sign": Row(
        "too-few-signatures", LOCKED, _by_one_of_two, config={"keys": BOTH}
    ),
    "fast-forward: the highest sequence, of another product of ours": Row(
        "wrong-product", LOCKED, lambda b: b.release(sequence=MOST, product="lamp")
    ),
    "fast-forward: the highest sequence, for another chip": Row(
        "no-target", LOCKED, lambda b: b.release(sequence=MOST, target__chip="esp32c3")
    ),
    "fast-forward: a release dated 64 years ahead": Row("up-to-date", AHEAD, _dated_ahead),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_freshness(bench: Bench, row: Row) -> None:
    bench.attacked(row)
