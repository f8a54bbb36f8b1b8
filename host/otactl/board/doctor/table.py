"""The checks, in the order in which it hurts, and their run over a case.

A check that needs another one is not looked at where that one is bad: one fault is one bad row, not ten.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from otactl.board.doctor import application, board, history, machine, network, port, software, storage, workspace
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, Verdict, waiting


@dataclass(frozen=True, slots=True)
class Check:
    """One row. `looks_at`: what is judged, for docs/doctor.md. `needs`: checks that must be good, by name, and looked at
    if they can be. `unless`: checks that must not be bad, though they need not have been looked at.
    """

    name: str
    looks_at: str
    look: Callable[[Case], Finding]
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    finding: Finding


CHECKS = (
    Check("port", "the port is there, may be opened, and nobody else holds it", port.port),
    Check("prompt", "the board answers Ctrl-C with MicroPython's prompt", port.prompt, ("port",)),
    # the board as it was flashed
    Check("MicroPython", "an ESP32 with 1.23 or newer", board.micropython, ("prompt",)),
    Check("flash", "the chip's flash is as large as its table", board.flash, ("MicroPython",)),
    Check("table", "two OTA slots, otadata, nvs", board.table, ("MicroPython", "flash")),
    Check("slots", "the slots hold what is published, and how much more", board.slots, ("table",)),
    Check("bootloader", "it can roll back", board.bootloader, ("table",)),
    # what deploy brings
    Check("agent", "it is installed, whole, and loads", software.agent_loads, ("table",)),
    Check("mpy", "the board reads the .mpy files that this machine writes", software.mpy, ("MicroPython",)),
    Check("version", "the agent's files are those of this otactl", software.version, ("agent",)),
    Check("boot.py", "it calls the agent, and puts the application first", software.boot_hook, ("agent",)),
    Check("main.py", "it calls the agent", software.main_hook, ("agent",)),
    Check("application", "its files are those that were installed", application.tree, ("agent",)),
    Check("leftovers", "no other module is found before the application's", application.alone, ("agent", "boot.py")),
    Check("config", "the board's configuration is there and right", software.config, ("agent",)),
    Check("settings", "it is that of the workspace", software.settings, ("config", "workspace")),
    Check("keys", "the board trusts the keys of the workspace", software.keys, ("agent", "workspace")),
    Check("CA", "the board has the workspace's CA", software.authority, ("agent", "workspace")),
    # what the board has room for
    Check("NVS", "the agent's record can be read, and has room", storage.nvs, ("table",)),
    Check("files", "room on the filesystem, and whether it can hold an application", storage.files, ("prompt",)),
    Check("memory", "what TLS needs is free", storage.memory, ("prompt",)),
    # this machine
    Check("workspace", "otactl.toml and what it tells boards", workspace.settings),
    Check("key", "releases are signed with a key that boards trust", workspace.key, ("workspace",)),
    Check(
        "published",
        "the channel's release is signed, has not expired, and its files are as signed",
        workspace.published,
        ("workspace",),
    ),
    Check("certificate", "its dates, its names", workspace.certificate, ("workspace",)),
    Check("url", "boards can use the address", workspace.url, ("workspace",)),
    Check("server", "something listens, and not only for this machine", machine.server, ("url",)),
    Check("served", "this machine fetches the channel's file", machine.served, ("server", "certificate", "published")),
    # the network, from the board
    Check("network", "the board joins Wi-Fi or Ethernet", network.joined, ("MicroPython",)),
    Check("signal", "how well it hears the access point", network.signal, ("network",)),
    Check("subnet", "board and server are in the same network", network.subnet, ("network",)),
    Check("clock", "the board's date", network.clock, ("network",)),
    Check("name", "the server's name resolves there", network.name, ("network",), ("settings",)),
    Check("connection", "the server answers the board", network.connection, ("name",), ("server",)),
    Check("TLS", "the board accepts the server", network.tls, ("connection", "certificate", "CA", "memory", "clock")),
    Check("HTTP", "the server has the channel's file", network.http, ("TLS", "served")),
    Check("signature", "the release is signed with a key that the board trusts", network.signature, ("HTTP", "keys")),
    Check("target", "it is for this product, chip and build", network.target, ("signature", "settings")),
    Check("release", "the board takes it", network.release, ("target", "slots")),
    # what was
    Check("trial", "no trial is running", history.trial, ("agent",)),
    Check("last job", "how the last update ended", history.job, ("agent",)),
    Check("last look", "how the last look for an update ended", history.look, ("agent",)),
)


def run(case: Case, checks: Sequence[Check] = CHECKS) -> list[Row]:
    """All rows, in order."""
    by_name = {check.name: check for check in checks}
    found: dict[str, Finding] = {}
    for name in TopologicalSorter({check.name: check.needs + check.unless for check in checks}).static_order():
        found[name] = _look(by_name[name], case, found)
    return [Row(check.name, found[check.name]) for check in checks]


def _look(check: Check, case: Case, found: dict[str, Finding]) -> Finding:
    for before in check.needs + check.unless:
        if found[before].verdict is Verdict.BAD:
            return waiting(before)
    for need in check.needs:
        if found[need].waits_for:
            return waiting(found[need].waits_for)
    return check.look(case)


def exit_code(rows: Iterable[Row]) -> int:
    """0 nothing bad, 1 the board or the release is at fault, 3 only port, machine or network."""
    faults = [row.finding.rig for row in rows if row.finding.verdict is Verdict.BAD]
    return 0 if not faults else 3 if all(faults) else 1
