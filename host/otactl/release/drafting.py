"""Make drafts (drafts.py): of an application while somebody develops it, and of a release that boards are to come back to."""

import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError
from otactl.files import write_atomic
from otactl.release import drafts, envelope, expiry, ledger, pending, targets
from otactl.release.application import Asked
from otactl.release.drafts import Draft
from otactl.release.publish import Published, publish
from otactl.release.sequence import next_sequence, take_sequence
from otactl.workspace import keyring, trust
from otactl.workspace.workspace import Workspace


def application(place: Workspace, asked: Asked, draft: Draft) -> Published:
    """A release of the application alone. Raises ReleaseError, UsageError, RigError."""
    (place.root / drafts.FOLDER).mkdir(exist_ok=True)
    return publish(place, [], None, app=asked, named=False, draft=draft)


def again(place: Workspace, name: str, boards: Sequence[str], *, whole: bool) -> int:
    """Release `name` under a sequence above all others, for these boards: that sequence. `whole`: with its firmware and data, else
    its application alone. Raises ReleaseError, UsageError, RigError."""
    with place.publishing():
        payload = released(place, name)
        kept = payload["targets"] if whole else targets.applications(payload["targets"])
        if not targets.applications(kept):
            raise ReleaseError(f"{name} has no application: boards would keep the one that they run")
        sequence, at = next_sequence(place), datetime.now(UTC)
        made: dict[str, Any] = {key: value for key, value in payload.items() if key not in ("trust", "expires")}
        made |= {"sequence": sequence, "published": expiry.text(at)} | trust.entry(place)
        made |= {"expires": until} if (until := expiry.lasting(payload, at)) else {}
        made["targets"] = [target | Draft(name, boards).only_for() for target in kept]
        content = envelope.encoded(made)
        signers = keyring.signers(place)
        pending.require_room(content, len(signers))
        take_sequence(place, sequence)
        ledger.note(place, content)
        (place.root / drafts.FOLDER).mkdir(exist_ok=True)
        write_atomic(drafts.path(place, sequence), envelope.wrap(content, envelope.sign(content, signers)))
    return sequence


def released(place: Workspace, name: str) -> dict[str, Any]:
    """The payload of a published release whose files are there. Raises ReleaseError where boards could not take it."""
    payload = ledger.vouched(place, place.releases / name / ledger.RELEASE)
    if payload is None:
        raise ReleaseError(f"no release {name} in {place.releases}: bring it back, or publish what boards are to run")
    for target in payload["targets"]:
        if not (place.releases / target["url"]).is_file():
            raise ReleaseError(f"{place.releases / target['url']} of {name} is missing: bring it back")
    return payload


def clear(place: Workspace, keep: Collection[int]) -> int:
    """Remove all drafts but those of the sequences `keep`, and their files. How many are kept. Raises OSError."""
    with place.publishing():
        gone = [sequence for sequence in drafts.sequences(place) if sequence not in keep]
        for sequence in gone:
            drafts.path(place, sequence).unlink(missing_ok=True)
        for folder in place.releases.glob("*dev.*"):
            _remove(folder, keep)
        ledger.forget(place, gone)
    return len(drafts.sequences(place))


def _remove(folder: Path, keep: Collection[int]) -> None:
    """The files of a draft that is not kept. A folder in which a release was signed, or is to be, is none's."""
    number = drafts.sequence_in(folder.name)
    theirs = (folder / ledger.RELEASE).exists() or (folder / pending.PAYLOAD).exists()
    if number and number not in keep and not theirs:
        shutil.rmtree(folder)
