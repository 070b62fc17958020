"""The documentation site: it builds without a warning, its links lead somewhere, and it asks no other server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given.get("href", ""))
        elif "src" in given:
            self.loaded.append(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    built = subprocess.run(
        [sys.executable, ROOT / "docs/build_site.py", "--out", out], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


@pytest.mark.slow
def test_every_document_and_every_module_is_a_page(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    written = {path.relative_to(site) for path in site.rglob("*.html")}
    assert documents <= written
    assert {Path(name) for name in ("index.html", "changes.html", "reference/maskel.methods.mamp.html")} <= written


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    checked = 0
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_relative_to(site.resolve()), (path, link)
            assert target.is_file(), (path, link)
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, (path, link)
            checked += 1
    assert checked > 5000


def outside(site: Path, pages: dict[Path, Page]) -> Iterator[tuple[Path, str]]:
    """What pages and their styles load from other servers."""
    for path, page in pages.items():
        yield from ((path, link) for link in page.loaded if urlsplit(link).netloc)
    for style in site.rglob("*.css"):
        for link in re.findall(r"url\(\s*['\"]?([^'\")]+)", style.read_text()):
            if urlsplit(link).netloc:
                yield style, link


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert list(outside(site, pages)) == []


@pytest.mark.slow
def test_every_document_is_in_the_navigation(site: Path, pages: dict[Path, Page]) -> None:
    linked = {(site / link).resolve() for link in pages[site / "index.html"].links}
    for document in (ROOT / "docs").rglob("*.md"):
        assert (site / document.relative_to(ROOT / "docs").with_suffix(".html")).resolve() in linked, document


def test_a_link_out_of_docs_leads_to_the_page_that_shows_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import build_site

    assert build_site.page_of(ROOT / "README.md") == "index.md"
    assert build_site.page_of(ROOT / "docs/extend/method.md") == "extend/method.md"
    assert build_site.page_of(ROOT / "src/maskel/transforms.py") == "reference/maskel.transforms.md"
    assert build_site.page_of(ROOT / "src/maskel/masking") == "reference/maskel.masking.md"
    assert build_site.page_of(ROOT / "benchmarks/loading.py") == "files/benchmarks/loading.py.md"
    assert build_site.page_of(ROOT / "benchmarks") == ""
    assert "```python\n" in build_site.shown(ROOT / "benchmarks/loading.py")
