"""What is published, which channel names which release, and how a channel comes to name another one.

Boards only ever go to a higher sequence. A channel that is to name an older release therefore gets it sealed anew, with its
image and version as they were, under a new sequence. What expires gets its time anew with it, as when it is renewed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from otactl.errors import ReleaseError, UsageError
from otactl.files import write_atomic
from otactl.release import drafts, encrypted, envelope, expiry, ledger
from otactl.release.history import History
from otactl.release.sequence import next_sequence, take_sequence
from otactl.workspace import dsse, keyring, trust
from otactl.workspace.workspace import Workspace

RELEASE = ledger.RELEASE


@dataclass(frozen=True, slots=True)
class Release:
    """`channels`: those that name it, with the sequence under which each does, which may be a later one than its own.
    `expires`: as it was last signed; None for never."""

    version: str
    sequence: int
    security_version: int
    published: str
    targets: list[dict[str, Any]]
    channels: dict[str, int]
    withdrawn: bool
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What `channel` names is good until `expires` now (None: for ever), its sequence as it was."""

    channel: str
    version: str
    sequence: int
    expires: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """`channel` names `version` now, under `sequence`; before it named `before`. `again`: sealed anew for that, under a
    later sequence than its own."""

    channel: str
    version: str
    sequence: int
    before: str | None
    again: bool


def now() -> str:
    return expiry.text(datetime.now(UTC))


def strangers(place: Workspace) -> int:
    """How many releases there are that no key of this workspace has signed, or that are damaged: none of its own."""
    return sum(_ours(place, path) is None for path in place.releases.glob(f"*/{RELEASE}"))


def current(place: Workspace) -> dict[str, Any] | None:
    """The payload of the channel's newest release, as ledger.vouched() has it; None: none published.

    Raises ReleaseError, UsageError.
    """
    return ledger.vouched(place, place.channel_file)


def releases(place: Workspace) -> list[Release]:
    """All that was published here, oldest first. Raises ReleaseError, UsageError."""
    found = _published(place)
    history = history_of(place)
    tops = named(place)
    return [
        Release(
            one["version"],
            one["sequence"],
            one["security_version"],
            one["published"],
            one["targets"],
            {name: top["sequence"] for name, top in tops.items() if top["version"] == one["version"]},
            one["version"] in history.withdrawn,
            _last_signed([one, *(top for top in tops.values() if top["version"] == one["version"])]).get("expires"),
        )
        for one in found
    ]


def _last_signed(payloads: list[dict[str, Any]]) -> dict[str, Any]:
    return max(payloads, key=lambda one: str(one["published"]))


def release(place: Workspace, version: str) -> Release:
    """One of releases(). Raises UsageError where there is none of that version."""
    found = [one for one in releases(place) if one.version == version]
    if not found:
        raise UsageError(f"no release {version} in {place.releases}: `otactl releases list` shows what there is")
    return found[0]


def promote(place: Workspace, version: str, to: str, *, again: bool = False) -> Move:
    """Let the channel `to` name a release that is there already: its boards take it, if it is newer or made so. `again`: also
    the one that it names, under a new sequence, for boards that were offered a newer one meanwhile.

    Raises ReleaseError, UsageError, and nothing has changed.
    """
    there = place.on(to)
    with place.publishing():
        move, data = _made(there, version, again=again)
        _apply(there, move, data, history_of(place))
    return move


def prepare(place: Workspace, version: str, also: Sequence[str] = ()) -> tuple[Move, bytes]:
    """What promote() would let the channel of `place` name, for settle() to let it, and the channels `also`: they stay as they
    are. Where it is sealed anew, its sequence is taken. Raises ReleaseError, UsageError, and nothing has changed.
    """
    with place.publishing():
        beyond = max((newest["sequence"] for name in also if (newest := current(place.on(name)))), default=0)
        move, data = _made(place, version, beyond)
        if move.again:
            _take(place, move, data)
    return move, data


def settle(place: Workspace, version: str, sealed: Path) -> None:
    """Let the channel name what prepare() made. Raises ReleaseError where the channel has come further, RigError, UsageError."""
    with place.publishing(wait_s=1):
        payload, newest = ledger.vouched(place, sealed), current(place)
        if payload is None or payload["version"] != version:
            raise ReleaseError(f"{sealed} is not the envelope of {version}: `otactl rollout abort`, and start it again")
        if newest and newest["sequence"] > payload["sequence"]:
            raise ReleaseError(
                f"{place.channel} names {newest['version']} meanwhile, under a later sequence: `otactl rollout abort`"
            )
        name(place, version, sealed.read_bytes(), history_of(place))


def _made(there: Workspace, version: str, beyond: int = 0, *, again: bool = False) -> tuple[Move, bytes]:
    payload, newest = _payload(there, version), current(there)
    if newest and newest["version"] == version and not again:
        raise UsageError(f"{there.channel} names {version} already: nothing to do")
    rises = payload["sequence"] > max(beyond, drafts.highest(there))
    return _move(there, payload, newest, there.releases / version / RELEASE if rises else None)


