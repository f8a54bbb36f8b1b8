"""The page of an exploration: one HTML file that needs no other, with a picture for each scenario."""

from html import escape
from typing import Any

_LANES = ("slot", "otadata", "nvs", "vfs")
_WIDTH, _LEFT, _LANE_H = 1060, 90, 18
_STYLE = """
:root { --ink: #1c2733; --soft: #6b7785; --line: #d9dfe5; --paper: #ffffff; --old: #2f6fb3; --new: #2c8a57;
  --bad: #c62f2f; --erase: #b58321; --program: #55606b; --band: #f4f6f8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #98a4b0; --line: #37424d; --paper: #161c22;
  --old: #6aa8e8; --new: #5dbd88; --bad: #ff6b6b; --erase: #d9a94a; --program: #9aa6b2; --band: #1d252d } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 1080px; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .2rem }
p { margin: .2rem 0 .8rem } .soft, caption { color: var(--soft) } .bad { color: var(--bad); font-weight: 600 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } th, td { padding: .15rem .7rem;
  text-align: right; border-bottom: 1px solid var(--line) } th:first-child, td:first-child { text-align: left }
.scroll { overflow-x: auto } svg { display: block; min-width: 900px } svg text { font: 11px system-ui, sans-serif;
  fill: var(--soft) } .key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
code { font-size: 13px }
"""


COLUMNS = (  # of the table: head, key in powercut.json
    ("scenario", "name"),
    ("operations", "operations"),
    ("states", "states"),
    ("run", "ran"),
    ("second cuts", "second_states"),
    ("run", "second_ran"),
    ("boots", "most_boots"),
    ("refetched", "most_refetched"),
    ("violations", "violations"),
)


def page(summary: dict[str, Any]) -> str:
    """`summary` is what powercut.json holds."""
    scenarios = summary["scenarios"]
    wrong = sum(s["violations"] for s in scenarios)
    ran = sum(s["ran"] + s["second_ran"] for s in scenarios)
    verdict = f'<span class="bad">{wrong} did not survive</span>' if wrong else "all survived"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Power cuts</title>'
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>Power cuts: {ran} states, {verdict}</h1>"
        f"<p class=soft>{summary['scope'].capitalize()}. {summary['took_s']:.0f} s.</p>"
        f"{_table(scenarios)}{_legend()}{''.join(_picture(s) for s in scenarios)}</html>\n"
    )


def _table(scenarios: list[dict[str, Any]]) -> str:
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(str(s[key]))}</td>" for _, key in COLUMNS[:-1])
        + f"<td{' class=bad' if s['violations'] else ''}>{s['violations']}</td></tr>"
        for s in scenarios
    )
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head, _ in COLUMNS)}</tr>{rows}</table>"


def _legend() -> str:
    keys = (
        ("--old", "the old image boots first after the cut"),
        ("--new", "the new image boots first"),
        ("--bad", "violation"),
        ("--erase", "erase"),
        ("--program", "program"),
    )
    marks = "".join(f"<span class=key style='background:var({c})'></span>{text}" for c, text in keys)
    return (
        f"<p class=soft style='margin-top:1rem'>From left to right the flash operations of one uninterrupted run; "
        f"below, for a cut before each operation and for torn ones, what booted next. {marks}</p>"
    )


def _picture(s: dict[str, Any]) -> str:
    step = (_WIDTH - _LEFT - 10) / (s["operations"] + 1)

    def x(at: float) -> float:
        return _LEFT + at * step

    top = 22
    height = top + len(_LANES) * _LANE_H + 6 + 4 * 20 + 12
    parts = [_bands(s, x, top, height), _lanes(top)]
    parts += [_tick(op, x(n), step, top) for n, op in enumerate(s["trace"])]
    parts.append(_outcomes(s, x, step, top + len(_LANES) * _LANE_H + 8))
    wrong = "".join(_violation(c) for c in _all(s["cuts"]) if c["wrong"])
    return (
        f"<h2>{escape(s['name'])}</h2><p>{escape(s['about'])}. It must end on {escape(s['ends'])}.</p>"
        f"<div class=scroll><svg viewBox='0 0 {_WIDTH} {height}' role=img aria-label='cuts of {escape(s['name'])}'>"
        f"{''.join(parts)}</svg></div>{f'<ul>{wrong}</ul>' if wrong else ''}"
    )


