"""A rollout as the page shows it."""

import json
from dataclasses import dataclass

from otactl.fleet.store import Store
from otactl.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Stage:
    """`percent` of the boards, or a `cohort`; how many are `inside`, and what has become of them."""

    percent: int | None
    cohort: str
    state: str
    inside: int
    confirmed: int
    rolled_back: int


@dataclass(frozen=True, slots=True)
class View:
    """`state`: running, soaking, paused, halted, done or aborted; `why`: in words."""

    version: str
    stages: tuple[Stage, ...]
    state: str
    why: str


def current(place: Workspace, store: Store) -> View | None:
    raw = store.get("rollout")
    if raw is None:
        return None
    found = json.loads(raw)
    return View(found["version"], tuple(Stage(**one) for one in found["stages"]), found["state"], found["why"])


def pause(store: Store) -> None:
    _set(store, "paused")


def resume(store: Store) -> None:
    _set(store, "running")


def _set(store: Store, state: str) -> None:
    raw = store.get("rollout")
    if raw:
        store.put("rollout", json.dumps(json.loads(raw) | {"state": state}))
