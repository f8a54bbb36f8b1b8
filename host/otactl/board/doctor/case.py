"""What is known when the checks look: gathered once, so that a check is a plain function of it."""

import shlex
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from otactl.errors import UsageError
from otactl.workspace import trust
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the board's way to its release: what it gave, or the `code` with which it failed."""

    value: Any = None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether a server answers at the release server's port, tried from this machine.

    `mine`: the url names this machine. `address`: of the server, empty where the name does not resolve here. `loopback`,
    `outside`: something listens at 127.0.0.1, at `address`. `fault`: why this machine cannot fetch the channel's file, in
    words; None where it was not tried. `same`: what came is the file in the workspace.
    """

    mine: bool = False
    address: str = ""
    loopback: bool = False
    outside: bool = False
    fault: str | None = None
    same: bool = True


@dataclass(slots=True)
class Case:
    """`name`: of the board, as the person has it. `folder`: the workspace's, likewise. `no_place`: why there is no
    workspace. `port`, `silence`: why the port does not open, why the board does not answer; empty where all is well.
    `facts`: what questions.py asks. `config`: the board's, as it lies there; empty where it cannot be read. `status`:
    agent.status(), with `code` and `detail` where that fails. `application`: what application.py asks. `plain`: the steps went without the agent. `steps`: by
    name, as far as the board came; `broke`: why it came no further without a code. `now`: aware.
    """

    device: str
    now: datetime
    name: str = ""
    folder: Path = Path()
    place: Workspace | None = None
    no_place: str = ""
    port: str = ""
    silence: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    application: dict[str, Any] | None = None
    plain: bool = False
    steps: dict[str, Step] = field(default_factory=dict)
    broke: str = ""
    reached: Reached = field(default_factory=Reached)

    def on_board(self, verb: str) -> str:
        """`otactl VERB` for this board, as a shell takes it."""
        return f"otactl {verb}" + ("" if self.device == "auto" else f" {shlex.quote(self.name or self.device)}")

    def in_workspace(self, words: str) -> str:
        """`otactl WORDS` for this workspace."""
        return f"otactl {words}{self._named()}"

    @property
    def deploy(self) -> str:
        return self.on_board(f"deploy{self._named()}")

    @property
    def provision(self) -> str:
        return self.on_board(f"provision{self._named()}")

    @property
    def publish(self) -> str:
        return self.in_workspace("publish FIRMWARE.bin --version NEXT")

    def mpremote(self, code: str) -> str:
        """Python code, run on the board."""
        return f"mpremote connect {shlex.quote(self.device)} exec {shlex.quote(code)}"

    @property
    def curl(self) -> str:
        """The release's file fetched by another program."""
        return self.curl_of("")

    @property
    def newest_document(self) -> int:
        """The number of the newest trust document, by the workspace; 0 where there is none."""
        try:
            newest = trust.load(self.place) if self.place else None
        except UsageError:
            newest = None
        return newest.version if newest else 0

    def curl_of(self, beside: str) -> str:
        """The same of a file that lies beside it; the release's where that is empty."""
        url = self.config.get("url") or (self.place.channel_url if self.place else "")
        url = url.rpartition("/")[0] + "/" + beside if beside else url
        ca = f"--cacert {shlex.quote(str(self.place.tls / 'ca.pem'))} " if self.place else ""
        return f"curl -v {ca}{shlex.quote(url)}"

    def _named(self) -> str:
        return "" if self.folder == Path() else f" -w {shlex.quote(str(self.folder))}"