def renew(place: Workspace, expires: str | None = None) -> Renewed:
    """Sign what the channel of `place` names once more, as published now. `expires`: as expiry.asked(); None: it lasts as
    long as it did. Boards that have it download nothing.

    Raises ReleaseError, UsageError, and nothing has changed.
    """
    at = datetime.now(UTC)
    with place.publishing():
        newest = current(place)
        if newest is None:
            raise UsageError(f"{place.channel} names no release yet: nothing to renew")
        _payload(place, newest["version"])  # with its images
        until = expiry.lasting(newest, at) if expires is None else expiry.asked(expires, at)
        before = expiry.read(newest["published"])
        if before:  # to boards one of the same second is no news, and an earlier one is replayed
            at = max(at, before + timedelta(seconds=1))
        payload = _dated(newest, at, until)
        write_atomic(place.channel_file, envelope.seal(payload, keyring.signers(place)))
    return Renewed(place.channel, payload["version"], payload["sequence"], until)


def _dated(payload: dict[str, Any], at: datetime, expires: str | None) -> dict[str, Any]:
    rest = {name: value for name, value in payload.items() if name != "expires"}
    return rest | {"published": expiry.text(at)} | ({"expires": expires} if expires else {})


def withdraw(place: Workspace, version: str, channel: str | None = None) -> list[Move]:
    """Let each channel that names `version` (or only `channel`) name the release before it, under a new sequence.

    Raises ReleaseError, UsageError, and nothing has changed.
    """
    with place.publishing():
        found = release(place, version)
        names = [name for name in found.channels if channel in (None, name)]
        if not names:
            where = channel or "a channel"
            raise UsageError(f"{version} is not what {where} names: nothing to withdraw; see `otactl releases list`")
        history = history_of(place)
        steps: list[tuple[Workspace, Move, bytes]] = []
        for name in names:
            before = history.before(name, version)
            if before is None:
                raise ReleaseError(f"{name} has no release before {version}: publish the next one instead")
            there = place.on(name)
            payload = _payload(place, before)
            steps.append((there, *_move(there, payload, current(there), None, ahead=len(steps))))
        history.withdraw(version)
        for there, move, data in steps:
            _apply(there, move, data, history)
    return [move for _, move, _ in steps]


def _move(
    there: Workspace, payload: dict[str, Any], newest: dict[str, Any] | None, sealed: Path | None, ahead: int = 0
) -> tuple[Move, bytes]:
    version, before = payload["version"], newest["version"] if newest else None
    if newest and payload["security_version"] < newest["security_version"]:
        raise ReleaseError(
            f"{version} has security version {payload['security_version']}, {there.channel} is at "
            f"{newest['security_version']}, and boards never go below: publish a mended release instead"
        )
    rises = sealed is not None and (not newest or payload["sequence"] > newest["sequence"])
    if sealed and rises and not payload.get("expires"):
        return Move(there.channel, version, payload["sequence"], before, again=False), sealed.read_bytes()
    sequence = payload["sequence"] if rises else next_sequence(there) + ahead
    at = datetime.now(UTC)
    again = {name: value for name, value in payload.items() if name != "trust"}
    anew = _dated(again, at, expiry.lasting(payload, at)) | {"sequence": sequence} | trust.entry(there)
    data = envelope.seal(anew, keyring.signers(there))
    return Move(there.channel, version, sequence, before, again=not rises), data


def _apply(there: Workspace, move: Move, data: bytes, history: History) -> None:
    if move.again:
        _take(there, move, data)
    name(there, move.version, data, history)


def _take(there: Workspace, move: Move, data: bytes) -> None:
    take_sequence(there, move.sequence)
    ledger.note(there, dsse.unwrap(data, envelope.PAYLOAD_TYPE, "release")[0])


def name(there: Workspace, version: str, sealed: bytes, history: History) -> None:
    """Let the channel of `there` point at a release whose files are in their places."""
    write_atomic(there.channel_file, sealed)
    history.names(there.channel, version)
    history.save()


def _payload(place: Workspace, version: str) -> dict[str, Any]:
    """Of a release with its images. Raises ReleaseError, UsageError."""
    release(place, version)  # says where there is none
    found = ledger.vouched(place, place.releases / version / RELEASE) or {}
    for target in found["targets"]:
        path = place.releases / target["url"]
        if not path.is_file() or path.stat().st_size != encrypted.served(target)[0]:
            raise ReleaseError(f"{path} is missing or not what {version} was signed with: bring it back first")
    return found


def named(place: Workspace) -> dict[str, dict[str, Any]]:
    """The payload of what each channel names. What in releases/ is not of this workspace is none of its channels."""
    found = {path.stem: _ours(place, path) for path in sorted(place.releases.glob("*.json"))}
    return {name: payload for name, payload in found.items() if payload}


def _published(place: Workspace) -> list[dict[str, Any]]:
    found = [_ours(place, path) for path in place.releases.glob(f"*/{RELEASE}")]
    return sorted((one for one in found if one), key=lambda one: int(one["sequence"]))


def _ours(place: Workspace, path: Path) -> dict[str, Any] | None:
    try:
        found = ledger.vouched(place, path)
    except ReleaseError:
        return None
    return (
        found if found and {"version", "sequence", "security_version", "published", "targets"} <= set(found) else None
    )


def expiring(place: Workspace) -> list[str]:
    """A line for each channel whose release has expired, or will soon."""
    at = datetime.now(UTC)
    said = {name: expiry.advice(payload, at) for name, payload in named(place).items()}
    return [f"{name}: {line}; `otactl releases renew --channel {name}`" for name, line in said.items() if line]


def history_of(place: Workspace) -> History:
    """Raises UsageError."""
    published = _published(place)
    return History(
        place,
        {
            name: [one["version"] for one in published if one["sequence"] <= top["sequence"]]
            for name, top in named(place).items()
        },
    )
