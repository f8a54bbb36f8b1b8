"""A fleet engine that is asked by DDI, hawkBit or gooseBit: which release is meant for this board?

Nothing that it says counts but where the envelope is (P8): that is judged as one from the channel. The board answers by its
state and not by events: an open action is offered at each look until it is closed. So none is remembered, and an answer that
was lost is given again by the next look. Source: eclipse-hawkbit/hawkbit, DdiRootController.java; UpstreamDataInc/goosebit,
goosebit/updater; docs/fleet-engines.md has what was tried."""

import gc
import json

import machine
from micropython import const

from .. import release
from ..console import say
from ..errors import OtaError, coded, require
from ..net import link, url
from ..release import image
from . import let_go, swu

_MOST = const(4096)  # bytes of a reply: three times what hawkBit says of a module with two files
_OVER = ("404", "410")  # what an engine says of an action that is over
_STRANGER = ("401", "403")  # and to a board that it does not know
# What speaks against the release itself, which a later look would find as well. All else may pass: the action stays open.
_REFUSED = (
    "engine-reply envelope-too-big envelope-not-json envelope-type unknown-key bad-signature too-few-signatures schema "
    "bad-release wrong-product unknown-kind no-target replayed expired older failed-before security-version too-big "
    "encryption encryption-key image-key app-path app-mpy filesystem no-space partition data-size data-room"
).split()


