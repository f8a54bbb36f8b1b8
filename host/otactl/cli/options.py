"""The command without its verbs, and what verbs are made with.

A new verb is a function under `@verb` in one of the `*_verbs` files (or a new file that main.py imports): its docstring is
the help, what it returns the exit code, and what it needs is imported inside it, so that `otactl --help` stays quick.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from otactl import __version__
from otactl.cli import told
from otactl.errors import UsageError
from otactl.words import counted

WORKSPACE, BOARD, TOOLS = "Workspace", "Board", "Tools"  # the groups of `otactl --help`, in this order
PORT = click.IntRange(0, 0xFFFF)
FILE = click.Path(path_type=Path)

Run = Callable[..., int]


# no colours: rich-click's cyan, yellow and green cannot be read on a light ground
_STYLES = {
    "style_option": "bold",
    "style_switch": "bold",
    "style_argument": "bold",
    "style_command": "bold",
    "style_usage": "bold",
    "style_metavar": "italic",
    "style_required_short": "red",
}


class _Verbs(click.RichGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they are written, not by the alphabet; those with verbs of their own behind the others."""
        return sorted(self.commands, key=lambda name: isinstance(self.commands[name], click.Group))


class _Verb(click.RichCommand):
    def invoke(self, ctx: click.Context) -> int:
        told.remember(ctx)
        code: int = super().invoke(ctx)
        return code


@click.group(
    cls=_Verbs,
    no_args_is_help=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "rich_help_config": {"text_markup": None, **_STYLES},
    },
    epilog="Exit codes: 0 done, 1 the update or the board is at fault, 2 wrong usage, "
    "3 the rig is at fault (port, server, tool). `otactl VERB --help` has an example.",
)
@click.version_option(__version__, message="otactl %(version)s")
@click.command_panel(WORKSPACE)
@click.command_panel(BOARD)
@click.command_panel(TOOLS)
def otactl() -> None:
    """Over-the-air updates for ESP32 boards that run stock MicroPython."""


def verb(group: str, example: str) -> Callable[[Run], click.RichCommand]:
    """Make a function a verb of `otactl`, by its own name. `example`: what may follow `otactl`, for the help."""

    def add(run: Run) -> click.RichCommand:
        made = otactl.command(
            run.__name__.replace("_", "-"), cls=_Verb, panel=group, epilog=f"example: otactl {example}"
        )
        return made(run)

    return add


def verb_of(family: click.RichGroup, example: str, *, hidden: bool = False) -> Callable[[Run], click.RichCommand]:
    """As verb(), for the second word of a family such as `otactl keys`; its name is the function's first word.

    `hidden`: kept for scripts, and told of nowhere.
    """

    def add(run: Run) -> click.RichCommand:
        name, epilog = run.__name__.partition("_")[0], f"example: otactl {example}"
        return family.command(name, cls=_Verb, epilog=epilog, hidden=hidden)(run)

    return add


class _Family(_Verbs):
    """Verbs of a verb; without one of them it is `usual`: `otactl slots /dev/ttyUSB0` shows."""

    usual = ""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and args[0] in (*self.commands, "-h", "--help")
        if self.usual and not named:
            args = [self.usual, *args]
        return super().parse_args(ctx, args)


def family(name: str, group: str, text: str, example: str, *, usual: str = "") -> click.RichGroup:
    """A verb that has verbs of its own. `text` is its help; `usual` the one that is meant where none is named."""
    made = _Family(name=name, help=text, epilog=f"example: otactl {example}", no_args_is_help=False)
    made.usual, made.panel = usual, group
    otactl.add_command(made)
    return made


in_workspace = click.option(
    "-w", "--workspace", type=FILE, default=Path(), help="Folder of the workspace (default: this one)."
)
as_json = click.option("--json", "as_json", is_flag=True, help="For scripts: one JSON object.")


def _passphrase_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    from otactl.workspace import passphrase

    passphrase.use_file(value)


with_passphrase = click.option(
    "--passphrase-file",
    type=FILE,
    expose_value=False,
    callback=_passphrase_file,
    help="Holds the passphrase of an encrypted key (or OTACTL_KEY_PASSPHRASE in the environment; else it is asked for).",
)

