"""docs/security.md says of each attack what the tests do, and each test that it names is there."""

import ast

import pytest
from otactl.board.codes import CODES

from attacks import page
from attacks.elsewhere import ELSEWHERE, Elsewhere

TESTS = page.PAGE.parents[1] / "tests"
NO_ERROR = {"installed"}
YES_OR_NO = "unit/device/test_signature.py"  # of a signature; what that comes to is the envelope's affair


def test_page_has_the_table_of_the_tests() -> None:
    _, shown, _ = page.split(page.PAGE.read_text())
    assert shown == page.table(), "write it anew: PYTHONPATH=host:tests .venv/bin/python -m attacks"


def test_no_attack_is_listed_twice() -> None:
    listed = [does for rows in page.HERE.values() for does in rows] + [row.does for row in ELSEWHERE]
    assert sorted(listed) == sorted(set(listed))


def test_every_code_is_one_of_the_agent_s() -> None:
    codes = {row.code for rows in page.HERE.values() for row in rows.values()} | {row.code for row in ELSEWHERE}
    assert codes - NO_ERROR <= set(CODES)


@pytest.mark.parametrize("row", ELSEWHERE, ids=[row.does for row in ELSEWHERE])
def test_attack_of_another_file_is_there(row: Elsewhere) -> None:
    """Its function, the row of its table, and the code."""
    file, _, name = row.test.partition("::")
    function, _, case = name.partition("[")
    tree = ast.parse((TESTS / file).read_text())
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not case or case.removesuffix("]") in texts
    words = " ".join(text for text in texts if isinstance(text, str))
    assert row.code in words or row.code in NO_ERROR or file == YES_OR_NO
