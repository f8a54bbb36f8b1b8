"""The page of `otactl serve` in a real browser, while boards ask the same server over real HTTPS."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from otactl.fleet import plan, rollout
from otactl.fleet.known import known_boards
from viewing import TOKEN, Fleet, board_id, expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = '<img/src="x"/onerror="alert(1)">'
VIEWS = ("/", f"/board/{board_id(0)}", "/wall", "/labels")
Tab = Callable[..., "Page"]


def row(page: "Page", name: str) -> Any:
    return page.locator("#boards tr").filter(has=page.get_by_role("link", name=name, exact=True))


def begin(fleet: Fleet, cohorts: str = "canary", soak: float = 0, halt_at: int = 2) -> None:
    asked = rollout.Asked(plan.steps(cohorts, None), soak, halt_at)
    rollout.start(fleet.place, fleet.store, "1.1.0", asked, known_boards(fleet.place, fleet.store))


def test_boards_appear_by_themselves(tab: Tab, fleet: Fleet) -> None:
    page = tab()
    expect(page.locator("#none")).to_contain_text("otactl deploy")
    expect(page.locator("table.boards")).to_be_hidden()
    fleet.asks(3)
    expect(row(page, "desk-04")).to_contain_text("up to date")
    expect(row(page, "desk-04")).to_contain_text("1.0.0")
    expect(page.locator("#headline")).to_have_text("1 on 1.0.0")
    expect(page.locator("#none")).to_be_hidden()
    fleet.asks(4)
    expect(page.locator("#headline")).to_have_text("2 on 1.0.0")
    fleet.store.forget(board_id(3))
    expect(page.locator("#boards tr")).to_have_count(1)


def test_boards_move_through_a_rollout(tab: Tab, fleet: Fleet) -> None:
    for number in range(4):
        fleet.asks(number)
    begin(fleet)
    page = tab()
    expect(page.locator("#rollout-title")).to_have_text("Rollout of 1.1.0")
    fleet.asks(0)
    expect(row(page, "desk-01")).to_contain_text("behind")
    fleet.store.progress(board_id(0), 5000, 20_000)  # as the hub notes what a board has taken
    expect(row(page, "desk-01").locator("progress")).to_have_attribute("value", "25")
    fleet.asks(0, have=1, phase="trial", seq=2)
    expect(row(page, "desk-01")).to_contain_text("on trial")
    for number in (0, 1):
        fleet.asks(number)
        fleet.asks(number, have=2, phase="confirmed", seq=2)
    expect(page.locator("#stages li").nth(0)).to_contain_text("2 confirmed")
    for number in (2, 3):
        fleet.asks(number)
        fleet.asks(number, have=2, phase="confirmed", seq=2)
    expect(page.locator("#rollout-state")).to_have_text("done")
    expect(page.locator("#headline")).to_have_text("4 on 1.1.0")


def test_failures_are_explained_and_stop_the_rollout(tab: Tab, fleet: Fleet) -> None:
    for number in range(4):
        fleet.asks(number)
    begin(fleet)
    page = tab("/?state=hand")
    expect(page.locator("#nobody")).to_be_visible()
    for number in (0, 1):
        fleet.asks(number)
        fleet.asks(number, phase="failed", seq=2, why="check-wifi")
    expect(page.locator("#boards tr")).to_have_count(2)
    expect(row(page, "desk-01")).to_contain_text("rolled back")
    expect(row(page, "desk-01")).to_contain_text("The new release could not join Wi-Fi. It is tried again later")
    expect(page.locator("#rollout-state")).to_have_text("halted")
    expect(page.locator("#rollout-why")).to_contain_text(
        "desk-02 (check-wifi) rolled it back. No further board gets it."
    )
    row(page, "desk-01").get_by_role("link").click()
    expect(page.locator("#slots .runs")).to_contain_text("1.0.0")
    expect(page.locator("#slots .other")).to_contain_text("1.1.0")
    expect(page.locator("#slots .other")).to_contain_text("failed its trial")
    expect(page.locator("#history li").first).to_contain_text("check-wifi")
    page.go_back()
    expect(page.locator("#boards tr")).to_have_count(2)  # the filter is in the address


def test_pause_takes_the_token(tab: Tab, fleet: Fleet) -> None:
    fleet.asks(0)
    begin(fleet)
    page = tab()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("textbox", name="Token").fill("a guess")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-title")).to_have_text("That was not the token")
    assert rollout.current(fleet.place, fleet.store).state == "running"
    page.get_by_role("textbox", name="Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#rollout-state")).to_have_text("paused")
    assert rollout.current(fleet.place, fleet.store).state == "paused"
    page.get_by_role("button", name="Resume").click()  # it is not asked for again
    expect(page.locator("#rollout-state")).to_have_text("running")
    tab.faults[:] = [one for one in tab.faults if "401" not in one]  # of the guess


def test_abort_asks_once_more_and_is_done_by_keyboard(tab: Tab, fleet: Fleet) -> None:
    fleet.asks(0)
    begin(fleet)
    page = tab(f"/#token={TOKEN}")
    opens, dialog = (
        page.get_by_role("button", name="Abort"),
        page.get_by_role("dialog", name="Abort the rollout of 1.1.0?"),
    )
    for no in ("Escape", "Enter"):  # what has the focus is the harmless one
        opens.focus()
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("it cannot be resumed")
        page.keyboard.press(no)
        expect(dialog).to_be_hidden()
    assert rollout.current(fleet.place, fleet.store).state == "running"
    page.keyboard.press("Enter")  # the focus is back where it was
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#rollout-state")).to_have_text("aborted")
    expect(opens).to_be_hidden()
    assert rollout.current(fleet.place, fleet.store).why == "ended by hand"


def test_address_with_the_token_is_asked_for_none(tab: Tab, fleet: Fleet) -> None:
    fleet.asks(0)
    begin(fleet)
    page = tab(f"/#token={TOKEN}")
    expect(page).to_have_url(f"{fleet.url}/")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#rollout-state")).to_have_text("paused")


def test_search_and_sort_stay_in_the_address(tab: Tab, fleet: Fleet) -> None:
    for number in (9, 2, 0, 1):  # 9 has no name
        fleet.asks(number)
    page = tab()
    page.get_by_role("button", name="Board").click()
    page.get_by_role("button", name="Board").click()
    page.get_by_role("searchbox").fill("desk")
    expect(page).to_have_url(f"{fleet.url}/?q=desk&sort=-name")
    names = page.locator("#boards td.name a")
    expect(names).to_have_text(["desk-03", "desk-02", "desk-01"])
    page.reload()
    expect(names).to_have_text(["desk-03", "desk-02", "desk-01"])
    page.locator("#cohort").select_option("canary")
    expect(names).to_have_text(["desk-02", "desk-01"])
    page.get_by_role("searchbox").fill("nobody is called so")
    page.get_by_role("button", name="Show all").click()
    expect(names).to_have_text([board_id(9), "desk-03", "desk-02", "desk-01"])


def test_stream_comes_back_with_the_server(tab: Tab, fleet: Fleet) -> None:
    fleet.asks(0)
    page = tab()
    expect(page.locator("#headline")).to_have_text("1 on 1.0.0")
    fleet.stop()
    expect(page.locator("#link")).to_have_text("no connection")
    expect(page.locator("#headline")).to_have_text("1 on 1.0.0")  # what was known stays
    fleet.start()
    fleet.asks(1)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#headline")).to_have_text("2 on 1.0.0")
    tab.faults[:] = [one for one in tab.faults if "ERR_" not in one]  # the browser's word on a server that was away


def test_list_is_worked_by_keyboard(tab: Tab, fleet: Fleet) -> None:
    fleet.asks(0)
    fleet.asks(5, have=0)
    page = tab()
    page.keyboard.press("/")
    page.keyboard.type("desk-06")
    expect(page.locator("#boards tr")).to_have_count(1)
    reached = []
    while not reached or reached[-1] != "desk-06":
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText.trim() || document.activeElement.id"))
        assert len(reached) < 20, reached
    assert {"State", "Board", "Seen"} <= set(reached)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("desk-06")


CONTRAST = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const rgb = numbers(getComputedStyle(node).backgroundColor);
      if (rgb.length === 3 || rgb[3] === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() &&
    [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  return texts.map((node) => {
    const [a, b] = [light(numbers(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), node.textContent.trim()];
  });
}"""