more_keys = click.option(
    "--with",
    "more_keys",
    type=FILE,
    multiple=True,
    metavar="KEY",
    help="A private key elsewhere, as on a stick; repeatable.",
)


def complete_boards(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What may stand for a board: the ports that are there, and the names of boards.toml."""
    from otactl.board.ports import on_usb
    from otactl.cli.chosen import roster

    items = [CompletionItem(port, help=what) for port, what in on_usb().items()]
    with contextlib.suppress(UsageError):
        entries = roster(ctx.params.get("workspace")).entries
        items += [CompletionItem(entry.name, help=" ".join((entry.device, *entry.tags))) for entry in entries]
        items += [CompletionItem("all", help=counted(len(entries), "board"))] if entries and param.nargs != 1 else []
    return [item for item in items if item.value.startswith(incomplete)]


def _tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from otactl.cli.chosen import roster

    with contextlib.suppress(UsageError):
        tags = {tag for entry in roster(ctx.params.get("workspace")).entries for tag in entry.tags}
        return [CompletionItem(tag) for tag in sorted(tags) if tag.startswith(incomplete)]
    return []


_DEVICES = "a path, id:SERIAL, u0, socket://HOST:PORT, rfc2217://HOST:PORT"
_board = click.argument(
    "board",
    default="auto",
    shell_complete=complete_boards,
    help=f"A name of boards.toml, or an mpremote device: auto (default), {_DEVICES}.",
)
named_board = click.argument(
    "board", shell_complete=complete_boards, help=f"A name of boards.toml, or an mpremote device: auto, {_DEVICES}."
)
several_boards = click.argument(
    "boards",
    nargs=-1,
    metavar="[BOARD]...",
    shell_complete=complete_boards,
    help=f"Names of boards.toml, all, or mpremote devices: auto (default), {_DEVICES}.",
)
with_tags = click.option(
    "--tag", "tags", multiple=True, metavar="TAG", shell_complete=_tags, help="The boards with that tag in boards.toml."
)
with_roster = click.option(
    "-w", "--workspace", type=FILE, help="The workspace with boards.toml (default: that of this folder)."
)
slow_link = click.option(
    "--slow",
    type=click.FloatRange(min=1, max=1000),
    default=1.0,
    metavar="N",
    help="For a board or a link N times slower than usual: every time limit is N times longer.",
)


def on_board(run: Run) -> Run:
    """A verb that speaks with a board: `board`, a device string, and `slow`; both may come from boards.toml."""
    with_board: Run = _board(slow_link(known_board(run)))
    return with_board


def known_board(run: Run) -> Run:
    """A verb with a `board`: a name of boards.toml becomes its device, and its time factor goes into `slow`."""

    @functools.wraps(run)
    def resolved(*, board: str, workspace: Path | None, **more: Any) -> int:
        from otactl.cli import chosen

        found = chosen.board(board, workspace, more.get("slow", 1.0))
        if "slow" in more:
            more["slow"] = found.slow
        return run(board=found.device, **more, **_kept(run, workspace))

    return _in_roster(resolved, run)


def on_boards(run: Run) -> Run:
    """A verb for one board or many: `boards` (chosen.Boards), from names, devices, all and --tag; --slow is in them."""

    @functools.wraps(run)
    def resolved(*, boards: tuple[str, ...], tags: tuple[str, ...], slow: float, workspace: Any, **more: Any) -> int:
        from otactl.cli import chosen

        return run(boards=chosen.boards(boards, tags, workspace, slow), **more, **_kept(run, workspace))

    with_boards: Run = several_boards(with_tags(slow_link(_in_roster(resolved, run))))
    return with_boards


def _kept(run: Run, workspace: Path | None) -> dict[str, Any]:
    """The workspace, for a verb that has one itself."""
    return {"workspace": workspace} if _has_workspace(run) else {}


def _in_roster(resolved: Run, run: Run) -> Run:
    return resolved if _has_workspace(run) else with_roster(resolved)


def _has_workspace(run: Run) -> bool:
    return "workspace" in inspect.signature(run).parameters
