"""gooseBit, by its REST interface. Source: UpstreamDataInc/goosebit, goosebit/api/v1."""

import secrets
from typing import Any
from urllib.parse import quote

from otactl.engine.calls import Calls, Refused
from otactl.engine.model import Board, Rollout
from otactl.errors import RigError, UsageError
from otactl.release.swu import Swu

_FAILED = "Error"  # such a board is offered nothing until it is forced
_AGAIN = "failed-before "  # what a board says in addition, behind the reason


class Goosebit:
    """Raises as model.Engine says, for each call."""

    def __init__(self, calls: Calls, user: str, password: str) -> None:
        self._calls = calls
        try:
            said = calls.form("POST", "/login", {"username": user, "password": password})
            calls.authorization = f"Bearer {said['access_token']}"
        except (Refused, TypeError, KeyError):
            raise RigError(f"no gooseBit at {calls.url}: are [engine] url and kind in otactl.toml right?") from None

    def add(self, name: str, token: str, group: str) -> None:
        """See model.Engine."""
        self._calls.json("PUT", "/api/v1/devices", {"devices": [name]})
        self._change([name], auth_token=token, name=name, feed=group, software="rollout")

    def take(self, file: Swu, *, upload: bool) -> str:
        """See model.Engine."""
        for one in self._calls.json("GET", "/api/v1/software")["software"]:
            if one["name"].rpartition("/")[2] == file.path.name:  # gooseBit takes no version twice
                return str(one["id"])
        try:
            if upload:
                made = self._calls.file("PUT", "/api/v1/software", file.path)
            else:
                made = self._calls.form("PUT", "/api/v1/software", {"url": file.url})
        except Refused as error:
            if error.status == 500:
                raise RigError(
                    f"{error}: it has this kind of board twice, perhaps; docs/fleet-engines.md tells how to mend that"
                ) from None
            if error.status == 422 and not upload:
                raise RigError(
                    f"gooseBit does not get {file.url}: does the server run, and gooseBit with SSL_CERT_FILE, the CA of its "
                    "certificate? Or give it the file: --upload"
                ) from None
            raise
        return str(made["id"])

    def roll_out(self, software: str, version: str, group: str) -> int:
        """See model.Engine. The newest one of a group counts."""
        made = self._calls.json(
            "PUT", "/api/v1/rollouts", {"name": version, "feed": group, "software_id": int(software)}
        )
        return int(made["id"])

    def pause(self, rollout: int, *, paused: bool) -> None:
        """See model.Engine. Those of the group before it as well: gooseBit would offer the last one that is not paused to boards that
        have this one, which refuse it, and are in Error then."""
        ids = [rollout]
        if paused:
            found = {one.id: one.group for one in self.rollouts()}
            ids += [one for one, group in found.items() if one < rollout and group == found.get(rollout)]
        self._calls.json("PATCH", "/api/v1/rollouts", {"ids": ids, "paused": paused})

    def halt(self, rollout: int) -> None:
        """See model.Engine."""
        self.pause(rollout, paused=True)

    def again(self, boards: list[str]) -> None:
        """See model.Engine."""
        if boards:
            self._change(boards, force_update=True)

    def reason(self, board: str) -> str:
        """See model.Engine. gooseBit's log of a board begins anew with each release, and has a line for each detail."""
        log = self._calls.json("GET", f"/api/v1/devices/{quote(board)}/log")["log"] or ""
        return next((line for line in reversed(log.splitlines()) if line and not line.startswith(_AGAIN)), "")

    def remark(self) -> str:
        """See model.Engine. Asked as a board that it does not know."""
        name = f"otactl-{secrets.token_hex(8)}"
        try:
            self._calls.json("GET", f"/DEFAULT/controller/v1/{name}")
        except UsageError:
            return ""
        self._calls.json("DELETE", "/api/v1/devices", {"devices": [name]})
        return (
            "gooseBit lets in whoever says a board's name: start it with "
            'GOOSEBIT_DEVICE_AUTH=\'{"enable": true, "mode": "strict"}\''
        )

    def boards(self) -> list[Board]:
        """See model.Engine."""
        found = self._calls.json("GET", "/api/v1/devices")["devices"]
        return [_board(one) for one in found]

    def rollouts(self) -> list[Rollout]:
        """See model.Engine."""
        found = self._calls.json("GET", "/api/v1/rollouts")["rollouts"]
        boards = self.boards() if found else []
        groups = {feed: [board for board in boards if board.group == feed] for feed in {one["feed"] for one in found}}
        counted = _counted(found)
        return [_rollout(one, groups[one["feed"]] if one["id"] in counted else None) for one in found]

    def _change(self, boards: list[str], **changes: Any) -> None:
        self._calls.json("PATCH", "/api/v1/devices", {"devices": boards, **changes})


def _board(one: dict[str, Any]) -> Board:
    return Board(
        name=one["id"],
        state=one["last_state"],
        version=one.get("sw_version") or "",
        wanted=(one.get("assigned_software") or {}).get("version") or "",
        group=one.get("feed") or "",
        progress=one.get("progress"),
        failed=one["last_state"] == _FAILED and not one["force_update"],
        seen=one.get("last_seen"),
    )


def _counted(found: list[dict[str, Any]]) -> set[int]:
    """Rollouts whose boards may still come: the newest of each group, and the newest that is not paused, which it is offered."""
    oldest_first = sorted(found, key=lambda one: int(one["id"]))
    newest = {one["feed"]: one["id"] for one in oldest_first}
    offered = {one["feed"]: one["id"] for one in oldest_first if not one["paused"]}
    return {*newest.values(), *offered.values()}


def _rollout(one: dict[str, Any], boards: list[Board] | None) -> Rollout:
    """`boards`: of its group, where it is one of _counted(). They are counted, as gooseBit's own counts miss some where several
    boards answer at the same moment (updater/controller/v1/routes.py: read, add one, write)."""
    version = one["software"]["version"]
    done, failed, waiting = one["success_count"], one["failure_count"], 0
    if boards is not None:
        done = sum(board.version == version for board in boards)
        failed = sum(board.failed for board in boards)
        waiting = sum(board.version != version and not board.failed for board in boards)
    return Rollout(one["id"], one.get("name") or "", version, one["feed"], one["paused"], done, failed, waiting)