@pytest.mark.parametrize("view", VIEWS)
def test_views(tab: Tab, fleet: Fleet, view: str) -> None:
    """Boards in each state; one has script for a reason, and another words that no line has room for."""
    for number in range(8):
        fleet.asks(number)
    begin(fleet, "canary,lab")
    fleet.asks(0, phase="failed", seq=2, why=HOSTILE, product=HOSTILE)
    fleet.asks(1, phase="failed", seq=2, why="w" * 64, product="p" * 64)
    fleet.asks(2, phase="trial", seq=2)
    fleet.asks(3, phase="idle", seq=2, why="on-hold")
    fleet.asks(4, phase="idle", seq=2, why="wrong-product")
    fleet.store.progress(board_id(5), 5000, 20_000)
    page = tab(view)
    expect(page.locator("main")).to_contain_text("desk-01")
    if view in VIEWS[:2]:
        expect(page.locator("main")).to_contain_text(HOSTILE)
    assert page.locator("img[onerror]").count() == 0
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate(CONTRAST)
        assert len(found) > 5
        assert [one for one in found if one[0] < 4.5] == [], scheme  # WCAG 2.2, 1.4.3
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert [int(one) < 60 for one in re.findall(r"\d+", back)] == [scheme == "dark"] * 3
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_labels_have_a_code_each_and_print_alone(tab: Tab, fleet: Fleet) -> None:
    for number in range(3):
        fleet.asks(number)
    page = tab("/labels")
    codes = page.locator("#labels img")
    expect(codes).to_have_count(3)
    for code in codes.all():
        code.evaluate("(image) => image.decode()")  # raises where it is no picture
    expect(page.locator("#labels li").first).to_contain_text(f"desk-01{board_id(0)}")
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(codes.first).to_be_visible()
