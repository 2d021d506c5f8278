"""The page in a real browser, Debian's chromium: `make test-web`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import PATIENCE, Server, until

if TYPE_CHECKING:
    from playwright.sync_api import (  # pyright: ignore[reportMissingImports]
        Browser,
        ConsoleMessage,
        Locator,
        Page,
    )

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("default")]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
LEFT = ("BodyStreamBuffer was aborted", "errored out")
"""What Gradio says on the console when a page is left while a job runs."""
Open = Callable[..., "Page"]
"""Opens the page in a browser of its own: options of its context."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it; never one that is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as engine:
        found = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Open]:
    """Opens the page; afterwards there was no error and no request to anybody else."""
    contexts: list[Any] = []
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(words in message.text for words in LEFT):
            errors.append(message.text)

    def watch(page: Page) -> None:
        page.on("console", hear)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: errors.append(r.url) if outside(r.url) else None)

    def outside(url: str) -> bool:
        return not url.startswith((server.address, "data:", "blob:", "about:"))

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto(server.address)
        page.wait_for_function("document.querySelector('#model-status')?.innerText.match(/Loaded/)")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def drop(page: Page, server: Server, *names: str) -> None:
    """Give files to the drop zone, and wait for their rows."""
    before = rows(page)
    page.locator("#drop input[type=file]").set_input_files([server.folder / n for n in names])
    good = [n for n in names if n != "text.png"]
    until(lambda: rows(page) == before + len(good))


def rows(page: Page) -> int:
    return page.locator(".picture img").count()


def names(page: Page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('.picture img')].map(image => image.title)")


def small(page: Page, **values: Any) -> None:
    """Settings with which a film takes a moment."""
    page.get_by_role("button", name="All settings").first.click()
    change(page, **{"frames": 3, "level": 0.5, "steps": 4, "max steps": 2, **values})


def setting(page: Page, label: str) -> Locator:
    """The field of a setting of a film, by its label, which stands above an explanation."""
    title = page.get_by_test_id("block-info").get_by_text(label, exact=True)
    return page.locator("label", has=title).locator("input").first


def change(page: Page, **values: Any) -> None:
    for label, value in values.items():
        setting(page, label).fill(str(value))
        setting(page, label).blur()


def run(page: Page) -> None:
    page.click("#run")
    page.wait_for_selector("#morph-progress .progress")


def end(page: Page, words: str) -> None:
    page.wait_for_function(
        "words => document.querySelector('#morph-progress').innerText.includes(words)", arg=words
    )


def plays(page: Page) -> None:
    """The film is there and its time moves."""
    page.wait_for_selector("#film video")
    clock = "document.querySelector('#film video').currentTime"
    page.wait_for_function(f"{clock} > 0.05")
    first = page.evaluate(clock)
    page.wait_for_function(f"t => {clock} != t", arg=first)


def test_two_clicks_make_a_film_that_plays(opened: Open) -> None:
    page = opened()
    small(page)  # for the test's sake; the defaults do as well
    page.get_by_role("button", name="Two portraits").click()
    until(lambda: rows(page) == 2)
    page.wait_for_function(
        "document.querySelector('.estimate').innerText.includes('network evaluations')"
    )
    run(page)
    end(page, "Done")
    plays(page)
    assert page.locator("#film video").evaluate("v => v.loop")
    chosen = page.locator(".viewer input[type=range]").first
    chosen.focus()
    page.keyboard.press("End")
    assert "3 of 3" in page.locator(".viewer output").inner_text()
    page.keyboard.press("ArrowLeft")
    assert "2 of 3" in page.locator(".viewer output").inner_text()
    page.locator(".viewer .strip button").first.click()
    assert "1 of 3" in page.locator(".viewer output").inner_text()
    for tab, words in {"Density": "svg", "Matches": "svg line", "What to know": "table"}.items():
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(f"#results {words} >> visible=true")
    page.get_by_role("tab", name="Downloads").click()
    with page.expect_download() as download:
        page.locator("#files a[download]").first.click()
    assert download.value.suggested_filename == "morph.mp4"
    assert "geodesic interpolate portrait_a.jpg" in page.locator("#command").inner_text()


def test_stop_in_the_middle_and_run_again(opened: Open, server: Server) -> None:
    page = opened()
    drop(page, server, "a.png", "b.png")
    small(page, **{"max steps": 100000, "tol": 1e-12})
    run(page)
    page.wait_for_selector("#morph-progress .curve")  # the solver's residual, step by step
    page.click("#stop")
    end(page, "Stopped.")
    change(page, **{"max steps": 2})
    page.click("#run")
    end(page, "Done")
    plays(page)


def test_a_page_that_is_reloaded_finds_its_job(opened: Open, server: Server) -> None:
    page = opened()
    drop(page, server, "a.png", "b.png")
    small(page, frames=60, steps=999, level=1)
    run(page)
    page.wait_for_selector("#morph-progress li.now")
    page.reload()
    page.wait_for_selector("#morph-progress li.now")
    until(lambda: names(page) == ["picture", "picture"] or rows(page) == 2)
    assert setting(page, "frames").input_value() == "60"
    page.click("#stop")
    end(page, "Stopped.")


