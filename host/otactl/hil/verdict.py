"""What a test may expect of a board in the end, held against what lies in its flash; in words where it is not so.

Judged by otadata as it is read back, by what the bootloader started (the journal that the suite's boot.py writes before the
agent runs) and by the ROM's banners on the console. What the agent says is held against that, not the other way round.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otactl.board import follow
from otactl.errors import BoardError
from otactl.hil import slots
from otactl.hil.slots import Look

if TYPE_CHECKING:
    from otactl.hil.releases import Release
    from otactl.hil.stage import Stage


@dataclass(frozen=True, slots=True)
class Expected:
    """`boots`: the slots that started, one a boot. `holds`: the release that lies whole in the other slot. `untouched`:
    nothing of the other slot was erased or written. `code`: why the agent ended, as docs/errors.md has it. `version`: what
    the agent must take for installed."""

    boots: tuple[str, ...]
    holds: "Release | None" = None
    untouched: bool = False
    code: str = ""
    version: str | None = None


def ends(stage: "Stage", *boots: str, **more: Any) -> None:
    """Assert that the bootloader started these slots one after the other, and that all else is `Expected(boots, **more)`."""
    said = wrong(stage, Expected(boots, **more))
    assert not said, "; ".join(said)


def wrong(stage: "Stage", expected: Expected) -> list[str]:
    """All that is not as expected of a board at rest. Raises BoardError, RigError."""
    rest = stage.rest
    if rest is None:
        raise BoardError("no verdict before the board has come to rest")
    said = _boots(stage, expected)
    seen = slots.look(stage.board)
    ends = expected.boots[-1]
    good = (ends, "none" if ends == seen.factory else "valid")
    if seen.running != ends:
        said.append(f"{seen.running} runs, not {ends}")
    if seen.named != good:
        said.append(f"otadata names {' '.join(seen.named)}, not {' '.join(good)}")
    said += _content(stage, expected)
    if rest.runs < 0:
        said.append("the program's own data was damaged")
    return said + _status(follow.status(stage.board.link), seen, expected)


def _boots(stage: "Stage", expected: Expected) -> list[str]:
    assert stage.rest
    started = tuple(boot.slot for boot in stage.rest.boots)
    said = []
    if started != expected.boots:
        said.append(f"the bootloader started {', '.join(started) or 'nothing'}; expected {', '.join(expected.boots)}")
    banners = stage.banners()
    if banners is not None and banners != len(started):
        said.append(f"the ROM told of {banners} resets, the journal of {len(started)}")
    return said


def _content(stage: "Stage", expected: Expected) -> list[str]:
    said = []
    if slots.sketch(stage.board, stage.home) != stage.home_sketch:
        said.append(f"{stage.home}, the way back, was written to")
    if expected.untouched and slots.sketch(stage.board, stage.other) != stage.before:
        said.append(f"{stage.other} was erased or written")
    if expected.holds and not stage.holds(expected.holds.image):
        said.append(f"{stage.other} does not hold release {expected.holds.version} byte for byte")
    return said


def _status(status: dict[str, Any], seen: Look, expected: Expected) -> list[str]:
    """Whether the agent's word is true, and its reason the right one."""
    label, state = seen.named
    said = []
    if (status["running"], status["boot"]) != (seen.running, label):
        said.append(
            f"status says {status['running']} runs and {status['boot']} boots; it is {seen.running} and {label}"
        )
    told = {one["name"]: one["state"] for one in status["slots"]}
    if label in seen.slots and told.get(label) != state:
        said.append(f"status says {label} is {told.get(label)}, otadata says {state}")
    if status["trial"]:
        said.append("status says that a trial runs")
    reasons = [status["job"]["reason"], (status["refused"] or [None])[0], *(one["reason"] for one in status["failed"])]
    if expected.code and expected.code not in reasons:
        said.append(f"status gives {', '.join(str(r) for r in reasons if r) or 'no reason'}; expected {expected.code}")
    if expected.version is not None and status["installed"]["version"] != expected.version:
        said.append(f"status says that {status['installed']['version']} is installed, not {expected.version}")
    return said
