"""The fleet as files, for spreadsheets and scripts."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

_COLUMNS = (
    "name",
    "id",
    "cohort",
    "product",
    "state",
    "version",
    "newest",
    "percent",
    "why",
    "seen",
    "rssi",
    "heap",
    "uptime",
    "peer",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(boards: Iterable[dict[str, Any]]) -> str:
    """Of told.board(). A spreadsheet would compute what begins as a formula, and a board may send one: such text gets an
    apostrophe before it (OWASP, "CSV Injection")."""
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow(_COLUMNS)
    for board in boards:
        seen = datetime.fromtimestamp(board["seen"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        sheet.writerow([_cell((board | {"seen": seen})[name]) for name in _COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
