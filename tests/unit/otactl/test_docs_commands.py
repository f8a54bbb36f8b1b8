"""What README, docs and the help tell a person to type is there today, with these options and so many arguments."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import otactl.cli.main  # noqa: F401 - it makes the verbs
import pytest
import rich_click as click
from otactl.cli.options import otactl as command

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_REST = re.compile(r"(?: [|>&]| \d>| &&| ;).*")  # what a shell makes of it
UNTIL_STOPPED = {"serve", "virtual-board", "logs", "dev"}


def typed(page: Path) -> list[str]:
    """What follows `otactl` in each line of a page's blocks that a person types."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [_REST.sub("", line).removeprefix("otactl ") for line in lines if line.startswith("otactl ")]


def verbs(group: click.Group = command, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Each verb by its words."""
    for name, verb in group.commands.items():
        if isinstance(verb, click.Group):
            yield from verbs(verb, f"{before}{name} ")
        elif not verb.hidden:
            yield before + name, verb


def taken(words: list[str]) -> None:
    """Have click read a command line. Raises click.UsageError where it is none."""
    found: click.Command = command
    while isinstance(found, click.Group) and words != ["--help"]:
        usual = getattr(found, "usual", "")  # what is meant where no verb of the family is named
        name, *words = words if not usual or (words[:1] and words[0] in found.commands) else [usual, *words]
        if name not in found.commands:
            raise click.UsageError(f"no verb {name}")
        found = found.commands[name]
    if "--help" not in words:
        found.make_context(found.name, words)


TYPED = [
    pytest.param(shlex.split(line, comments=True), id=f"{page.name}: {line}") for page in PAGES for line in typed(page)
]


def test_the_pages_have_commands() -> None:
    assert len(TYPED) > 60


@pytest.mark.parametrize("words", TYPED)
def test_what_a_page_tells_to_type_is_a_command(words: list[str]) -> None:
    taken(words)


@pytest.mark.parametrize("words", ["publish", "boards --seeen", "keys sing x", "slots read b ota_1", "status --slow x"])
def test_what_is_none_is_found(words: str) -> None:
    with pytest.raises(click.UsageError):
        taken(words.split())


def test_the_example_of_each_verb_is_a_command() -> None:
    for _, verb in verbs():
        taken(shlex.split((verb.epilog or "").removeprefix("example: otactl ")))


def test_each_verb_that_ends_by_itself_has_json_as_docs_otactl_says() -> None:
    without = {words for words, verb in verbs() if "--json" not in {name for one in verb.params for name in one.opts}}
    assert without == UNTIL_STOPPED | {"demo"}
