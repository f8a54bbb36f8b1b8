"""docs/fleet-page.png, anew: PYTHONPATH=host:tests .venv/bin/python tests/browser/picture.py

A class of thirty boards, of which some roll back what they are given, asks a server as real boards do."""

import shutil
import tempfile
from pathlib import Path

import rig
import viewing
from otactl.fleet import plan, rollout
from otactl.fleet.known import known_boards
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "fleet-page.png"
COHORTS = ["canary"] * 2 + ["lab"] * 20 + ["hall"] * 8
UPDATED = range(2, 14)
TOLD = {
    4: {"phase": "failed", "seq": 2, "why": "app-crashed"},
    5: {"phase": "held", "seq": 2, "why": "check-wifi"},
    15: {"phase": "idle", "seq": 2, "why": "no-space"},
    16: {"phase": "trial", "seq": 2},
}
TAKEN = {17: 1_120_000, 18: 540_000}  # bytes of an image of 1.6 MB


def ask(fleet: viewing.Fleet) -> None:
    for number in range(len(COHORTS)):
        fleet.asks(number)
    asked = rollout.Asked(plan.steps("canary,lab", None), soak=3600)
    rollout.start(fleet.place, fleet.store, "1.1.0", asked, known_boards(fleet.place, fleet.store))
    for number in range(2):
        fleet.asks(number)
        fleet.asks(number, have=2, seq=2)
    rollout.go_on(fleet.place, fleet.store)
    for number in range(2, 22):
        fleet.asks(number)
        if number in TOLD:
            fleet.asks(number, **TOLD[number])
        elif number in UPDATED:
            fleet.asks(number, have=2, seq=2)
    for number, taken in TAKEN.items():
        fleet.store.progress(viewing.board_id(number), taken, 1_600_000)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = rig.make_workspace(Path(folder) / "workspace")
        fleet_place = viewing.fill(place.root, {at: (f"desk-{at + 1:02d}", one) for at, one in enumerate(COHORTS)})
        with viewing.running(fleet_place) as fleet, sync_playwright() as playwright:
            ask(fleet)
            chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(ignore_https_errors=True, viewport={"width": 1180, "height": 760})
            page.goto(fleet.url)
            page.wait_for_selector("#boards tr")
            page.screenshot(path=PICTURE)
            browser.close()


if __name__ == "__main__":
    main()
