"""The bench's table and picture."""

from collections.abc import Sequence
from dataclasses import fields
from html import escape
from pathlib import Path

from bench.cases import REFERENCE
from bench.chip import LINKS, Phases
from bench.measure import Measured

PHASES = [field.name for field in fields(Phases)]
_COLOURS = ("#2f6fb3", "#7fa8d1", "#b58321", "#d9b36a", "#8a4fa3", "#2c8a57", "#6b7785", "#a3a9b0")  # in their order
_BEGIN, _END = "<!-- from make bench -->\n", "<!-- to here -->\n"
_WIDTH, _LEFT, _RIGHT, _BAR, _STEP = 900, 215, 90, 18, 26


def rows(measured: Sequence[Measured], link: str) -> list[list[str]]:
    """Head, then one row a case: seconds by phase, their sum, and its ratio to the plain updater's."""
    found = {one.case.name: one.phases(LINKS[link]) for one in measured}
    whole = found[REFERENCE].total
    head = [link, *PHASES, "all", "ratio"]
    return [head] + [
        [name, *(f"{getattr(p, phase):.1f}" for phase in PHASES), f"{p.total:.1f}", f"{p.total / whole:.2f}"]
        for name, p in found.items()
    ]


def wear(measured: Sequence[Measured]) -> list[list[str]]:
    """Head, then one row a case: what went over the wire, what the slot took, what the heap."""
    head = ["", "bytes of files", "sectors erased", "blocks erased", "programs", "heap"]
    return [head] + [
        [
            one.case.name,
            f"{one.wire:,}",
            str(one.slot.sectors),
            str(one.slot.blocks),
            str(one.slot.programs),
            f"{one.heap:,}" if one.heap else "-",
        ]
        for one in measured
    ]


def tables(measured: Sequence[Measured]) -> list[list[list[str]]]:
    return [*(rows(measured, link) for link in LINKS), wear(measured)]


def text(measured: Sequence[Measured]) -> str:
    """For a terminal."""
    drawn = []
    for table in tables(measured):
        widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
        for row in table:
            first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            drawn.append("  ".join([first.strip().ljust(widths[0]), *others]))
        drawn.append("")
    return "\n".join(drawn)


def markdown(table: list[list[str]]) -> str:
    head, *others = ("| " + " | ".join(row) + " |\n" for row in table)
    return head + "|---" + "|---:" * (len(table[0]) - 1) + "|\n" + "".join(others)


def picture(measured: Sequence[Measured]) -> str:
    """Bars of the first link's seconds, as an SVG that needs no other file."""
    link = next(iter(LINKS))
    found = [(one.case.name, one.phases(LINKS[link])) for one in measured]
    whole = max(phases.total for _, phases in found)
    scale = (_WIDTH - _LEFT - _RIGHT) / whole
    height = _STEP * (len(found) + 1) + 14
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    at = _LEFT
    for phase, colour in zip(PHASES, _COLOURS, strict=True):
        drawn.append(f'<rect x="{at}" y="9" width="11" height="11" fill="{colour}"/>')
        drawn.append(f'<text x="{at + 16}" y="19" fill="#1c2733">{phase}</text>')
        at += 84
    for n, (name, phases) in enumerate(found, 1):
        y, x = n * _STEP + 6, float(_LEFT)
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#1c2733">{escape(name)}</text>')
        for phase, colour in zip(PHASES, _COLOURS, strict=True):
            wide = getattr(phases, phase) * scale
            drawn.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{_BAR}" fill="{colour}"/>')
            x += wide
        drawn.append(f'<text x="{x + 6:.1f}" y="{y + 14}" fill="#1c2733">{phases.total:.1f} s</text>')
    return "\n".join([*drawn, "</svg>\n"])


def into_docs(docs: Path, measured: Sequence[Measured], *, real: bool) -> None:
    """Table and picture in docs/performance.md, between its two marks. Raises ValueError without real firmware: figures of
    made images are not what is told there."""
    if not real:
        raise ValueError("no real firmware beside the project: docs/performance.md stays as it is")
    (docs / "performance.svg").write_text(picture(measured))
    page = docs / "performance.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    drawn = "\n".join(markdown(table) for table in tables(measured))
    page.write_text(f"{before}{_BEGIN}\n![seconds of an update, by phase](performance.svg)\n\n{drawn}\n{_END}{after}")
