"""`ota_server`: a workspace of the session's own, served over HTTPS by this machine, and a board whose agent looks there."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.release import publish as publishing
from otactl.release.publish import Published
from otactl.server.files import Transfer
from otactl.server.server import Server
from otactl.workspace import tls
from otactl.workspace.create import create
from otactl.workspace.workspace import SETTINGS, Workspace

from otactl_pytest import outcome, redact, virtual
from otactl_pytest.board import Board
from otactl_pytest.undo import Undo, settings_of

_PRODUCT = "under-test"
_LINKS = ("wifi", "ethernet")  # how a board reaches the network
_TRIAL: dict[str, Any] = {
    "deadline_s": 90,
    "settle_s": 2,
    "checks": [{"check": "network", "timeout_s": 20}, {"check": "server", "timeout_s": 20}],
}


class OtaServer:
    """`workspace`: keys, certificates and releases. `transfers`: of this test, each when it is over."""

    def __init__(self, workspace: Workspace, board: Board) -> None:
        self.workspace, self._board = workspace, board
        self.transfers: list[Transfer] = []
        self.port = workspace.port
        self._server: contextlib.AbstractContextManager[Any] | None = None
        self._undo: Undo | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="otactl-release-")

    # --- what a test does with it ---------------------------------------------------------------

    def publish(self, version: str, firmware: Path | str | bytes | None = None, **more: Any) -> Published:
        """Sign a release that the board's next look finds. `more`: as otactl.release.publish.publish has it.

        `firmware`: a file, or an app image in memory; None on a virtual board: a small made-up one, another for each
        version. Raises ReleaseError, UsageError.
        """
        path = firmware if isinstance(firmware, Path) else Path(firmware) if isinstance(firmware, str) else None
        if path is None:
            path = Path(self._scratch.name) / f"{version}.bin"
            path.write_bytes(firmware if isinstance(firmware, bytes) else self._made_up(version))
        return publishing.publish(self.workspace, [path], version, **more)

    def faults(self, *steps: str) -> None:
        """What goes wrong with the next requests, one step each: "cut:20000", "status:503", "ok" (docs/faults.md).

        The test is skipped where the fault server is not installed.
        """
        faultserver = pytest.importorskip("faultserver.server", reason="the fault server is part of the checkout only")
        from faultserver import exchange
        from faultserver import faults as known

        script = [known.parse(step) for step in steps]
        self._stop()
        made = faultserver.FaultServer(
            exchange.Folder(self.workspace.releases),
            self.workspace.tls / "server.pem",
            self.workspace.tls / "server.key",
            host=_LISTEN,
            port=self.port,
        )
        made.script(script)
        self._start(made)

    # --- what the fixtures do -------------------------------------------------------------------

    def begin(self) -> None:
        """At the start of a test: the server is sound, and the agent is on the board. Raises BoardError, RigError."""
        self.transfers.clear()
        if self._server is None:
            self._start(Server(self.workspace.releases, self.workspace.tls, _LISTEN, self.port, self._watch))
        if self._undo is None:
            self._undo = Undo(self._board)
            self._undo.forget_record()
        self._board.agent.deploy(self.workspace)
        self._board.fresh()

    def end(self) -> None:
        """At the end of a test: its faults are gone."""
        if not isinstance(self._server, Server):
            self._stop()

    def close(self, *, restore: bool) -> None:
        """The server ends, and the board is put back, unless it answers no more. Raises BoardError, RigError."""
        self._stop()
        self._scratch.cleanup()
        if self._undo and restore:
            self._undo.restore()
            for note in self._undo.notes:
                self._board.console.note(note)

    def _watch(self, transfer: Transfer) -> None:
        if transfer.over:
            self.transfers.append(transfer)

    def _start(self, server: contextlib.AbstractContextManager[Any]) -> None:
        server.__enter__()
        self._server = server

    def _stop(self) -> None:
        if self._server:
            self._server.__exit__(None, None, None)
            self._server = None

    def _made_up(self, version: str) -> bytes:
        if self._board.virtual is None:
            raise UsageError(f"ota_release({version!r}, firmware=…): a real board needs a real image")
        from vboard.flash import images

        made = images.build_app(self._board.chip, size=_SMALL, seed=sum(version.encode()), version=version)
        return images.with_behaviour(made, release=version)


_LISTEN = "0.0.0.0"
_SMALL = 96 << 10


@contextlib.contextmanager
def opened(config: pytest.Config, board: Board) -> Iterator[OtaServer]:
    """Nothing is served or deployed before the first test. Raises UsageError, RigError."""
    with tempfile.TemporaryDirectory(prefix="otactl-served-") as scratch:
        host = config.getoption("--board-host") or ("127.0.0.1" if board.virtual else tls.address())
        if not host:
            raise UsageError("this machine has no network address that a board could reach: name one with --board-host")
        made = OtaServer(_workspace(Path(scratch), host, _network(board)), board)
        try:
            yield made
        finally:
            made.close(restore=outcome.BROKEN not in config.stash)


def _workspace(root: Path, host: str, network: dict[str, Any]) -> Workspace:
    made = create(root, product=_PRODUCT, names=[host], port=_free_port())
    path = root / SETTINGS
    settings = tomlkit.parse(path.read_text())
    settings["board"] = {**network, "trial": _TRIAL}
    write_atomic(path, tomlkit.dumps(settings).encode(), 0o600)
    return Workspace.find(made.root)


def _network(board: Board) -> dict[str, Any]:
    """How the board reaches this machine: by the environment, as its own agent does, or the virtual network."""
    if board.virtual:
        return {"wifi": {"ssid": virtual.SSID, "password": virtual.PASSWORD}}
    found = {name: table for name, table in settings_of(board).items() if name in _LINKS}
    if ssid := os.environ.get("BOARD_WIFI_SSID"):
        found["wifi"] = {"ssid": ssid, "password": os.environ.get("BOARD_WIFI_PASSWORD", "")}
    redact.register_from(json.loads(json.dumps(found)))
    if not found:
        raise UsageError(
            f"{board.name} knows no network: give BOARD_WIFI_SSID and BOARD_WIFI_PASSWORD in the environment"
        )
    return found


def _free_port() -> int:
    import socket

    with socket.create_server(("", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
