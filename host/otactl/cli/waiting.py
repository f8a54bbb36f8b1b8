"""The spinner of a wait."""

import time

from rich.console import RenderableType
from rich.spinner import Spinner
from rich.text import Text


class Waiting(Spinner):
    """A spinner that says for how long."""

    def __init__(self, what: str, began: float | None) -> None:
        super().__init__("dots")
        self._what, self._began = what, began
        self.counts = began is not None

    def render(self, time_s: float) -> RenderableType:
        since = "" if self._began is None else f" {time.monotonic() - self._began:.0f} s"
        self.text = Text(f"{self._what}{since}", "dim")
        return super().render(time_s)
