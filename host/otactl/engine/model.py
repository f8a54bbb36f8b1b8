"""What every engine can be asked for, by whatever names it has for it."""

from dataclasses import dataclass
from typing import Protocol

from otactl.release.swu import Swu


@dataclass(frozen=True, slots=True)
class Board:
    """`state`: a word of the engine's. `failed`: its last release has, and it is offered nothing until the next one. `seen`: seconds
    since it asked, None: never."""

    name: str
    state: str
    version: str
    wanted: str
    group: str
    progress: int | None
    failed: bool
    seen: int | None


@dataclass(frozen=True, slots=True)
class Rollout:
    """Of `version`, to the boards of `group`; how many of them have said how it went, and how many have not yet."""

    id: int
    name: str
    version: str
    group: str
    paused: bool
    done: int
    failed: int
    waiting: int


class Engine(Protocol):
    """Each raises RigError where the engine does not answer, or refuses; UsageError where it does not let us in."""

    def add(self, name: str, token: str, group: str) -> None:
        """A board that may ask with that token, in that group; one that is there is changed."""

    def take(self, file: Swu, *, upload: bool) -> str:
        """The number of the software that it makes of the file, or of its address."""

    def remark(self) -> str:
        """What of its settings lets strangers in, or keeps boards out, and how to mend that; "": nothing."""

    def roll_out(self, software: str, version: str, group: str) -> int:
        """Boards of that group are offered it: the rollout's number."""

    def pause(self, rollout: int, *, paused: bool) -> None:
        """Offer it to no further board, or go on. hawkBit: begin no further group."""

    def halt(self, rollout: int) -> None:
        """End it, as boards fail: no board is offered it from then on."""

    def again(self, boards: list[str]) -> None:
        """Boards that have failed are offered what is meant for them."""

    def reason(self, board: str) -> str:
        """What a board has told last of why its release failed: a code, perhaps with a detail behind it; "": nothing."""

    def boards(self) -> list[Board]: ...

    def rollouts(self) -> list[Rollout]: ...
