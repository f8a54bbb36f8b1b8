"""What a board tells of an exception (net/checkin.py): what its program raised on trial, and no other reason's detail, which may be the
name of a network."""

import pytest

from .conftest import Run

SAID = """
    import sys
    class Missing:
        def __getattr__(self, name):
            return Missing()
        def __call__(self, *a, **k):
            return Missing()
        def __add__(self, other):
            return other
        __radd__ = __add__
    for name in ("esp32", "network", "machine"):
        sys.modules[name] = Missing()
    sys.modules["machine"] = type("machine", (), {"unique_id": staticmethod(lambda: b"board1")})
    from ota.boot import record
    class kept:
        job = {"phase": "failed", "sequence": 3, "reason": args["reason"], "detail": args["detail"], "switches": 1, "remember": True}
        state = {"refused": args["refused"], "heard": None}
        up_ms = 0
    record.load = lambda: kept
    from ota.net import checkin
    config = {"url": "https://there/stable.json", "product": "demo", "wifi": [], "ethernet": None}
    line = checkin.own(config)[1][1]
    print(json.dumps([line.split(";why=")[1].split(";")[0], line.split(";what=")[1].strip() if ";what=" in line else None]))
"""
# how the last job failed, what the last look was refused for; the reason that is told, and what was raised
ROWS: dict[str, tuple[tuple[str, str], list[str] | None, list[str | None]]] = {
    "its program raised": (("app-crashed", "ValueError()"), None, ["app-crashed", "ValueError()"]),
    "the same, at a later look": (("app-crashed", "Oh()"), ["failed-before", "1.1.0"], ["app-crashed", "Oh()"]),
    "its import": (("app-import", "ImportError('no x')"), None, ["app-import", "ImportError('no_x')"]),
    "a network": (("check-wifi", "lab-7"), None, ["check-wifi", None]),
    "a network, and a look found files changed": (("check-wifi", "lab-7"), ["app-changed", "x"], ["app-changed", None]),
    "a network, and a look found another .mpy": (("check-wifi", "lab-7"), ["app-mpy", "5"], ["app-mpy", None]),
    "a network, and another boot.py": (("check-wifi", "lab-7"), ["app-path", "/app-ota_0"], ["app-path", None]),
}


@pytest.mark.parametrize(("failed", "refused", "told"), ROWS.values(), ids=ROWS)
def test_what_the_program_raised_is_told_and_nothing_else(
    failed: tuple[str, str], refused: list[str] | None, told: list[str | None], mpy: Run
) -> None:
    assert mpy(SAID, reason=failed[0], detail=failed[1], refused=refused) == told
