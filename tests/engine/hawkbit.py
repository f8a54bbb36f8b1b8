"""A fake hawkBit, as far as boards and `otactl engine` speak with it; the real one is Java, and not to be had here.

Source: eclipse-hawkbit/hawkbit, DdiRootController.java (deploymentBase, feedback, cancelAction, confirmationBase) and
hawkbit-mgmt-api. What its DDI does otherwise than gooseBit's is what this is for.
"""

import re
from typing import Any

from engine.served import Asked, Reply, as_json, part_of

_QUERY = "?c=-2127183556"  # it stands behind each of hawkBit's addresses of an action
_DDI = re.compile(r"/DEFAULT/controller/v1/(?P<board>[^/]+)(?:/(?P<what>.+))?\Z")
_ACTION = re.compile(r"(?P<kind>deploymentBase|cancelAction|confirmationBase)/(?P<id>\d+)(?P<feedback>/feedback)?\Z")
_FINISHED = {"success": "finished", "none": "finished", "failure": "error"}


class Hawkbit:
    """One action at a time, of all boards. `states`: of each action: running, waiting (for a confirmation), canceling, canceled,
    finished, error. `window`: what a maintenance window does."""

    def __init__(self) -> None:
        self.targets: dict[str, dict[str, Any]] = {}
        self.attributes: dict[str, str] = {}
        self.states: dict[int, str] = {}
        self.details: list[str] = []
        self.window: str | None = None
        self._files: dict[str, bytes] = {}
        self._sets: list[dict[str, Any]] = []
        self._rollouts: list[dict[str, Any]] = []

    def assign(self, state: str = "running") -> int:
        """What was uploaded last is meant for all boards: the action's number."""
        self.states[len(self.states) + 11] = state
        return max(self.states)

    def answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/rest/v1"):
            return self._operator(asked, asked.path.removeprefix("/rest/v1"))
        found = _DDI.match(asked.path)
        if not found or found["board"] not in self.targets:
            return Reply(404)
        if asked.headers.get("authorization") != f"TargetToken {self.targets[found['board']]['securityToken']}":
            return Reply(401)
        base = f"https://{asked.headers['host']}/DEFAULT/controller/v1/{found['board']}"
        return self._board(asked, base, found["what"] or "")

    # --- boards -----------------------------------------------------------------------------------

    def _board(self, asked: Asked, base: str, what: str) -> Reply:
        if not what:
            return as_json({"config": {"polling": {"sleep": "00:05:00"}}, "_links": self._links(base)})
        if what == "configData":
            self.attributes |= asked.said["data"]
            return Reply(200)
        if what.startswith("softwaremodules/23/artifacts/"):
            return part_of(self._files[what.rpartition("/")[2]], asked)
        found = _ACTION.match(what)
        assert found, what
        state = self.states.get(int(found["id"]))
        if found["feedback"]:
            return self._feedback(found["kind"], int(found["id"]), asked.said["status"])
        if found["kind"] != "deploymentBase" or state in ("waiting", "canceling", "canceled", None):
            return Reply(404)
        return as_json({"id": found["id"], "deployment": self._deployment(base)})

    def _links(self, base: str) -> dict[str, Any]:
        kinds = {"running": "deploymentBase", "canceling": "cancelAction", "waiting": "confirmationBase"}
        open_ones = [(number, state) for number, state in self.states.items() if state in kinds]
        links = {"configData": {"href": f"{base}/configData"}} if not self.attributes else {}
        for number, state in open_ones[:1]:
            query = _QUERY if state == "running" else ""
            links[kinds[state]] = {"href": f"{base}/{kinds[state]}/{number}{query}"}
        return links

    def _deployment(self, base: str) -> dict[str, Any]:
        name = list(self._files)[-1]
        address = f"{base}/softwaremodules/23/artifacts/{name}"
        links = {"download-http": {"href": address}, "md5sum-http": {"href": address + ".MD5SUM"}}
        artifact = {"filename": name, "size": len(self._files[name]), "hashes": {}, "_links": links}
        chunk = {"part": "os", "version": "1", "name": "lamp", "artifacts": [artifact]}
        made = {"download": "forced", "update": "forced", "chunks": [chunk]}
        waits = {"update": "skip", "maintenanceWindow": self.window} if self.window == "unavailable" else {}
        return made | waits

    def _feedback(self, kind: str, number: int, status: dict[str, Any]) -> Reply:
        self.details += status["details"]
        execution, state = status["execution"], self.states[number]
        if kind == "cancelAction":
            assert execution in ("closed", "rejected"), "an error in hawkBit's log"
            self.states[number] = "canceled" if execution == "closed" else "running"
            return Reply(200)
        if state == "waiting":
            return Reply(404)
        if state not in ("running", "canceling"):
            return Reply(410)
        if execution == "closed":
            self.states[number] = _FINISHED[status["result"]["finished"]]
        return Reply(200)

    # --- the operator -----------------------------------------------------------------------------

    def _operator(self, asked: Asked, path: str) -> Reply:
        if not asked.headers.get("authorization", "").startswith("Basic "):
            return Reply(401)
        if asked.method == "GET":
            listed: dict[str, list[Any]] = {
                "/targets": [{"updateStatus": "registered"} | one for one in self.targets.values()],
                "/distributionsets": self._sets,
                "/rollouts": self._rollouts,
            }
            return as_json({"content": listed[path]} if path in listed else self._rollouts[0])
        if path == "/targets":
            self.targets |= {one["controllerId"]: one for one in asked.said}
            return as_json(asked.said, 201)
        if path == "/softwaremodules":
            return as_json([{"id": 23}], 201)
        if path == "/softwaremodules/23/artifacts":
            head, _, rest = asked.body.partition(b"\r\n\r\n")
            mark = head.partition(b"\r\n")[0]
            name = re.search(rb'filename="([^"]+)"', head)
            assert name
            self._files[name[1].decode()] = rest.partition(b"\r\n" + mark)[0]
            return as_json({"id": 1}, 201)
        if path == "/distributionsets":
            self._sets += [one | {"id": len(self._sets) + 5} for one in asked.said]
            return as_json(self._sets[-1:], 201)
        if path == "/rollouts":
            counts = {"finished": 0, "error": 0}
            self._rollouts.append(asked.said | {"id": 7, "status": "ready", "totalTargetsPerStatus": counts})
            return as_json(self._rollouts[-1], 201)
        action = path.rpartition("/")[2]
        self._rollouts[-1]["status"] = {"start": "running", "resume": "running", "pause": "paused"}[action]
        if action == "start":
            self.assign()
        return Reply(200)
