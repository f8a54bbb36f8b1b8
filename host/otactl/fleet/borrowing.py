"""Which boards somebody may develop on over the network, and what each of them is to come back to."""

import difflib
import http.client
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from otactl.errors import ReleaseError, RigError, UsageError
from otactl.fleet import approval, lending, look
from otactl.fleet.checkin import HEADER
from otactl.fleet.lending import Lent
from otactl.fleet.names import Names, is_named
from otactl.fleet.rollout_tables import reading
from otactl.fleet.store import Seen, Store
from otactl.fleet.table import PASSING
from otactl.release import channels, drafting, drafts, targets
from otactl.workspace.roster import ALL, AUTO, Roster
from otactl.workspace.workspace import Workspace

_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Guest:
    """A board that is asked for. `name`: as people call it; `lent`: as it is when the loop begins."""

    name: str
    lent: Lent

    @property
    def id(self) -> str:
        return self.lent.board


def chosen(place: Workspace, store: Store, words: Sequence[str], tags: Sequence[str]) -> dict[str, str]:
    """The names of the boards that a command's words and tags mean, by their ids. No word: the one that has looked here, where it
    is the only one. Raises UsageError for one that has never looked at this server."""
    names, heard = Names(place.root), {seen.said.id for seen in store.boards()}
    if not words and not tags and len(heard) == 1:
        words = sorted(heard)
    by_name = {called: board for board, (called, _) in names.every().items()}
    roster = Roster.load(place.root)
    tagged = [entry.name for entry in roster.chosen([], tags)] if tags else []
    every = [entry.name for entry in roster.entries] if ALL in words else []
    unknown = {entry.name for entry in roster.entries if not entry.mac}
    found: dict[str, str] = {}
    for word in [*(one for one in words if one not in (ALL, AUTO)), *tagged, *every]:
        board = by_name.get(word) or word.lower().replace(":", "")
        if word in unknown:
            raise UsageError(
                f"{roster.path} does not say the mac of {word}, by which it is known here: `otactl boards discover`"
            )
        if board not in heard:
            raise UsageError(_never_seen(word, [*by_name, *heard]))
        found[board] = names.of(board)[0]
    if not found:
        there = ", ".join(names.of(board)[0] for board in sorted(heard)) or "none yet"
        raise UsageError(f"name the boards: those that have looked at this server are {there}")
    return found


