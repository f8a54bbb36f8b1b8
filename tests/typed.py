"""Whether a command line that otactl tells a person to type is one that it understands."""

import shlex

import click
from otactl.cli import main  # noqa: F401 - a verb is one once its file is imported
from otactl.cli.options import otactl


def parses(line: str) -> None:
    """Raises click.UsageError where a command of otactl's is wrong; other programs' words are taken as they are."""
    words = shlex.split(line)
    if words[:1] != ["otactl"]:
        return
    context = otactl.make_context("otactl", words[1:])
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        assert command
        context = command.make_context(name, rest, parent=context)
