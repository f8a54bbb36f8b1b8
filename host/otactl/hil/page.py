"""Results of the suite as one HTML page: a row a board, a column a test. It needs nothing from elsewhere."""

from html import escape

from otactl.hil import results
from otactl.hil.results import Result, Results

_SIGNS = {results.PASSED: "✓", results.FAILED: "✗", results.SKIPPED: "-", results.RIG_FAULT: "!"}
_CLASSES = {results.PASSED: "good", results.FAILED: "bad", results.SKIPPED: "none", results.RIG_FAULT: "rig"}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --rig: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --rig: #d29922; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); padding: .3em .6em; text-align: left; vertical-align: bottom; }
th.test { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: normal; max-height: 22em; }
td.sign { text-align: center; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: bold; } .rig { color: var(--rig); font-weight: bold; }
.none { opacity: .5; }
code { overflow-wrap: anywhere; }
"""


def page(runs: list[Results]) -> str:
    """The whole page."""
    columns = list(dict.fromkeys(test.id for one in runs for test in one.tests))
    head = "".join(f'<th class="test" scope="col">{escape(_short(name))}</th>' for name in columns)
    rows = "".join(_row(one, columns) for one in runs)
    rest = "".join(_details(one) for one in runs)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>HIL: {escape(_headline(runs))}</title><style>{_STYLE}</style></head>\n<body>"
        f"<h1>{escape(_headline(runs))}</h1>\n"
        f'<div class="wide"><table><thead><tr><th scope="col">board</th><th scope="col">verdict</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>\n"
        f"<p>✓ fine · ✗ failed · ! rig fault, no verdict · - skipped</p>\n{rest}</body></html>\n"
    )


def _headline(runs: list[Results]) -> str:
    return "; ".join(one.summary for one in runs) or "no board"


def _short(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def _row(one: Results, columns: list[str]) -> str:
    by_id: dict[str, Result] = {test.id: test for test in one.tests}
    cells = "".join(_cell(by_id.get(name)) for name in columns)
    said = one.summary.removeprefix(f"{one.name}: ")
    look = {0: "good", 1: "bad"}.get(one.exit_code, "rig")
    about = " ".join(str(one.board.get(key) or "") for key in ("chip", "micropython"))
    return (
        f'<tr><th scope="row">{escape(one.name)}<br><small>{escape(about)}</small></th>'
        f'<td class="{look}">{escape(said)}</td>{cells}</tr>\n'
    )


def _cell(test: Result | None) -> str:
    if test is None:
        return '<td class="sign none" title="not run"></td>'
    said = f"{test.title} {test.why} ({test.seconds:g} s)"
    retried = "<small>2</small>" if test.retried else ""
    return f'<td class="sign {_CLASSES[test.outcome]}" title="{escape(said)}">{_SIGNS[test.outcome]}{retried}</td>'


def _details(one: Results) -> str:
    """What is not fine, with the command that repeats it; then what a person should know."""
    items = [
        f'<li class="{_CLASSES[test.outcome]}">{_SIGNS[test.outcome]} {escape(test.title)}<br>{escape(test.why)}'
        f"<br><code>{escape(test.again)}</code></li>"
        for test in one.tests
        if test.outcome in (results.FAILED, results.RIG_FAULT)
    ]
    items += [f'<li class="rig">! {escape(one.trouble)}</li>'] if one.trouble else []
    items += [f"<li>{escape(note)}</li>" for note in one.notes]
    which = "all tests" if one.everything else "the quick tests"
    return (
        f"<h2>{escape(one.name)}</h2><p>{escape(one.began)}, {which}, seed {one.seed}, {one.seconds:g} s</p>"
        f"<ul>{''.join(items)}</ul>\n"
    )
