"""Holds what the agent says, and what it has noted, against what lies in flash."""

import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from otactl.release import archive
from rig import recorded
from vboard.flash.nor import Flash
from vboard.flash.nvs import Nvs
from vboard.flash.otadata import State, slot_of

from powercut.flash import content, entries
from powercut.program import TREES
from powercut.scenario import IMAGES, Scenario, row
from powercut.scenario import apps as app_slots

_FACTS = ("version", "sequence", "security_version")
_EDGE = 512  # bytes at either end of an image that the agent's mark of it covers


def claims(scenario: Scenario, flash: bytes, status: dict[str, Any], ended: str) -> Iterator[str]:
    """`ended`: the version whose image runs."""
    if status["trial"]:
        yield "status says that a trial runs"
    failed = tuple(f["sequence"] for f in status["failed"])
    if failed not in scenario.failed:
        yield f"status says that {list(failed)} failed"
    state, job = _nvs(scenario, flash, "state"), _nvs(scenario, flash, "job")
    if [[f["sequence"], f["reason"]] for f in status["failed"]] != state.get("failed"):
        yield "status and NVS disagree on what failed"
    for key, value in status["job"].items():
        if key != "offset" and job.get(key) != value:
            yield f"status says job {key} {value!r}, NVS {job.get(key)!r}"
    yield from _slots(scenario, flash, status)
    yield from _installed(scenario, flash, status["running"], state.get("releases", []), status["installed"], ended)


def _slots(scenario: Scenario, flash: bytes, status: dict[str, Any]) -> Iterator[str]:
    found = {slot["name"]: slot for slot in status["slots"]}
    for label, state in _states(scenario, flash).items():
        if found[label]["state"] != state:
            yield f"status says {label} is {found[label]['state']}, otadata {state}"
        told, there = (
            (found[label]["image"] or {}).get("release"),
            content(scenario.table, flash, row(scenario.table, label)),
        )
        if told and there and told != there:  # the agent's mark says nothing of damage in the middle
            yield f"status says that {label} holds {told}"


def _installed(
    scenario: Scenario, flash: bytes, running: str, releases: list[list[Any]], installed: dict[str, Any], ended: str
) -> Iterator[str]:
    """What the record knows of the slots. Each entry: slot, version, sequence, security version, size, hash, mark, and the
    beginning of the application's hash."""
    if installed["version"] != ended:
        yield f"status says that {installed['version']} is installed"
    labels = [entry[0] for entry in releases]
    if len(set(labels)) < len(labels):
        yield f"the record has a slot twice: {labels}"
    for label, version, sequence, security_version, size, digest, mark, app in releases:
        image = IMAGES.get(version, b"")
        if (size, digest) != (len(image), sha256(image).hexdigest()):
            yield f"the record has a wrong size or hash of {version}"
        files = TREES.get(version)
        if app != (sha256(archive.pack(files)).hexdigest()[:16] if files else ""):
            yield f"the record has a wrong hash of the application of {version}"
        part = row(scenario.table, label)
        there = flash[part.offset : part.offset + size]
        if mark == sha256(there[:_EDGE] + there[-_EDGE:]).hexdigest()[:16] and there != image:
            yield f"the record takes what lies in {label} for {version}"
        if label == running and dict(zip(_FACTS, (version, sequence, security_version), strict=True)) != installed:
            yield "status and NVS disagree on what is installed"
    if running not in labels:
        yield f"the record does not know what {running} holds"


def _states(scenario: Scenario, flash: bytes) -> dict[str, str]:
    """By otadata; the factory app has none."""
    found = {slot.label: (0, "none") for slot in app_slots(scenario.table)}
    slots = scenario.table.ota_slots
    for entry in entries(scenario.table, flash):
        if entry.crc_ok and not entry.blank:
            label = slots[slot_of(entry.seq, len(slots))].label
            known = entry.state in State.__members__.values()
            name = State(entry.state).name.lower().replace("_verify", "") if known else "undefined"
            found[label] = max(found[label], (entry.seq, name))
    return {label: name for label, (_, name) in found.items()}


def _nvs(scenario: Scenario, flash: bytes, which: str) -> dict[str, Any]:
    """The newest good copy of a record, read by a store of the host's from a copy of the flash."""
    nvs = row(scenario.table, "nvs")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flash.bin"
        path.write_bytes(flash)
        with Flash(path, len(flash)) as chip:
            return recorded(Nvs(chip, nvs.offset, nvs.size), which)
