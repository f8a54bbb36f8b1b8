"""A picture of what a command shows: an SVG file, for README."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from otactl.cli import display
from otactl.files import write_atomic

_COLUMNS = 92
_SVG = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # no fonts from elsewhere


@contextlib.contextmanager
def pictured(path: Path, title: str) -> Iterator[None]:
    """Draw all that is printed meanwhile into an SVG file, in the end."""
    drawing = Console(
        record=True,
        force_terminal=True,
        color_system="truecolor",
        width=_COLUMNS,
        highlight=False,
        file=None if display.console().is_terminal else io.StringIO(),
    )
    with display.onto(drawing):
        yield
    drawn = drawing.export_svg(title=title, code_format=_SVG, unique_id="otactl")
    write_atomic(path, drawn.encode())
