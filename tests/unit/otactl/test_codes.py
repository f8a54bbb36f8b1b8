"""Every code that the agent can give has its sentence, and no sentence is for a code it has not."""

import ast
from pathlib import Path

import pytest
from otactl.board.codes import CODES, sentence

DEVICE = Path(__file__).resolve().parents[3] / "device"


def literals() -> set[str]:
    """All texts in the agent's sources, but for docstrings."""
    return {
        node.value
        for path in DEVICE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def raised() -> set[str]:
    """The codes that the sources raise or record as such."""
    found = set()
    for path in DEVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = {"OtaError": 0, "fail": 0, "require": 1}.get(name, len(node.args))
            code = node.args[place] if place < len(node.args) else None
            if isinstance(code, ast.Constant):
                found.add(str(code.value))
    return found


def checks() -> set[str]:
    tree = ast.parse((DEVICE / "ota" / "entries" / "trial.py").read_text())
    return {
        "check-" + str(key.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    } & {f"check-{name}" for name in ["wifi", "network", "server", "gpio", "heap", "filesystem", "import", "call"]}


def test_the_sources_are_read_at_all() -> None:
    assert {"bad-signature", "no-ota-slots", "deadline"} <= raised()
    assert len(checks()) == 8


def test_every_code_that_the_agent_raises_has_a_sentence() -> None:
    # `heap`, `filesystem`: details of a failed check, whose code is check-…; the others of `trust-invalid`
    inner = {"heap", "filesystem", "version", "product", "keys", "modulus", "keyid", "ca"}
    assert raised() - inner <= CODES.keys(), sorted(raised() - inner - CODES.keys())
    assert checks() <= CODES.keys()


def test_no_sentence_is_for_a_code_that_the_agent_does_not_have() -> None:
    stale = CODES.keys() - checks() - literals()
    assert not stale, sorted(stale)


@pytest.mark.parametrize("code", CODES)
def test_a_sentence_is_one_line_with_what_happened_and_what_to_do(code: str) -> None:
    what, then = CODES[code]
    assert what.endswith(".")
    assert "\n" not in what + then
    assert not then or then.endswith((".", "?"))


def test_code_and_detail_stand_first() -> None:
    assert sentence("too-big", "1770000").startswith("too-big (1770000): The image is larger")
    assert sentence("up-to-date") == "up-to-date: The board has the newest release."


def test_a_code_of_a_newer_agent_comes_as_it_is() -> None:
    assert sentence("new-thing", "7").startswith("new-thing (7): ")
