"""Updates beside each other, and beside a plain updater, in one run. Nothing passes or fails by a time; what an update must
leave in flash is checked. WRITE=docs puts table and picture into docs/performance.md."""

import os
from collections.abc import Callable
from pathlib import Path

from rig import Rig, image

from bench import page
from bench.cases import CASES, Case, Images
from bench.measure import CHIP, measure

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT.parent / "shared" / "firmware"


def test_updates_beside_a_plain_one(rig: Rig, templates: Callable[..., Path]) -> None:
    images, template = Images(FIRMWARE), templates(chip=CHIP)
    rig.publish("1.0.1", image(1, CHIP))  # what the boards run
    measured = [measure(rig, rig.board(flash=template, chip=CHIP, **_room(case)), case, images) for case in CASES]
    print("\n" + page.text(measured))
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results" / "bench.svg").write_text(page.picture(measured))
    if os.environ.get("WRITE") == "docs":
        page.into_docs(ROOT / "docs", measured, real=images.are_real)


def _room(case: Case) -> dict[str, int]:
    # of a board with SPIRAM. Beside what counts here one without has too little memory for TLS and the decoder
    return {} if case.plain or case.stock else {"idf_heap_kib": 2048}
