"""The table of docs/security.md, as the tests have it."""

from collections.abc import Iterator
from pathlib import Path

from attacks import (
    test_answers,
    test_demands,
    test_documents,
    test_encrypted,
    test_freshness,
    test_releases,
    test_transport,
)
from attacks.bench import Row
from attacks.elsewhere import ELSEWHERE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- attacks -->\n", "<!-- /attacks -->\n"
HERE: dict[str, dict[str, Row]] = {
    "attacks/test_releases.py::test_release": test_releases.ROWS,
    "attacks/test_answers.py::test_answer": test_answers.ROWS,
    "attacks/test_transport.py::test_transport": test_transport.ROWS,
    "attacks/test_documents.py::test_document": test_documents.ROWS,
    "attacks/test_demands.py::test_demand": test_demands.ROWS,
    "attacks/test_encrypted.py::test_encrypted": test_encrypted.ROWS,
    "attacks/test_freshness.py::test_freshness": test_freshness.ROWS,
}
_REACHED = {"look": "", "file": " ¹", "slot": " ²"}


def table() -> str:
    """All attacks, in the order of their kinds."""
    order: dict[str, list[str]] = {}
    for does, code, gains, test in _all():
        kind, _, what = does.partition(": ")
        order.setdefault(kind, []).append(
            f"| {_cell(kind)} | {_cell(what)} | {code} | {_cell(gains)} | `{_cell(test)}` |\n"
        )
    head = "| attack | what he serves or does | code | it would have gained him | test |\n|---|---|---|---|---|\n"
    return head + "".join(line for kind in sorted(order) for line in order[kind])


def _all() -> Iterator[tuple[str, str, str, str]]:
    for test, rows in HERE.items():
        for does, row in rows.items():
            yield does, f"`{row.code}`{_REACHED[row.reaches]}", row.gains, test.partition("::")[0]
    for does, code, gains, test, reaches in ELSEWHERE:
        yield does, f"`{code}`{_REACHED[reaches]}", gains, test.partition("[")[0].replace("::test", ": test")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def split(page: str) -> tuple[str, str, str]:
    """What is before the table in the page, the table, and what is behind it. Raises ValueError where it has none."""
    before, found, rest = page.partition(BEGIN)
    shown, ended, behind = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{PAGE.name} has no place for the table: {BEGIN.strip()} and {END.strip()}")
    return before + found, shown, ended + behind
