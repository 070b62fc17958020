"""A browser for tests: Chromium without a window, with every complaint and every request noted."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def launched() -> Iterator[Any]:
    """Start Chromium once; skip the tests where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium is installed, so no page is looked at in a browser (apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, address: Path | str, width: int = 1200, **options: Any) -> Iterator[Any]:
    """Open a page; it must complain of nothing, call nobody else, open no dialog, and fit its width."""
    address = address.as_uri() if isinstance(address, Path) else address
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    page, noted = context.new_page(), []
    page.on("console", lambda message: noted.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda fault: noted.append(f"error: {fault}"))
    page.on("dialog", lambda dialog: (noted.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith(address) or noted.append(f"request: {request.url}"))
    page.set_default_timeout(10_000)
    page.goto(address)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert noted == []
    context.close()
