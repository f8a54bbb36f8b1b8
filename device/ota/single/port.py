"""What this agent takes of an ESP32. On an ESP8266 port8266.py lies in its place."""

from ..boot.store import Document  # noqa: F401 -- what record.py builds on


def settings() -> dict:
    """The configuration. Raises OtaError config-…"""
    from .. import config

    return config.load()


def chip() -> str:
    from esp32 import Partition

    from ..release import image

    return image.chip(Partition(Partition.RUNNING))  # type: ignore[arg-type]


def address() -> str:
    """The board's, by which a release names it."""
    import machine

    return machine.unique_id().hex()


def device():
    """Where the files lie, or None."""
    from esp32 import Partition

    return (Partition.find(Partition.TYPE_DATA, label="vfs") or [None])[0]


def feeder(watchdog_s: int, tick):
    """A feeder.Feeder."""
    from ..boot import feeder

    return feeder.Feeder(chip(), watchdog_s, tick)


def fetch(config: dict, url: str):
    """Steps that return a response.Response. Raises OtaError."""
    from ..net import link

    return link.fetch(config, url)


def channel(config: dict, most: int):
    """Steps that return the channel's file, of `most` bytes at most, and until when its server's certificate is good. Raises
    OtaError."""
    from . import record

    kept = record.load()
    reason, release = kept.value["reason"], kept.value["release"]
    kept.up_ms = getattr(kept, "up_ms", 0)  # type: ignore[attr-defined]
    last = kept.value["next"] if reason else release
    config["have"] = release.get("sequence", 0)
    kept.job = {  # type: ignore[attr-defined] # as boot/record.py has it, for net/checkin.py
        "phase": "failed" if reason else "confirmed" if last else "idle",
        "sequence": last.get("sequence", 0),
        "reason": reason,
        "detail": kept.value["detail"],
        "switches": 1,
        "remember": True,
    }
    response = yield from fetch(config, config["url"])
    return (yield from response.read(most)), response.valid_to


def heard(told: "int | None", payload: dict, kept, address: str) -> None:
    """What a release and its server's certificate tell of the date. Raises OtaError replayed, expired."""
    from ..net import clock, dates
    from ..release import fresh

    fresh.hear(payload, kept, address)
    if told is not None:
        clock.prove(dates.parse(payload["published"]), told)
