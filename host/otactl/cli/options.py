"""The command without its verbs, and what verbs are made with.

A new verb is a function under `@verb` in one of the `*_verbs` files (or a new file that main.py imports): its docstring is
the help, what it returns the exit code, and what it needs is imported inside it, so that `otactl --help` stays quick.
"""

from collections.abc import Callable
from pathlib import Path

import rich_click as click
from click.shell_completion import CompletionItem

from otactl import __version__
from otactl.cli import told

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


def verb_of(family: click.RichGroup, example: str) -> Callable[[Run], click.RichCommand]:
    """As verb(), for the second word of a family such as `otactl keys`; its name is the function's first word."""

    def add(run: Run) -> click.RichCommand:
        return family.command(run.__name__.partition("_")[0], cls=_Verb, epilog=f"example: otactl {example}")(run)

    return add


def family(name: str, group: str, text: str, example: str) -> click.RichGroup:
    """A verb that has verbs of its own. `text` is its help."""
    made = _Verbs(name=name, help=text, epilog=f"example: otactl {example}", no_args_is_help=False)
    made.panel = group
    otactl.add_command(made)
    return made


in_workspace = click.option(
    "-w", "--workspace", type=FILE, default=Path(), help="Folder of the workspace (default: this one)."
)
as_json = click.option("--json", "as_json", is_flag=True, help="For scripts: one JSON object.")


def _ports(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from serial.tools.list_ports import comports

    return [CompletionItem(port.device, help=port.description) for port in comports() if port.vid is not None]


_board = click.argument(
    "board",
    default="auto",
    shell_complete=_ports,
    help="An mpremote device: auto (default), a path, id:SERIAL, u0, socket://HOST:PORT, rfc2217://HOST:PORT.",
)
slow_link = click.option(
    "--slow",
    type=click.FloatRange(min=1),
    default=1.0,
    metavar="N",
    help="For a board or a link N times slower than usual: every time limit is N times longer.",
)


def on_board(run: Run) -> Run:
    """A verb that speaks with a board: `board` and `slow`."""
    with_board: Run = _board(slow_link(run))
    return with_board