def _all(cuts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for cut in cuts for one in (cut, *cut.get("second", ()))]


def _violation(cut: dict[str, Any]) -> str:
    return f"<li class=bad>{escape('; '.join(cut['wrong']))}<br><code>{escape(cut['replay'])}</code></li>"


def _bands(s: dict[str, Any], x: Any, top: int, height: int) -> str:
    """One band a boot, with the slot that ran; operations before the first line of a band are the bootloader's."""
    edges = [b["operation"] for b in s["boots"]] + [s["operations"] + 1]
    found = []
    for n, boot in enumerate(s["boots"]):
        left, right = x(edges[n]), x(edges[n + 1])
        fill = "var(--band)" if n % 2 == 0 else "none"
        found.append(
            f"<rect x='{left:.1f}' y='{top - 4}' width='{right - left:.1f}' height='{height - top}' fill='{fill}'/>"
            f"<text x='{_label_at(left, right)}' y='{top - 9}'>boot {n + 1}: {escape(str(boot['slot']))}</text>"
        )
    return "".join(found)


def _label_at(left: float, right: float) -> str:
    """Where a band's name begins; that of a narrow last one ends with the picture."""
    return f"{right:.1f}' text-anchor='end" if right - left < 70 and right > _WIDTH - 30 else f"{left + 3:.1f}"


def _lanes(top: int) -> str:
    return "".join(f"<text x='0' y='{top + n * _LANE_H + 13}'>{lane}</text>" for n, lane in enumerate(_LANES))


def _tick(op: dict[str, Any], left: float, step: float, top: int) -> str:
    lane = op["partition"] if op["partition"] in _LANES else "slot"
    y = top + _LANES.index(lane) * _LANE_H + 2
    colour = "--erase" if op["kind"] == "erase" else "--program"
    title = f"{op['actor']}: {op['kind']} {op['size']} bytes at {op['address']:#x} ({op['partition']})"
    return (
        f"<rect x='{left:.1f}' y='{y}' width='{max(step - 0.6, 0.8):.1f}' height='{_LANE_H - 5}' "
        f"fill='var({colour})'><title>{escape(title)}</title></rect>"
    )


def _outcomes(s: dict[str, Any], x: Any, step: float, top: int) -> str:
    """Four strips: cut before, torn, boots that were needed, second cuts."""
    names = ("cut before", "torn", "boots needed", "second cut")
    out = [f"<text x='0' y='{top + n * 20 + 13}'>{name}</text>" for n, name in enumerate(names)]
    most = max(c["boots"] for c in s["cuts"])
    for cut in s["cuts"]:
        strip = 0 if cut["torn"] is None else 1
        left = x(cut["at"]) if strip == 0 else x(cut["at"]) + step / 4
        width = max((step - 0.6) / (1 + strip), 0.8)
        out.append(_mark(s, cut, left, top + strip * 20, width, 14, 1.0))
        if strip == 0:
            tall = 14 * cut["boots"] / most
            y = top + 40 + 14 - tall
            out.append(
                f"<rect x='{left:.1f}' y='{y:.1f}' width='{width:.1f}' height='{tall:.1f}' fill='var(--soft)'>"
                f"<title>{cut['boots']} boots</title></rect>"
            )
        for n, second in enumerate(cut.get("second", ())):
            y = top + 60 + 14 * n / max(len(cut["second"]), 1)
            out.append(_mark(s, second, left, y, width, 14 / max(len(cut["second"]), 1) - 0.5, 0.75))
    return "".join(out)


def _mark(s: dict[str, Any], cut: dict[str, Any], x: float, y: float, w: float, h: float, solid: float) -> str:
    colour = "--new" if cut["booted"] not in (_old(s), "") else "--old"
    if cut["wrong"]:
        colour = "--bad"
    how = "before" if cut["torn"] is None else f"torn ({cut['torn']})"
    title = f"operation {cut['at']}, {how}: {cut['booted'] or 'nothing'} booted, {cut['boots']} boots to the end"
    return (
        f"<rect x='{x:.1f}' y='{y:.1f}' width='{w:.1f}' height='{h:.1f}' opacity='{solid}' fill='var({colour})'>"
        f"<title>{escape(title)}</title></rect>"
    )


def _old(s: dict[str, Any]) -> str:
    """The version that ran before the scenario began."""
    found: str = s["before"]
    return found