def _never_seen(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    advice = (
        f"is it {close[0]}?"
        if close
        else "start `otactl serve` and reset the board; those with `checkin = false` never say who they are"
    )
    return f"{word} has never looked at this server: {advice}"


def borrow(place: Workspace, store: Store, boards: dict[str, str]) -> list[Guest]:
    """Who the boards are, and what each of them is to come back to. A loop that was killed has left that behind. Raises UsageError,
    ReleaseError where a board could not be given back as it was, and nothing has changed."""
    require_no_rollout(place, store)
    seen = {one.said.id: one for one in store.boards()}
    for board, name in boards.items():
        _require_looks(place, store, name, seen[board])
    versions = look.versions(place, store)
    until = store.now() + lending.LEASE_S
    found = []
    for board, name in boards.items():
        before, have = lending.of(store, board), seen[board].said.have
        if before and not lending.has_gone_on(before, have) and (not before.back or have != before.sequence):
            version, have = before.version, before.have  # it has not come back yet
            sequence = before.sequence
        else:
            version = versions.get(have, "")
            sequence = (
                have if drafts.path(place, have).is_file() else 0
            )  # that it came back to: it is offered nothing older
        lent = Lent(board, sequence, until, version, have, back=False)
        lending.note_rolled_back(store, board, lending.rolled_back(store, board, versions))
        _require_no_press(place, store, name, lent)
        _require_a_way_back(place, store, name, lent)
        found.append(Guest(name, lent))
    _require_one_base(place, store, found)
    return found


def require_no_rollout(place: Workspace, store: Store) -> None:
    """Raises UsageError where boards would come to a later sequence than a rollout's that runs."""
    with reading(store) as tables:
        rollout = tables.last(place.channel)
    if rollout and not rollout.over:
        raise UsageError(
            f"{rollout.version} is being rolled out to {place.channel} ({rollout.state}), and boards that come back from here would "
            "have passed it by: `otactl rollout abort`, or wait until it is done"
        )


def require_lent(place: Workspace, store: Store, guests: Sequence[Guest]) -> None:
    """For a loop that may have slept, before it asks for its boards anew. Raises UsageError where they are no longer its own."""
    require_no_rollout(place, store)
    have = {one.said.id: one.said.have for one in store.boards()}
    rows = {guest: lending.of(store, guest.id) for guest in guests}
    on = [guest.name for guest, lent in rows.items() if not lent or lending.has_gone_on(lent, have.get(guest.id, 0))]
    if on:
        raise UsageError(f"{', '.join(on)} has gone on to something newer than what came from here: begin again")
    left = [guest.name for guest, lent in rows.items() if lent and lending.is_left(lent, store.now())]
    if left:
        raise UsageError(
            f"the loan of {', '.join(left)} is over, as this was silent for more than an hour: begin again"
        )


def way_back(place: Workspace, store: Store, lent: Lent) -> tuple[str, bool]:
    """(the release that a board is to come back to, whether that is one of its channel which it has not had: then all of it). Not
    one that it went back from, which would run on it under another number, nor one that waits for a press."""
    newest = channels.current(place)
    if newest and newest["sequence"] > lent.have and not _kept_from(place, store, lent, newest):
        return newest["version"], True
    return lent.version, False


def passed_by(place: Workspace, store: Store, lent: Lent) -> str:
    """Why a board that was given back does not come to what its channel names, a newer one than it had; empty where it does, or
    where there is none."""
    newest = channels.current(place)
    if newest is None or not lent.have < newest["sequence"] < lent.sequence:
        return ""
    if look.named_in(drafts.path(place, lent.sequence))[1] == newest["version"]:
        return ""
    return _kept_from(place, store, lent, newest) or f"what it ran at first passes {newest['version']} by"


def _kept_from(place: Workspace, store: Store, lent: Lent, newest: Mapping[str, Any]) -> str:
    """Why a board is not to come to what its channel names; empty where nothing is against it."""
    if _went_back(place, store, lent, newest):
        return f"it went back from {newest['version']} before"
    return f"{newest['version']} waits for a press of its button" if _is_held(place, store, lent, newest) else ""


def _went_back(place: Workspace, store: Store, lent: Lent, newest: Mapping[str, Any]) -> bool:
    return newest["version"] in lending.rolled_back(store, lent.board, look.versions(place, store))


def _is_held(place: Workspace, store: Store, lent: Lent, newest: Mapping[str, Any]) -> bool:
    named = is_named(lent.board, *Names(place.root).of(lent.board))
    return not approval.lets(store, lent.board, newest["sequence"], lent.have, named=named)


def declined(seen: Seen | None, sequence: int) -> str:
    """The code of why a board does not take the release of that sequence, which it was offered; empty where it does, or will."""
    said = seen.said if seen else None
    if said is None or said.sequence != sequence or said.have == sequence or said.reason in (*PASSING, "on-hold"):
        return ""
    return said.reason if said.phase in ("idle", "failed") else ""


def outstanding(store: Store) -> list[Lent]:
    """The boards that are not given back, or have not come back."""
    have = {one.said.id: one.said.have for one in store.boards()}
    return [one for one in lending.every(store) if not one.back or have.get(one.board, 0) < one.sequence]


def _require_looks(place: Workspace, store: Store, name: str, seen: Seen) -> None:
    """Raises UsageError for a board that would never see a draft."""
    if not seen.said.product and seen.said.heap is None:  # single/ask8266.py
        raise UsageError(
            f"{name} is an ESP8266, by how little it says of itself, and nothing there looks sooner than at its start: publish its "
            "application, and reset it"
        )
    if channel := lending.channel_of(store, seen.said.id):
        raise UsageError(
            f"{name} looks at the channel {channel}, and otactl.toml names {place.channel}, to whose release it would come back: "
            f"deploy it with that one, or publish to {channel} what is to be tried there"
        )


def _require_no_press(place: Workspace, store: Store, name: str, lent: Lent) -> None:
    """Raises UsageError where a release waits that the board would have passed when it comes back."""
    newest = channels.current(place)
    if newest is None or newest["sequence"] <= lent.have or _went_back(place, store, lent, newest):
        return
    if _is_held(place, store, lent, newest):
        raise UsageError(
            f"{newest['version']} waits for a press of {name}'s button, and {name} would have passed it by when it comes back: press "
            "it first"
        )


def _require_one_base(place: Workspace, store: Store, guests: Sequence[Guest]) -> None:
    """Raises UsageError where drafts would come on top of several releases."""
    bases: dict[str, list[str]] = {}
    for guest in guests:
        bases.setdefault(base(place, store, guest.lent), []).append(guest.name)
    if len(bases) > 1:
        parts = "; ".join(f"{', '.join(names)}: {version}" for version, names in sorted(bases.items()))
        raise UsageError(f"these boards come back to several releases ({parts}): name those of one of them")


def _require_a_way_back(place: Workspace, store: Store, name: str, lent: Lent) -> None:
    version, _ = way_back(place, store, lent)
    publish = (
        "publish what it is to come back to, with `otactl publish --app FOLDER --version ...`, and let it take that"
    )
    if not version:
        raise UsageError(f"{name} runs no release of this workspace, as after a deployment by cable: {publish}")
    try:
        payload = drafting.released(place, version)
    except ReleaseError as error:
        raise UsageError(f"{name} could not be given back: {error}") from None
    if not targets.applications(payload["targets"]):
        raise UsageError(f"{name} could not be given back, as {version} has no application: {publish}")


def base(place: Workspace, store: Store, lent: Lent) -> str:
    """The release on top of which somebody develops there."""
    return way_back(place, store, lent)[0]


def require_hub(place: Workspace, board: str) -> None:
    """The server at the workspace's address must know that somebody develops on `board`. Raises RigError where there is none, or
    another one."""
    parts = urlsplit(place.channel_url)
    serve = "start `otactl serve` in this workspace"
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(place.tls / "ca.pem"))
            connection = http.client.HTTPSConnection(place.host, place.port, timeout=_ANSWER_S, context=context)
        else:
            connection = http.client.HTTPConnection(place.host, place.port, timeout=_ANSWER_S)
        connection.request("HEAD", parts.path, headers={HEADER: f"id={board}"})
        answer = connection.getresponse()
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        if "CERTIFICATE_REQUIRED" in str(error):  # it lets boards speak, and not this machine
            return
        raise RigError(f"no server at {place.channel_url} ({error or type(error).__name__}): {serve}") from None
    if answer.headers.get(lending.HEADER) is None:
        raise RigError(
            f"the server at {place.channel_url} does not know of this: it is no `otactl serve`, one of another workspace or of an "
            f"older version, or it runs with --no-fleet; {serve}"
        )


def tidy(place: Workspace, store: Store, last: int) -> int:
    """Remove the drafts that no board names, but for the `last` newest. How many are kept. Raises OtactlError, OSError."""
    keep = {lent.sequence for lent in lending.every(store)} | set(drafts.sequences(place)[-last:])
    for seen in store.boards():
        keep |= {seen.said.have, seen.said.sequence, seen.offered}
    left = drafting.clear(place, keep)
    look.forget_drafts(store, keep)
    return left
