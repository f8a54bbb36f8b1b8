"""What the board says of itself in the requests that it makes anyway: one header for its release server. Nothing in it is
secret, and nobody vouches for it. `"checkin": false` leaves it out."""

import gc
import sys
import time

import machine
import network
from micropython import const

from ..boot import record
from . import url

_TICKS = const(0x3FFFFFFF)  # the most that time.ticks_ms() counts


def own(config: dict) -> "tuple[tuple, tuple]":
    """(TLS, host, port) of the channel with the line that is told there alone: who this is, and the same with all else, of
    400 bytes at most. Called once: this module is let go."""
    from .. import net

    sys.modules.pop(__name__)
    del net.checkin
    kept = record.load()
    phase, sequence, why = _last(kept.job, kept.state)
    # ticks begin again after 12 days: they are counted on from the look before
    kept.up_ms += (time.ticks_ms() - kept.up_ms) & _TICKS  # type: ignore[operator]
    who = "Ota-Board: id=" + machine.unique_id().hex()
    line = f"{who};product={_word(config['product'])};have={config.get('have', 0)};phase={phase};seq={sequence}"
    line += f";why={_word(why)};up={kept.up_ms // 1000};heap={gc.mem_free()}"
    if config.get("keep"):
        line += ";wait=1"
    if why in ("app-crashed", "app-import"):  # what the program raised; another reason may have the name of a network
        line += ";what=" + _word(kept.job["detail"])
    if config["wifi"] and not config["ethernet"]:  # who asks where no Wi-Fi runs starts its driver, which takes memory
        try:
            line += f";rssi={network.WLAN(network.STA_IF).status('rssi')}"
        except OSError:
            pass
    there = url.split(config["url"])[:3]
    return (there, who + "\r\n"), (there, line + "\r\n")


def _last(job: dict, state: dict) -> tuple:
    # Phase, sequence and reason of what happened last: a job, or a look after it that came to nothing.
    phase, sequence, refused = job["phase"], job["sequence"], state["refused"]
    why = refused and refused[0]
    if phase == "failed" and why in (None, "failed-before", job["reason"]):  # a job's word, whatever looks say of it
        if not job["switches"]:
            phase = "idle"  # of a release that was never switched to nothing was rolled back
        elif sequence and not job["remember"]:
            phase = "held"  # nobody has judged it: it is tried again (P6)
        return phase, sequence, job["reason"]
    if why and phase != "writing":
        return "idle", (state["heard"] or [0, 0])[1], why
    return phase, sequence, why


def _word(text: "str | None") -> str:
    return "".join([c if "!" <= c <= "~" and c != ";" else "_" for c in (text or "")[:64]])
