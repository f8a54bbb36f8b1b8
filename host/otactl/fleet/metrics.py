"""Numbers of the fleet for Prometheus: its text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

One board is one row of `ota_board_info`, which names it, and its measures carry its id alone, so that a name that changes
breaks no curve. What boards say of themselves becomes a label's value, where it is escaped, and never a label's name."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from otactl.fleet.table import STATES, Row

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Labels = dict[str, str]


@dataclass(slots=True)
class Counts:
    """What a server has done since it started. `answers`: by what was asked for (look, file) and by status code; `taken`:
    bytes of files that boards have; `downloads`: how they ended (whole, cut)."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    taken: int = 0
    downloads: Counter[str] = field(default_factory=Counter)
    handshakes_failed: int = 0


def page(rows: Iterable[Row], counts: Counts) -> str:
    """All of it, as it is answered at /metrics."""
    rows = list(rows)
    return "".join([*_of_the_server(counts), *_of_the_fleet(rows), *_of_boards(rows)])


def _of_the_server(counts: Counts) -> Iterable[str]:
    answers = [({"what": what, "code": str(code)}, n) for (what, code), n in sorted(counts.answers.items())]
    yield _family("ota_answers_total", "counter", "Answers to looks at a channel, and for files.", answers)
    yield _family("ota_taken_bytes_total", "counter", "Bytes of files that boards have.", [({}, counts.taken)])
    ends = [({"end": end}, counts.downloads[end]) for end in ("whole", "cut")]
    yield _family("ota_downloads_total", "counter", "Answers with a file, by how they ended.", ends)
    yield _family(
        "ota_handshakes_failed_total", "counter", "TLS that came to nothing.", [({}, counts.handshakes_failed)]
    )


def _of_the_fleet(rows: list[Row]) -> Iterable[str]:
    found = Counter((one.state, one.version, one.cohort) for one in rows)
    absent = [state for state in STATES if state not in {one.state for one in rows}]  # an alert needs a zero
    samples: list[tuple[Labels, int]] = [
        ({"state": state, "release": release, "cohort": cohort}, n)
        for (state, release, cohort), n in sorted(found.items())
    ]
    samples += [({"state": state, "release": "", "cohort": ""}, 0) for state in absent]
    yield _family("ota_boards", "gauge", "Boards, by state, release and cohort.", samples)


def _of_boards(rows: list[Row]) -> Iterable[str]:
    info = [
        (
            {"id": one.id, "name": one.name, "cohort": one.cohort, "product": one.product, "release": one.version}
            | {"newest": one.newest, "state": one.state, "reason": one.seen_board.said.reason},
            1,
        )
        for one in rows
    ]
    yield _family("ota_board_info", "gauge", "What a board is; always 1.", info)
    heard = [({"id": one.id}, round(one.seen, 3)) for one in rows]
    yield _family("ota_board_seen_timestamp_seconds", "gauge", "When a board was heard last.", heard)
    for name, what, told in (
        ("uptime_seconds", "Since a board's last start.", "uptime"),
        ("heap_free_bytes", "Free memory of a board.", "heap"),
        ("signal_dbm", "A board's Wi-Fi signal.", "rssi"),
    ):
        measured = [({"id": one.id}, getattr(one.seen_board.said, told)) for one in rows]
        yield _family(f"ota_board_{name}", "gauge", what, [one for one in measured if one[1] is not None])


def _family(name: str, kind: str, what: str, samples: Iterable[tuple[Labels, float]]) -> str:
    lines = [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
    return "".join(f"{line}\n" for line in lines + [f"{name}{_labels(labels)} {value}" for labels, value in samples])


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""
