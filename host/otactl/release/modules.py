"""What of an application's names MicroPython would stumble over, or would find another thing by."""

from collections.abc import Iterator, Sequence

from otactl.errors import ReleaseError
from otactl.release import taken

MAIN = "app"  # what main.py runs
ENDINGS = (".py", ".mpy")
HOOKS = tuple(f"{stem}{ending}" for stem in ("boot", "main") for ending in ENDINGS)
_MOST_PATH = 127 - len("/app-ota_0/")  # bytes; what import makes a path in (MICROPY_ALLOC_PATH_MAX of ports/esp32)


def module_of(name: str) -> str:
    """ "lib.x" for lib/x.py and lib/x/__init__.mpy; empty for what is no module."""
    stem, dot, ending = name.rpartition(".")
    if f"{dot}{ending}" not in ENDINGS:
        return ""
    return stem.removesuffix("/__init__").replace("/", ".")


def require(names: Sequence[str], *, any_names: bool = False) -> None:
    """`names`: of the files as they lie on the board. `any_names`: also those of others' modules.

    Raises ReleaseError for a tree that has no main module, hides a module of another's, or has two of one name.
    """
    modules: dict[str, str] = {}
    for name in names:
        module = module_of(name)
        if not module:
            continue
        if module in modules:
            raise ReleaseError(f"{modules[module]} and {name} are one module to MicroPython: keep one of them")
        if len(name.encode()) > _MOST_PATH:
            raise ReleaseError(f"{name}: MicroPython imports from paths of {_MOST_PATH} bytes at the most")
        modules[module] = name
    if MAIN not in modules:
        raise ReleaseError(_no_main(names))
    for folder in _folders(names):
        module = folder.replace("/", ".")
        if module in modules and f"{folder}/" not in modules[module]:  # no package of that name
            raise ReleaseError(
                f"the folder {folder}/ hides {modules[module]}: to MicroPython a folder comes first; rename one of them"
            )
    if not any_names:
        _require_free(names)


def _no_main(names: Sequence[str]) -> str:
    why = f"no {MAIN}.py (or {MAIN}/__init__.py) in it, which main.py of a board runs"
    modules = {module_of(name): name for name in names}
    if "main" in modules:
        return f"{why}: call main.py {MAIN}.py"
    below = [name.rpartition("/")[0] for module, name in modules.items() if module.endswith(f".{MAIN}")]
    return f"{why}: is it --app {below[0]}?" if below else why


def _require_free(names: Sequence[str]) -> None:
    at_top = {name.partition("/")[0] if "/" in name else module_of(name) for name in names}
    for module in sorted(at_top - {""}):
        if whose := taken.whose(module):
            shown = next(name for name in names if name.startswith((f"{module}/", f"{module}.")))
            raise ReleaseError(
                f"{shown} has the name of {whose}, and would be found in its place: rename it, or --force-names"
            )


def advice(names: Sequence[str]) -> Iterator[str]:
    """A line for each thing that MicroPython takes otherwise than it may be meant."""
    for folder in _folders(names):
        inside = [name for name in names if name.startswith(f"{folder}/")]
        direct = [name for name in inside if "/" not in name.removeprefix(f"{folder}/") and module_of(name)]
        if folder == "lib" and direct:
            yield f"lib/ of an application is not searched for modules: `import lib.{_stem(direct[0])}`, or move them up"
        elif direct and not any(module_of(name) == folder.replace("/", ".") for name in direct):
            yield f"{folder}/ has no __init__.py: it hides a package {folder.replace('/', '.')} in /lib of the board"


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _folders(names: Sequence[str]) -> list[str]:
    """All folders that names are in, each once."""
    parts = [name.split("/") for name in names]
    return sorted({"/".join(one[:depth]) for one in parts for depth in range(1, len(one))})
