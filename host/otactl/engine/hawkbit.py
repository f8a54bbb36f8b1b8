"""hawkBit, by its Management API. Source: eclipse-hawkbit/hawkbit, hawkbit-mgmt-api (MgmtTargetRestApi, MgmtRolloutRestApi, ...).

A release is a software module with the .swu as its artifact, in a distribution set of its own. Written after the source; no
hawkBit ran in the tests, which have a fake (tests/engine/hawkbit.py).
"""

import base64
import time
from typing import Any
from urllib.parse import quote

from otactl.engine.calls import Calls, Refused
from otactl.engine.model import Board, Rollout
from otactl.errors import RigError, UsageError
from otactl.release.swu import Swu

_MOST = 500  # of a list; hawkBit gives no more at a time
_READY_S = 30.0  # a rollout is made by and by
_PAUSED = ("paused", "ready", "stopping", "stopped")
_OPEN = ("notstarted", "scheduled", "running")  # boards that have not said how it went
_SERVERS = "Update Server: "  # how a line begins that hawkBit itself has written


class Hawkbit:
    """Raises as model.Engine says, for each call."""

    def __init__(self, calls: Calls, user: str, password: str) -> None:
        calls.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._calls = calls
        try:
            self._list("/targets", 1)
        except (Refused, TypeError, KeyError):
            raise RigError(f"no hawkBit at {calls.url}: are [engine] url and kind in otactl.toml right?") from None

    def add(self, name: str, token: str, group: str) -> None:
        """See model.Engine."""
        facts = {"controllerId": name, "name": name, "securityToken": token, "group": group}
        if name in [one["controllerId"] for one in self._list("/targets")]:
            self._calls.json("PUT", f"/rest/v1/targets/{quote(name)}", facts)  # all but the group
            self._calls.json("PUT", f"/rest/v1/targetgroups/assigned?group={quote(group, safe='')}", [name])
        else:
            self._calls.json("POST", "/rest/v1/targets", [facts])

    def take(self, file: Swu, *, upload: bool) -> str:
        """See model.Engine; the number is the distribution set's. Raises UsageError: hawkBit takes no address."""
        if not upload:
            raise UsageError("hawkBit passes on files that it has itself, and no addresses: --upload")
        name = file.path.name.removesuffix(f"-{file.version}.swu")
        for one in self._list("/distributionsets"):
            if (one["name"], one["version"]) == (name, file.version):
                return str(one["id"])
        called = {"name": name, "version": file.version, "type": "os"}
        module = self._calls.json("POST", "/rest/v1/softwaremodules", [called])[0]["id"]
        self._calls.file("POST", f"/rest/v1/softwaremodules/{module}/artifacts", file.path)
        made = self._calls.json("POST", "/rest/v1/distributionsets", [{**called, "modules": [{"id": module}]}])
        return str(made[0]["id"])

    def roll_out(self, software: str, version: str, group: str) -> int:
        """See model.Engine. One group of hawkBit's own that all belong to; its pages have more to choose."""
        rollout = {
            "name": f"{version} {group} {int(time.time())}",
            "distributionSetId": int(software),
            "targetFilterQuery": f"group=='{group}'",
            "amountGroups": 1,
            "type": "forced",
            "successCondition": {"condition": "THRESHOLD", "expression": "50"},
            "successAction": {"action": "NEXTGROUP", "expression": ""},
            "errorCondition": {"condition": "THRESHOLD", "expression": "80"},
            "errorAction": {"action": "PAUSE", "expression": ""},
        }
        made = int(self._calls.json("POST", "/rest/v1/rollouts", rollout)["id"])
        until = time.monotonic() + _READY_S
        while self._calls.json("GET", f"/rest/v1/rollouts/{made}")["status"] == "creating":
            if time.monotonic() > until:
                raise RigError(f"hawkBit is still making rollout {made}: start it on its page")
            time.sleep(0.5)
        self._calls.json("POST", f"/rest/v1/rollouts/{made}/start")
        return made

    def pause(self, rollout: int, *, paused: bool) -> None:
        """See model.Engine."""
        self._calls.json("POST", f"/rest/v1/rollouts/{rollout}/{'pause' if paused else 'resume'}")

    def halt(self, rollout: int) -> None:
        """See model.Engine. To pause would leave it to all boards of a group that has begun; so their actions are cancelled."""
        self._calls.json("POST", f"/rest/v1/rollouts/{rollout}/stop")

    def again(self, boards: list[str]) -> None:
        """See model.Engine. hawkBit offers the next rollout to boards that have failed as to all."""

    def reason(self, board: str) -> str:
        """See model.Engine. An action has a status for each time that the board told something, the newest last."""
        actions = f"/targets/{quote(board)}/actions"
        for action in self._list(f"{actions}?sort=ID:DESC", 1):
            for status in self._list(f"{actions}/{action['id']}/status?sort=ID:DESC", 1):
                return next((line for line in status["messages"] if not line.startswith(_SERVERS)), "")
        return ""

    def remark(self) -> str:
        """See model.Engine."""
        try:
            said = self._calls.json("GET", "/rest/v1/system/configs/authentication.targettoken.enabled")
        except UsageError:  # which is not for every operator
            return ""
        return (
            ""
            if said["value"]
            else "hawkBit does not take boards' tokens: switch on its authentication by target token"
        )

    def boards(self) -> list[Board]:
        """See model.Engine. hawkBit's list has neither versions nor progress."""
        return [
            Board(
                name=one["controllerId"],
                state=one["updateStatus"],
                version="",
                wanted="",
                group=one.get("group") or "",
                progress=None,
                failed=one["updateStatus"] == "error",
                seen=_ago(one.get("lastControllerRequestAt")),
            )
            for one in self._list("/targets")
        ]

    def rollouts(self) -> list[Rollout]:
        """See model.Engine."""
        versions = {one["id"]: one["version"] for one in self._list("/distributionsets")}
        return [_rollout(one, versions) for one in self._list("/rollouts?representation=full")]

    def _list(self, path: str, most: int = _MOST) -> list[dict[str, Any]]:
        sign = "&" if "?" in path else "?"
        found: list[dict[str, Any]] = self._calls.json("GET", f"/rest/v1{path}{sign}limit={most}")["content"]
        return found


def _rollout(one: dict[str, Any], versions: dict[int, str]) -> Rollout:
    counts = one.get("totalTargetsPerStatus") or {}
    return Rollout(
        id=one["id"],
        name=one["name"],
        version=versions.get(one.get("distributionSetId", 0), ""),
        group=str(one.get("targetFilterQuery", "")).partition("==")[2].strip("'"),
        paused=one["status"] in _PAUSED,
        done=counts.get("finished", 0),
        failed=counts.get("error", 0),
        waiting=sum(counts.get(name, 0) for name in _OPEN),
    )


def _ago(at_ms: int | None) -> int | None:
    return None if at_ms is None else max(round(time.time() - at_ms / 1000), 0)
