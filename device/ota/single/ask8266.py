"""What an ESP8266 says of itself when it asks its channel, in fewer words than net/checkin.py: there is no memory for more."""

from . import port, record


def said(config: dict) -> bytes:
    """The header's line; empty where the configuration has it so."""
    if not config.get("checkin", True):
        return b""
    value = record.load().value
    have, why, refused = value["release"].get("sequence", 0), value["reason"], value["refused"]
    phase, sequence = "failed", value["next"].get("sequence", 0)
    if refused and refused[0] not in ("failed-before", why):
        phase, sequence, why = "idle", 0, refused[0]
    elif not why:
        phase, sequence, why = "confirmed" if have else "idle", have, ""
    return f"Ota-Board: id={port.address()};have={have};phase={phase};seq={sequence};why={why}\r\n".encode()
