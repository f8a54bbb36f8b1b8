"""A browser: the system's Chromium, as Playwright's own is a download. The project's CA is not in it, so it is told to take any
certificate; who may believe which is tests/unit/otactl/test_serve.py's."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import shared
import viewing
from otactl.workspace.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

BOARDS = {at: (f"desk-{at + 1:02d}", "canary" if at < 2 else "lab") for at in range(8)}
WAIT_MS = 20_000  # a time limit, not a duration: the page has news within a second or two


@pytest.fixture(scope="module")
def browser() -> "Iterator[BrowserContext]":
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium: apt-get install chromium-headless-shell")
    from playwright.sync_api import expect, sync_playwright  # not before it is needed: each worker would load it

    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        context = made.new_context(ignore_https_errors=True)
        context.set_default_timeout(WAIT_MS)
        yield context
        made.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, place: Workspace) -> Iterator[viewing.Fleet]:
    def make(folder: Path) -> None:
        shutil.copytree(place.root, folder, dirs_exist_ok=True)
        viewing.fill(folder, BOARDS)

    root = tmp_path_factory.mktemp("fleet") / "workspace"
    shutil.copytree(shared.made(tmp_path_factory, "fleet", make), root)
    with viewing.running(Workspace.find(root)) as made:
        yield made


@pytest.fixture
def fleet(served: viewing.Fleet) -> viewing.Fleet:
    """A server that nobody has asked."""
    served.fresh()
    return served


@pytest.fixture
def tab(browser: "BrowserContext", fleet: viewing.Fleet) -> "Iterator[Callable[..., Page]]":
    """tab(path): a page that is open, and up to date. Whatever it does, it asks nobody but its own server, opens no dialog of a
    stranger's, and has no fault in its console."""
    faults: list[str] = []

    def open_page(path: str = "/") -> "Page":
        page = browser.new_page()
        page.on("request", lambda one: one.url.startswith(f"{fleet.url}/") or faults.append(f"asked for {one.url}"))
        page.on("console", lambda one: faults.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda one: faults.append(str(one)))
        page.on("dialog", lambda one: (faults.append(f"dialog {one.message}"), one.dismiss()))
        page.goto(fleet.url + path)
        page.wait_for_selector("#link.live")
        return page

    open_page.faults = faults  # type: ignore[attr-defined] # a test that makes one takes it out
    yield open_page
    for page in browser.pages:
        page.close()
    assert faults == []
