"""A fake hawkBit, as far as boards and `otactl engine` speak with it; the real one is Java, and not to be had here.

It is as strict as the source, eclipse-hawkbit/hawkbit at 67ca1c4: DdiRootController.java, DataConversionHelper.java (what is linked
when), hawkbit-ddi-api's model (what is read), SecurityTokenAuthenticator.java, JpaControllerManagement.java (what a word does),
JpaRolloutManagement.java, MgmtTargetResource.java. Only what its boards have in common is kept once for all of them: one action at
a time."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from engine.served import Asked, Reply, as_json, part_of

_QUERY = "?c=-2127183556"  # behind the addresses of actions that may change
_DDI = re.compile(r"/DEFAULT/controller/v1/(?P<board>[^/]+)(?:/(?P<what>.+))?\Z")
_ACTION = re.compile(
    r"(?P<kind>deploymentBase|cancelAction|confirmationBase|installedBase)/(?P<id>\d+)(?P<feedback>/feedback)?\Z"
)
_LINKED = {"running": "deploymentBase", "canceling": "cancelAction", "waiting": "confirmationBase"}
_EXECUTIONS = ("closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download")
_FINISHED = {"success": "finished", "none": "finished", "failure": "error"}
_MOST_DETAILS = 50
_NEXT = {  # of a rollout: what is asked, in which states it may be, and what it is then
    "start": (("ready",), "running"),
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "stop": (("running", "paused", "ready"), "stopping"),
}
_COUNTED = {"running": "running", "waiting": "running", "canceling": "running", "canceled": "cancelled"}


@dataclass
class Refused(Exception):
    status: int


class Hawkbit:
    """`states`: of each action: running, waiting (for a confirmation), canceling, canceled, finished, error. `window`: whether a
    maintenance window is open, "" where there is none. `download_only`: of the action. `tokens`: target tokens are switched on."""

    def __init__(self) -> None:
        self.targets: dict[str, dict[str, Any]] = {}
        self.attributes: dict[str, str] = {}
        self.states: dict[int, str] = {}
        self.details: list[str] = []
        self.window = ""
        self.download_only = False
        self.tokens = True
        self.status = "registered"
        self._asks = True  # for attributes
        self._files: dict[str, bytes] = {}
        self._sets: list[dict[str, Any]] = []
        self.rollouts: list[dict[str, Any]] = []

    def assign(self, state: str = "running") -> int:
        """What was uploaded last is meant for all boards: the action's number. One that is open has to be left first."""
        for number, now in self.states.items():
            if now in ("running", "waiting"):
                self.states[number] = "canceling"
        self.states[len(self.states) + 11] = state
        return max(self.states)

    def answer(self, asked: Asked) -> Reply:
        try:
            if asked.body and "multipart" not in asked.headers["content-type"]:
                _require(asked.headers["content-type"] in ("application/json", "application/hal+json"), 415)
            if asked.path.startswith("/rest/v1"):
                return self._operator(asked, asked.path.removeprefix("/rest/v1"))
            found = _DDI.match(asked.path)
            _require(found, 404)
            assert found
            known = self.targets.get(found["board"], {}).get("securityToken") if self.tokens else None
            _require(known and asked.headers.get("authorization") == f"TargetToken {known}", 401)
            base = f"https://{asked.headers['host']}/DEFAULT/controller/v1/{found['board']}"
            return self._board(asked, base, found["what"] or "")
        except Refused as refused:
            said = {"exceptionClass": "…", "errorCode": "hawkbit.server.error", "message": "…"}
            return as_json(said, refused.status) if refused.status != 404 else Reply(404)

    # --- boards -----------------------------------------------------------------------------------

    def _board(self, asked: Asked, base: str, what: str) -> Reply:
        if not what:
            _require(asked.method == "GET", 405)
            return as_json({"config": {"polling": {"sleep": "00:05:00"}}, "_links": self._links(base)})
        if what == "configData":
            return self._config_data(asked)
        if what.startswith("softwaremodules/23/artifacts/"):
            name = what.rpartition("/")[2]
            _require(name in self._files, 404)
            return part_of(self._files[name], asked)
        found = _ACTION.match(what)
        _require(found, 404)
        assert found
        state = self.states.get(int(found["id"]))
        _require(state, 404)
        if found["feedback"]:
            _require(asked.method == "POST", 405)
            return self._feedback(found["kind"], int(found["id"]), _status(asked))
        _require(asked.method == "GET", 405)
        closed = state in ("finished", "error")
        if found["kind"] == "cancelAction":
            _require(state in ("canceling", "canceled"), 404)
            return as_json({"id": found["id"], "cancelAction": {"stopId": found["id"]}})
        readable = {
            "deploymentBase": state == "running" or closed,
            "confirmationBase": state == "waiting",
            "installedBase": closed,
        }
        _require(readable[found["kind"]], 404)
        name = "confirmation" if found["kind"] == "confirmationBase" else "deployment"
        return as_json({"id": found["id"], name: self._deployment(base)})

    def _config_data(self, asked: Asked) -> Reply:
        _require(asked.method == "PUT", 405)
        data, mode = asked.said.get("data"), asked.said.get("mode", "merge")
        good = isinstance(data, dict) and data and mode in ("merge", "replace", "remove")
        _require(good and all(isinstance(one, str) and len(one) <= 128 for pair in data.items() for one in pair), 400)
        self.attributes |= data
        self._asks = False
        return Reply(200)

    def _links(self, base: str) -> dict[str, Any]:
        links = {}
        for number, state in self.states.items():
            if state in _LINKED and not links:  # the oldest alone
                query = "" if state == "canceling" else _QUERY
                links[_LINKED[state]] = {"href": f"{base}/{_LINKED[state]}/{number}{query}"}
        done = [number for number, state in self.states.items() if state == "finished"]
        if done:
            links["installedBase"] = {"href": f"{base}/installedBase/{done[-1]}"}
        if self._asks:
            links["configData"] = {"href": f"{base}/configData"}
        return links

    def _deployment(self, base: str) -> dict[str, Any]:
        name = list(self._files)[-1]
        other = {"part": "bApp", "version": "1", "name": "notes", "artifacts": [_artifact(base, "notes.txt", b"", 24)]}
        chunk = {
            "part": "os",
            "version": "1",
            "name": "lamp",
            "artifacts": [_artifact(base, name, self._files[name], 23)],
        }
        waits = self.download_only or self.window == "unavailable"
        made = {"download": "forced", "update": "skip" if waits else "forced", "chunks": [other, chunk]}
        return made | ({"maintenanceWindow": self.window} if self.window else {})

    def _feedback(self, kind: str, number: int, status: dict[str, Any]) -> Reply:
        execution, state = status["execution"], self.states[number]
        if kind == "cancelAction":
            _require(state in ("canceling", "canceled"), 400)  # CancelActionNotAllowedException
            accepted = {"closed": status["result"]["finished"] != "failure", "rejected": False}
            if execution in accepted:
                self.states[number] = "canceled" if accepted[execution] else "running"
            self.details += status.get("details", [])
            return Reply(200)
        _require(kind == "deploymentBase" and state != "waiting", 404)
        if state not in ("running", "canceling"):
            return Reply(410)
        if execution == "closed":
            self.states[number] = _FINISHED[status["result"]["finished"]]
            self.status = "in_sync" if self.states[number] == "finished" else "error"
            self._asks |= self.states[number] == "finished"
        elif execution == "canceled":
            self.states[number] = "canceled"
        self.details += status.get("details", [])
        return Reply(200)

    # --- the operator -----------------------------------------------------------------------------

    def _operator(self, asked: Asked, path: str) -> Reply:
        _require(asked.headers.get("authorization", "").startswith("Basic "), 401)
        kind, _, rest = path.removeprefix("/").partition("/")
        verbs = {
            "targets": self._targets,
            "targetgroups": self._groups,
            "softwaremodules": self._modules,
            "distributionsets": self._distribution_sets,
            "rollouts": self._rollouts,
            "system": self._system,
        }
        _require(kind in verbs, 404)
        return verbs[kind](asked, rest)

    def _targets(self, asked: Asked, rest: str) -> Reply:
        name, _, more = rest.partition("/")
        if asked.method == "POST":
            new = {one["controllerId"]: one for one in asked.said}
            _require(not new.keys() & self.targets.keys(), 409)
            self.targets |= new
            return as_json(asked.said, 201)
        if not name:
            return as_json({"content": [{"updateStatus": self.status} | one for one in self.targets.values()]})
        _require(name in self.targets, 404)
        if asked.method == "PUT":
            changed = {key: asked.said[key] for key in ("name", "securityToken") if key in asked.said}
            self.targets[name] |= changed  # and never the group
            return as_json(self.targets[name])
        if more == "actions":
            return as_json({"content": [{"id": number} for number in sorted(self.states, reverse=True)][:1]})
        _require(re.fullmatch(r"actions/\d+/status", more), 404)
        told = {"messages": ["Update Server: a word of its own", *self.details[-2:]]}
        return as_json({"content": [told] if self.details else []})

    def _groups(self, asked: Asked, rest: str) -> Reply:
        _require((asked.method, rest) == ("PUT", "assigned"), 404)
        for name in asked.said:
            self.targets[name]["group"] = parse_qs(asked.query)["group"][0]
        return Reply(204)

    def _modules(self, asked: Asked, rest: str) -> Reply:
        if not rest:
            return as_json([{"id": 23}], 201)
        _require(rest == "23/artifacts", 404)
        head, _, body = asked.body.partition(b"\r\n\r\n")
        mark = head.partition(b"\r\n")[0]
        name = re.search(rb'filename="([^"]+)"', head)
        _require(name, 400)
        assert name
        self._files[name[1].decode()] = body.partition(b"\r\n" + mark)[0]
        return as_json({"id": 1}, 201)

    def _distribution_sets(self, asked: Asked, _: str) -> Reply:
        if asked.method == "GET":
            return as_json({"content": self._sets})
        self._sets += [one | {"id": len(self._sets) + 5} for one in asked.said]
        return as_json(self._sets[-1:], 201)

    def _rollouts(self, asked: Asked, rest: str) -> Reply:
        if asked.method == "POST" and not rest:
            _require(asked.said["name"] not in [one["name"] for one in self.rollouts], 409)
            self.rollouts.append(asked.said | {"id": len(self.rollouts) + 7, "status": "creating"})
            return as_json(self.rollouts[-1], 201)
        if not rest:
            full = parse_qs(asked.query).get("representation") == ["full"]
            return as_json({"content": [one | (self._counts(one) if full else {}) for one in self.rollouts]})
        number, _, action = rest.partition("/")
        found = next((one for one in self.rollouts if str(one["id"]) == number), None)
        _require(found, 404)
        assert found
        if not action:
            said = dict(found)
            if found["status"] == "creating":  # by and by, and not when it is asked for
                found["status"] = "ready"
            return as_json(said)
        _require(action in _NEXT, 404)
        allowed, then = _NEXT[action]
        _require(found["status"] in allowed, 400)
        found["status"] = then
        if action == "start":
            found["action"] = self.assign()
        if action == "stop":
            for open_one in [one for one, state in self.states.items() if state in ("running", "waiting")]:
                self.states[open_one] = "canceling"
            found["status"] = "stopped"
        return Reply(204)

    def _counts(self, rollout: dict[str, Any]) -> dict[str, Any]:
        counts = dict.fromkeys(("running", "notstarted", "scheduled", "cancelled", "finished", "error"), 0)
        state = self.states.get(rollout.get("action", 0), "")
        name = _COUNTED.get(state, state) or "notstarted"
        counts[name] = sum(f"group=='{one['group']}'" == rollout["targetFilterQuery"] for one in self.targets.values())
        return {"totalTargetsPerStatus": counts}

    def _system(self, asked: Asked, rest: str) -> Reply:
        _require(rest == "configs/authentication.targettoken.enabled", 404)
        return as_json({"value": self.tokens, "global": True})


def _artifact(base: str, name: str, data: bytes, module: int) -> dict[str, Any]:
    address = f"{base}/softwaremodules/{module}/artifacts/{name}"
    links = {"download-http": {"href": address}, "md5sum-http": {"href": address + ".MD5SUM"}}
    hashes = {"sha1": "0" * 40, "md5": "0" * 32, "sha256": "0" * 64}
    return {"filename": name, "hashes": hashes, "size": len(data), "_links": links}


def _status(asked: Asked) -> dict[str, Any]:
    """What DdiActionFeedback reads; where it does not, 400."""
    status = asked.said.get("status")
    result = status.get("result") if isinstance(status, dict) else None
    _require(
        isinstance(result, dict) and status["execution"] in _EXECUTIONS and result.get("finished") in _FINISHED, 400
    )
    details = status.get("details", [])
    _require(isinstance(details, list) and all(isinstance(one, str) for one in details), 400)
    _require(len(details) <= _MOST_DETAILS, 429)
    found: dict[str, Any] = status
    return found


def _require(truth: object, status: int) -> None:
    if not truth:
        raise Refused(status)