class Engine:
    """`config`: of the board, whose `own` becomes what only this engine is told. Raises OtaError bad-url."""

    def __init__(self, config: dict, running, kept) -> None:
        said = config["ddi"]
        name = said["id"] or machine.unique_id().hex()
        self.address = said["url"].rstrip("/") + f"/{said['tenant']}/controller/v1/{name}"
        self._origin = url.split(self.address)[:3]
        token = said["token"]
        config["own"] = self._origin, f"Authorization: TargetToken {token}\r\n" if token else ""
        self._config, self._running, self._kept = config, running, kept
        self._action = ""  # the address of the one that is open
        self._swu, self._at = "", 0

    # --- a look ---------------------------------------------------------------------------------------------------

    def offered(self):
        """Steps that return the response with the release that is meant for this board, and its envelope. Raises OtaError:
        up-to-date where none is, not-now, engine-reply, engine-token, what link.fetch() raises."""
        self._action = ""
        _make_room()
        links = (yield from self._ask(self.address)).get("_links")
        if self._link(links, "configData"):
            yield from self._introduce()
            links = (yield from self._ask(self.address)).get("_links")  # gooseBit offers nothing before
        cancelled = self._link(links, "cancelAction")
        if cancelled:  # while a job runs nobody looks: nothing is under way that could not be left
            yield from self._tell(cancelled, "closed", "success", "runs " + self._version())
            yield from self._introduce()  # it may have come that far
            links = (yield from self._ask(self.address)).get("_links")  # what has taken its place
        require(not self._link(links, "confirmationBase"), "not-now", "confirmation")  # a person gives it
        action = self._link(links, "deploymentBase")
        deployment = _in((yield from self._ask(action)) if action else {}, "deployment")
        require(deployment, "up-to-date", self._version())
        waits = _in(deployment, "maintenanceWindow") == "unavailable"
        require(
            not waits and "skip" not in (_in(deployment, "download"), _in(deployment, "update")), "not-now", "window"
        )
        self._action = action
        self._swu = self._artifact(deployment)
        response = yield from link.fetch(self._config, self._swu)
        raw, self._at = yield from swu.envelope(response)
        return response, raw

    def place(self, payload: dict, targets: dict) -> None:
        """Where the .swu has files of a release, its targets are taken from there."""
        if self._at:
            found = [(target, swu.place(payload["targets"], target["url"], self._at)) for target in targets.values()]
            for target, at in found:  # then only: they are the payload's own
                target["url"] = f"{self._swu}#at={at}"

    def _artifact(self, deployment: dict) -> str:
        # The address of the first .swu, whichever host has it.
        try:
            for chunk in deployment["chunks"]:
                for artifact in chunk["artifacts"]:
                    links = artifact["_links"]
                    found = links.get("download") or links.get("download-http")
                    if artifact["filename"].endswith(".swu"):
                        return url.join(self.address, found["href"])
        except (KeyError, TypeError, AttributeError):
            pass
        raise OtaError("engine-reply", "no .swu")

    # --- answers --------------------------------------------------------------------------------------------------

    def begins(self, version: str):
        """Steps before a download. Raises OtaError not-now where the action is over."""
        refused = self._kept.state["refused"]  # by the last look
        lost = yield from self._tell(self._action, "proceeding", "none", version, *refused or ())
        require(lost not in _OVER, "not-now", "over")
        let_go("ddi", "swu")  # their memory is the download's

    def answer(self, why: OtaError):
        """Steps after a look that has ended with `why`. Success is said of what is confirmed, and of nothing else."""
        if not self._action or why.code == "not-now":
            return
        _make_room()
        if why.code == "up-to-date":  # what runs, and is not on trial: none looks then
            lost = yield from self._tell(self._action, "closed", "success", "confirmed " + why.detail)
            if lost is None:  # else gooseBit, which knows the version then, would not offer it again to hear the answer
                yield from self._introduce()
        elif why.code in _REFUSED:
            job, said = self._kept.job, [str(why)]
            if why.code == "failed-before" and job["version"] == why.detail:
                said = [f"{job['reason']} {job['detail'] or ''}".rstrip()] + said
            yield from self._tell(self._action, "closed", "failure", *said)
        else:
            yield from self._tell(self._action, "proceeding", "none", str(why))

    def _tell(self, action: str, execution: str, finished: str, *details):
        status = {"execution": execution, "result": {"finished": finished}, "details": details}
        return self._send("POST", action.split("?", 1)[0] + "/feedback", {"status": status})

    def _introduce(self):
        # By what gooseBit finds software for a board, and knows what it has.
        chip = image.chip(self._running)
        data = {"hw_boardname": chip, "hw_revision": self._config["product"], "sw_version": self._version()}
        return self._send("PUT", self.address + "/configData", {"mode": "merge", "data": data})

    def _send(self, method: str, address: str, what: dict):
        # Steps that return None; where it is lost, the status of a refusal, or "": the next look says it again.
        try:
            yield from self._read(address, send=(method, json.dumps(what).encode()))
        except Exception as e:
            why = coded(e)
            say("engine", why)
            return why.detail if why.code == "http-status" else ""

    def _version(self) -> str:
        return (self._kept.release_in(self._running) or {}).get("version") or "0.0.0"

    # --- what it says ---------------------------------------------------------------------------------------------

    def _ask(self, address: str):
        # Steps that return the object at an address; an empty one where that is over, as gooseBit says by null.
        try:
            raw = yield from self._read(address)
            found = json.loads(raw)
        except OtaError as e:
            if e.code != "http-status":
                raise
            require(e.detail not in _STRANGER, "engine-token", e.detail)
            if e.detail not in _OVER or address == self.address:
                raise
            return {}
        except (ValueError, RuntimeError, MemoryError):
            raise OtaError("engine-reply", "no JSON")
        return found if isinstance(found, dict) else {}

    def _read(self, address: str, **more):
        response = yield from link.fetch(self._config, address, **more)
        raw = yield from response.read(_MOST + 1)
        require(len(raw) <= _MOST, "engine-reply", "too long")
        return raw

    def _link(self, links, name: str) -> "str | None":
        # Its own host has to have what is asked and told: no board is sent to do that elsewhere.
        href = _in(_in(links, name), "href")
        if not isinstance(href, str):
            return None
        address = url.join(self.address, href)
        require(url.split(address)[:3] == self._origin, "engine-reply", "elsewhere")
        return address


def _make_room() -> None:
    # What has judged a release, in this look or one before, makes room for TLS: a chip without it stands still.
    release.make_room()
    gc.collect()


def _in(found, name: str):
    return found.get(name) if isinstance(found, dict) else None
