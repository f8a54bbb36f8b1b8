"""esptool without its own words: what is to be said of a board or a file, otactl says.

By a logger of esptool's (its "Custom Logger" in docs/en/esptool/scripting.rst), because to hold sys.stdout back
would silence all threads.
"""

import threading

from esptool.logger import TemplateLogger, log
from esptool.reset import ResetStrategy
from esptool.util import PrintOnce


class _Silent(TemplateLogger):
    """Its seven methods, each saying nothing."""

    def print(self, *args: object, **kwargs: object) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        pass

    def error(self, message: str) -> None:
        pass

    def stage(self, finish: bool = False) -> None:
        pass

    def progress_bar(
        self, cur_iter: int, total_iters: int, prefix: str = "", suffix: str = "", bar_length: int = 30
    ) -> None:
        pass

    def set_verbosity(self, verbosity: str) -> None:
        pass


_once = threading.Lock()


def esptool() -> None:
    """Let esptool say nothing in this process from now on; what goes wrong is in its exceptions."""
    with _once:
        if hasattr(log, "set_logger"):  # which esptool's first logger has only
            log.set_logger(_Silent())
            ResetStrategy.print_once = PrintOnce(log.warn)  # it keeps the logger that was there at its import
