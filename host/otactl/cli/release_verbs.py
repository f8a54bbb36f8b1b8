"""The verbs `otactl releases ...`: what is published, and which channel names what."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import WORKSPACE, as_json, family, in_workspace, verb_of, with_passphrase
from otactl.words import counted

if TYPE_CHECKING:
    from otactl.release.channels import Move, Release

releases = family(
    "releases",
    WORKSPACE,
    "What is published, and which channel names which release.",
    "releases withdraw 1.1.0",
    usual="list",
)


@verb_of(releases, "releases list")
@in_workspace
@as_json
def list_releases(*, workspace: Path, as_json: bool) -> int:
    """Show all releases, oldest first, and the channels that name them."""
    from rich.table import Table

    from otactl.cli import display
    from otactl.release import channels, pending, targets
    from otactl.workspace.workspace import Workspace

    place = Workspace.find(workspace)
    found = channels.releases(place)
    waiting = pending.every(place)
    if as_json:
        pendings = [{"version": one.version, "sequence": one.sequence} for one in waiting]
        print(json.dumps({"releases": [asdict(one) for one in found], "pending": pendings}))
        return 0
    table = Table("version", "sequence", "parts", "published", "channels", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.version, str(one.sequence), targets.parts(one.targets), one.published, _named(one))
    display.show_table(table)
    for line in channels.expiring(place):
        display.warn(line)
    for late in waiting:
        display.warn(
            f"{late.version} (sequence {late.sequence}) waits for its signature: "
            f"`otactl attach-signature {late.version} SIGNATURE`"
        )
    if hidden := channels.strangers(place):
        display.warn(f"{hidden} more in {place.releases}, not signed by a key that boards are told to trust")
    if not found and not hidden and not waiting:
        display.follow_up("publish FIRMWARE.bin --version 1.0.0")
    return 0


@verb_of(releases, "releases show 1.1.0")
@in_workspace
@click.argument("version", help="As it was published.")
@as_json
def show_release(*, workspace: Path, version: str, as_json: bool) -> int:
    """Show one release and its parts."""
    from otactl.cli import display
    from otactl.release import channels
    from otactl.workspace.workspace import Workspace

    found = channels.release(Workspace.find(workspace), version)
    if as_json:
        print(json.dumps(asdict(found)))
        return 0
    display.show(
        f"{found.version}  sequence {found.sequence}  security version {found.security_version}  {found.published}"
    )
    if found.expires:
        display.show(f"good until {found.expires}")
    display.show(f"channels: {_named(found) or 'none'}")
    for target in found.targets:
        build = f"  build {target['build']}" if target.get("build") else ""
        display.show(f"  {_part(target)}  {target['size']} bytes  {target['url']}{build}")
        if "files" in target:
            display.show(f"    {_unpacked(target)}")
        display.show(f"    sha256 {target['sha256']}")
        if "encryption" in target:
            display.show(f"    encrypted ({target['encryption']['scheme']}), {target['encryption']['size']} bytes")
        if "compressed" in target:
            display.show(f"    compressed: {target['compressed']['size']} bytes  {target['compressed']['url']}")
        for one in target.get("deltas", []):
            display.show(f"    delta from the image {one['base'][:16]}: {one['size']} bytes  {one['url']}")
    return 0


@verb_of(releases, "releases withdraw 1.1.0")
@in_workspace
@click.argument("version", help="That channels are to name no longer.")
@click.option("--channel", metavar="NAME", help="Only this one (default: each that names it).")
@with_passphrase
@as_json
def withdraw_release(*, workspace: Path, version: str, channel: str | None, as_json: bool) -> int:
    """Let channels go back to the release before, which boards take as a newer one."""
    from otactl.cli import display
    from otactl.fleet.loans import before_a_release
    from otactl.release import channels
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    moves = channels.withdraw(found, version, channel)
    if as_json:
        print(json.dumps({"moves": [asdict(one) for one in moves]}))
        return 0
    for one in moves:
        display.show(_moved(one))
        display.show(f"  boards that have {version} take the image of {one.version} as a newer release, on trial;")
        display.show(f"  boards that run {one.version} already learn its new sequence, and download nothing")
    for note in before_a_release(found):
        display.warn(note)
    return 0


@verb_of(releases, "releases renew --expires 30d")
@in_workspace
@click.option("--channel", metavar="NAME", help="Whose release (default: that of otactl.toml).")
@click.option("--expires", metavar="TIME", help="30d, 12h, 8w, a date, or never (default: it lasts as long as before).")
@as_json
def renew_release(*, workspace: Path, channel: str | None, expires: str | None, as_json: bool) -> int:
    """Sign a channel's release again, as of today, before it expires."""
    from otactl.cli import display
    from otactl.release import channels
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    done = channels.renew(found.on(channel) if channel else found, expires)
    if as_json:
        print(json.dumps(asdict(done)))
        return 0
    until = f"good until {done.expires}" if done.expires else "it never expires"
    display.show(f"{done.channel} names {done.version} (sequence {done.sequence}), signed anew: {until}")
    display.show("  boards that have it download nothing")
    return 0


@verb_of(releases, "releases promote 1.2.0 --to stable")
@in_workspace
@click.argument("version", help="That is published already, in any channel.")
@click.option("--to", required=True, metavar="CHANNEL", help="stable, beta, or any name; a new one is made.")
@with_passphrase
@as_json
def promote_release(*, workspace: Path, version: str, to: str, as_json: bool) -> int:
    """Let a channel name a release that is there already."""
    from otactl.cli import display
    from otactl.fleet.loans import before_a_release
    from otactl.release import channels
    from otactl.workspace.workspace import Workspace

    found = Workspace.find(workspace)
    move = channels.promote(found, version, to)
    if as_json:
        print(json.dumps(asdict(move)))
        return 0
    display.show(_moved(move))
    display.show(f"  boards with the url {found.on(to).channel_url} take it at their next look, on trial")
    if move.again:
        display.show(
            "  it is older than what the channel named: it was signed anew, under a new sequence, so that they do"
        )
    for note in before_a_release(found):
        display.warn(note)
    return 0


def _part(target: dict[str, Any]) -> str:
    """What of a release it is, and for which chip."""
    from otactl.release import targets

    if target["kind"] == targets.FIRMWARE:
        return str(target["chip"])
    what = "application"
    if target["kind"] == targets.DATA:
        what = f"data of partition {target['partition']}" + (", unsafe" if target.get("unsafe") else "")
    return f"{what} for {target['chip']}" if "chip" in target else what


def _unpacked(target: dict[str, Any]) -> str:
    mpy = f", .mpy version {target['mpy']}" if target.get("mpy") is not None else ", no .mpy"
    return f"{counted(target['files'], 'file')}, {target['unpacked']} bytes on a board{mpy}"


def _named(one: "Release") -> str:
    names = [name if at == one.sequence else f"{name} (sequence {at})" for name, at in one.channels.items()]
    return ", ".join(names) or ("withdrawn" if one.withdrawn else "")


def _moved(one: "Move") -> str:
    before = f", before {one.before}" if one.before else ""
    return f"{one.channel} names {one.version} now (sequence {one.sequence}){before}"
