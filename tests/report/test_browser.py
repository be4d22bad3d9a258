"""report.html in a real Chromium without a window. Skipped where there is none."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver")
exceptions = pytest.importorskip("selenium.common.exceptions")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with chromedriver")
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def look(browser: Any, written: Path, size: tuple[int, int], scheme: str = "light", at: str = "") -> None:
    """Open the page in a window of that size and color scheme."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")
    browser.get((written / "report.html").as_uri() + at)


def ask(browser: Any, expression: str) -> Any:
    return browser.execute_script(f"return {expression}")


def background(browser: Any) -> list[int]:
    color = ask(browser, "getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def test_nothing_is_said_on_the_console_and_nothing_is_fetched(browser: Any, written: Path) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    look(browser, written, DESK)
    assert ask(browser, "document.title").startswith("Toys <script>alert(1)</script>")
    assert browser.get_log("browser") == []
    asked = [
        entry["message"]
        for entry in browser.get_log("performance")
        if 'requestWillBeSent"' in entry["message"]
    ]
    assert not any('"url":"http' in message for message in asked)


@pytest.mark.parametrize("size", [(320, 640), PHONE, (768, 1024), DESK])
def test_a_page_never_scrolls_sideways(browser: Any, written: Path, size: tuple[int, int]) -> None:
    look(browser, written, size)
    ask(browser, "document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert ask(browser, "document.documentElement.scrollWidth") <= size[0]
    wide = "[...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth)"
    assert ask(browser, wide) or size == DESK  # tables do, within their own boxes


def test_light_and_dark(browser: Any, written: Path) -> None:
    look(browser, written, PHONE, "light")
    assert min(background(browser)) > 240
    look(browser, written, PHONE, "dark")
    assert max(background(browser)) < 50
    ink = ask(browser, "getComputedStyle(document.body).color")
    assert min(int(part) for part in ink.removeprefix("rgb(").removesuffix(")").split(",")) > 200


def test_every_picture_is_decoded(browser: Any, written: Path) -> None:
    look(browser, written, DESK)
    widths = ask(browser, "[...document.images].map(one => one.naturalWidth)")
    assert len(widths) >= 10
    assert min(widths) > 0


def test_a_picture_is_enlarged_and_put_back(browser: Any, written: Path) -> None:
    look(browser, written, PHONE)
    before = ask(browser, "document.querySelector('figure img').getBoundingClientRect().height")
    top = ask(browser, "scrollY")
    ask(browser, "document.querySelector('figure .zoom').click()")
    rect = "document.querySelector('figure.open').getBoundingClientRect()"
    assert ask(browser, f"[{rect}.width, {rect}.height]") == [390, 844]
    assert ask(browser, "document.documentElement.scrollWidth") <= 390
    browser.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert ask(browser, "document.querySelector('figure.open')") is None
    assert ask(browser, "document.querySelector('figure img').getBoundingClientRect().height") == before
    assert ask(browser, "scrollY") == top


def test_a_picture_is_enlarged_without_javascript(browser: Any, written: Path) -> None:
    look(browser, written, DESK, at="#general_curves_loss")
    rect = "document.querySelector('figure:target').getBoundingClientRect()"
    width, height = ask(browser, f"[{rect}.width, {rect}.height]")
    assert width > 1250 and height == 900  # there may be a bar to scroll with
    close = "document.querySelector('figure:target .close')"
    assert ask(browser, f"{close}.getBoundingClientRect().height") > 10
    assert ask(browser, f"{close}.hash") == "#back-general_curves_loss"


def test_a_table_is_sorted_by_numbers(browser: Any, written: Path) -> None:
    look(browser, written, DESK)
    table = "document.querySelector('#general-provenance table')"
    seeds = f"[...{table}.tBodies[0].rows].map(row => row.cells[1].textContent)"
    assert ask(browser, seeds) == ["0", "1", "0", "1"]
    click = f"{table}.tHead.rows[0].cells[1].querySelector('button').click()"
    ask(browser, click)
    assert ask(browser, seeds) == ["0", "0", "1", "1"]
    ask(browser, click)
    assert ask(browser, seeds) == ["1", "1", "0", "0"]
    assert ask(browser, f"{table}.tHead.rows[0].cells[1].getAttribute('aria-sort')") == "descending"


def test_a_table_is_copied_as_a_spreadsheet_takes_it(browser: Any, written: Path) -> None:
    look(browser, written, DESK)
    ask(browser, "(() => { document.execCommand = () => { window.copied = document.activeElement.value; }; "
        "Object.defineProperty(navigator, 'clipboard', { value: undefined }); })()")  # fmt: skip
    ask(browser, "document.querySelector('#general-options .copy').click()")
    lines = ask(browser, "window.copied").splitlines()
    assert lines[1] == "trainer.width\t4\t8"


def on_paper(browser: Any, tries: int = 3) -> bytes:
    """The page as a PDF. Chromium's own printing process fails now and then, at any page."""
    try:
        printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    except exceptions.WebDriverException as error:
        if "Printing failed" not in str(error) or tries == 1:
            raise
        return on_paper(browser, tries - 1)
    return base64.b64decode(printed["data"])


def test_paper_shows_what_screens_fold(browser: Any, written: Path) -> None:
    look(browser, written, DESK)
    assert on_paper(browser).startswith(b"%PDF")
    assert ask(browser, "document.querySelectorAll('details[open]').length") == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert ask(browser, "getComputedStyle(document.querySelector('nav')).display") == "none"
    assert ask(browser, "getComputedStyle(document.querySelector('.copy')).display") == "none"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
