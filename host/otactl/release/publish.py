"""Make a release: check the firmware and the application, copy them, sign, and let the channel point at it last."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.release import application, channels, data, drafts, encrypted, envelope, expiry, ledger, parts, pending
from otactl.release.channels import RELEASE, current
from otactl.release.delta import offer
from otactl.release.drafts import Draft
from otactl.release.sequence import MAX_INT, next_sequence, take_sequence
from otactl.workspace import keyring, trust
from otactl.workspace.workspace import Workspace

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}\Z")
_MOST_BUILD = 64  # characters; boards read no more


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it: `notes` for the person, a line each: of files that were not taken as they are, of their MicroPython,
    of other releases that wait, of what boards will refuse. `expires`: None for never. `waits`: for so many signatures; until
    then no channel names it. `lines`: what is good to know of its application, `deltas`: of its deltas.
    """

    version: str
    sequence: int
    targets: list[dict[str, Any]]
    notes: list[str]
    expires: str | None = None
    waits: int = 0
    lines: list[str] = field(default_factory=list)
    deltas: list[str] = field(default_factory=list)


def publish(
    workspace: Workspace,
    files: Sequence[Path],
    version: str | None,
    *,
    build: str | None = None,
    security_version: int | None = None,
    sequence: int | None = None,
    app: application.Asked | None = None,
    partition: data.Asked | None = None,
    image_key: Path | None = None,
    expires: str | None = None,
    encryption: encrypted.Asked | None = None,
    named: bool = True,
    payload_only: bool = False,
    more_keys: Sequence[Path] = (),
    deltas: offer.Asked | None = None,
    draft: Draft | None = None,
) -> Published:
    """One target a file, each for another chip, one of the folder `app`, and one of the data `partition`; `build` is a glob on sys.implementation._build;
    `image_key` a PEM to sign the images themselves with; `expires` as expiry.asked(); `encryption` how boards get them
    encrypted. What is not encrypted does not come into releases/ then. `deltas`: from which images boards get small files
    beside it; None: from none. `draft`: it is one (drafts.py), which no list has.

    Into the channel of `workspace` (see Workspace.on), or, unless `named`, into no channel. `version`: None makes it
    push-SEQUENCE. The security version is that of the release before unless given, and never lower; in a new channel the
    highest of any. The sequence is the next one, and not below `sequence`. `payload_only`: nothing is signed here, the release waits for its signatures (pending.attach), as it does
    where the key of this workspace and `more_keys` are fewer than boards ask for. Nothing is written before everything has
    been checked. Raises ReleaseError, UsageError, RigError.
    """
    if version is not None and not _VERSION.match(version):
        raise UsageError(f"version {version!r}: letters, digits and .+_- only, 32 at the most")
    if build is not None and not 0 < len(build) <= _MOST_BUILD:
        raise UsageError(f"build {build!r}: 1 to {_MOST_BUILD} characters")
    at = datetime.now(UTC)
    until = expiry.asked(expires, at) if expires else None
    made_of = parts.load(workspace, files, app, partition=partition, image_key=image_key, encryption=encryption)
    keyring.require_may_sign(workspace, more_keys)
    needed = keyring.release_role(workspace).threshold
    signers = [] if payload_only else keyring.signers(workspace, more_keys, enough=not named)
    with workspace.publishing():
        ledger.begin(workspace)
        sequence = next_sequence(workspace, sequence)
        version = draft.version(sequence) if draft else version or f"push-{sequence}"
        folder = workspace.releases / version
        if (folder / RELEASE).exists():
            raise ReleaseError(f"{version} is published already ({folder}), boards may have it: choose another version")
        if pending.of(workspace, version):
            raise ReleaseError(
                f"{version} waits for its signature already ({folder}): `otactl attach-signature {version} SIGNATURE`, or "
                "choose another version"
            )
        history = channels.history_of(workspace)
        security = _security_version(workspace, security_version)
        targets = [target | (draft.only_for() if draft else {}) for target in made_of.targets(version, build)]
        notes = made_of.notes(workspace) + _unbounded(workspace, expires)
        payload: dict[str, Any] = {
            "schema": 1,
            "product": workspace.product,
            "version": version,
            "sequence": sequence,
            "security_version": security,
            "published": expiry.text(at),
            "targets": targets,
        }
        payload |= {"expires": until} if until else {}
        payload |= trust.entry(workspace)
        nearer = offer.add(workspace, history, made_of.loaded, targets, version, deltas) if deltas else offer.Offer()
        while not pending.has_room(envelope.encoded(payload), needed) and nearer.drop(targets):
            pass
        content = envelope.encoded(payload)
        pending.require_room(content, needed)
        signatures = envelope.sign(content, signers)
        take_sequence(workspace, sequence)
        ledger.note(workspace, content)
        folder.mkdir(parents=True, exist_ok=True)  # may be left by a run that was broken off
        made_of.write(workspace.releases, targets)
        nearer.write(workspace.releases)
        if len(signatures) < needed:
            pending.write(workspace, version, content, signatures)
        else:
            sealed = envelope.wrap(content, signatures)
            write_atomic(drafts.path(workspace, sequence) if draft else folder / RELEASE, sealed)
            if named:
                channels.name(workspace, version, sealed, history)  # last: no release without its files
        notes += pending.advice(workspace, version)
    lines = made_of.program.lines if made_of.program else []
    waits = needed - len(signatures)
    return Published(version, sequence, targets, notes + nearer.notes, until, waits, lines, nearer.lines)


def _unbounded(workspace: Workspace, expires: str | None) -> list[str]:
    newest = current(workspace)
    if expires is None and newest and newest.get("expires"):
        return [f"{newest['version']} expires, this one never does: `otactl releases renew --expires 30d` changes that"]
    return []


def _security_version(workspace: Workspace, asked: int | None) -> int:
    newest = current(workspace)
    before = int(newest["security_version"]) if newest else 0
    if asked is None:
        every = [before] if newest else [int(one["security_version"]) for one in channels.named(workspace).values()]
        return max(every, default=0)
    if not 0 <= asked <= MAX_INT:
        raise UsageError(f"--security-version {asked}: a number from 0 to {MAX_INT}")
    if asked < before:
        raise ReleaseError(f"security version {asked} is below the newest release's {before}: boards would refuse it")
    return asked