def test_what_is_wrong_is_said_and_the_page_goes_on(opened: Open, server: Server) -> None:
    page = opened()
    page.click("#run")
    page.wait_for_selector("#message .alert")
    assert "A film needs two pictures" in page.locator("#message").inner_text()
    drop(page, server, "text.png", "a.png")
    assert "text.png is not an image" in page.locator("#picture-message").inner_text()
    drop(page, server, "a.png")
    small(page)
    page.click("#run")
    page.wait_for_selector("#morph-progress .alert")
    assert "identical" in page.locator("#morph-progress").inner_text()
    page.click("#remove-2")
    until(lambda: rows(page) == 1)
    drop(page, server, "b.png")
    change(page, guidance=3)
    page.click("#run")
    page.wait_for_selector("#message .alert")
    assert "there is no prompt to guide towards" in page.locator("#message").inner_text()
    change(page, guidance=1)
    page.click("#run")
    end(page, "Done")
    plays(page)


def test_rows_move_with_their_prompts(opened: Open, server: Server) -> None:
    page = opened()
    drop(page, server, "a.png", "b.png", "c.png")
    page.get_by_label("What picture 1 shows").fill("first")
    page.get_by_role("button", name="Move down picture 1").click()
    until(lambda: names(page) == ["b.png", "a.png", "c.png"])
    assert page.get_by_label("What picture 2 shows").input_value() == "first"
    page.get_by_role("button", name="Move up picture 3").click()
    until(lambda: names(page) == ["b.png", "c.png", "a.png"])
    page.get_by_role("button", name="Remove picture 1").click()
    until(lambda: names(page) == ["c.png", "a.png"])
    assert page.get_by_label("What picture 2 shows").input_value() == "first"


def test_a_picture_can_be_pasted(opened: Open) -> None:
    page = opened()
    page.evaluate(
        """async () => {
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = 40;
            const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
            const data = new DataTransfer();
            data.items.add(new File([blob], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }"""
    )
    until(lambda: names(page) == ["pasted.png"])


def test_a_phone_shows_everything_without_scrolling_sideways(opened: Open, server: Server) -> None:
    page = opened(viewport={"width": 380, "height": 800}, has_touch=True)
    drop(page, server, "a.png", "b.png")
    small(page)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 380
    run(page)
    end(page, "Done")
    plays(page)
    assert page.evaluate(width) <= 380
    box = page.locator("#remove-2").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 380


def test_two_visitors_do_not_see_each_other(opened: Open, server: Server) -> None:
    ann, bob = opened(), opened()
    drop(ann, server, "a.png", "b.png")
    small(ann)
    run(ann)
    end(ann, "Done")
    bob.reload()
    bob.wait_for_function("document.querySelector('#model-status')?.innerText.match(/Loaded/)")
    assert rows(bob) == 0
    assert bob.locator("#film video").count() == 0
    assert "Done" not in bob.locator("#morph-progress").inner_text()
    tokens = [p.evaluate("sessionStorage.getItem('geodesic-token')") for p in (ann, bob)]
    assert len(tokens[0]) == 48
    assert tokens[0] != tokens[1]


def test_a_loop_of_three(opened: Open, server: Server) -> None:
    page = opened()
    drop(page, server, "a.png", "b.png", "c.png")
    small(page, frames=6)
    page.get_by_label("loop", exact=True).first.check()
    run(page)
    end(page, "Done")
    plays(page)
    assert page.locator(".viewer .strip button").count() == 6


def test_a_folder_that_is_no_model(opened: Open) -> None:
    page = opened()
    field = page.get_by_label("Model", exact=True)
    for name, words in {"tokenizer": "model_index.json", "owner/nothing": "owner/nothing"}.items():
        field.fill(name)
        field.press("Enter")
        page.wait_for_selector("#model-status .alert")
        until(lambda words=words: words in page.locator("#model-status").inner_text())
    field.fill("model")
    field.press("Enter")
    page.wait_for_function("document.querySelector('#model-status').innerText.match(/Loaded/)")


def test_distances_show_their_report(opened: Open, server: Server) -> None:
    page = opened()
    page.get_by_role("tab", name="Explore").click()
    files = page.locator("#distances-pictures input[type=file]")
    files.set_input_files([server.folder / n for n in ("a.png", "b.png", "c.png")])
    page.locator("#distances-pictures .filename").nth(2).wait_for()
    page.click("#distances-run")
    report = page.frame_locator("#distances-report iframe")
    report.get_by_role("heading", name="Geodesic distances").wait_for()
    assert report.get_by_role("cell", name="1. a", exact=True).count() > 0


def test_everything_can_be_reached_and_is_named(opened: Open, server: Server) -> None:
    page = opened(color_scheme="dark")
    drop(page, server, "a.png", "b.png")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, img")].filter((e) =>
            e.checkVisibility() && !(e.labels?.length || e.getAttribute("aria-label") || e.title
              || e.innerText?.trim() || e.alt || e.placeholder)).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("h1").count() == 1
    focused = []
    page.locator("body").press("Tab")
    for _ in range(40):
        focused.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        page.keyboard.press("Tab")
    assert focused.index("up-1") < focused.index("remove-2") < focused.index("run")
