"""Reads a page as a browser would."""

import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import maskel.pictures

OURS = {path.read_text(encoding="utf-8") for path in Path(maskel.pictures.__file__).parent.glob("*.js")}


def require_safe(page: str) -> None:
    """Nothing but our scripts and our style is in a page or allowed there, and nothing is loaded or called."""
    elements = Elements(page)
    assert not {"b", "img", "iframe", "link", "object", "embed", "form", "base"} & set(elements.tags)
    assert not {name for name in elements.attributes if name.startswith("on") or name in ("style", "src", "href")}
    assert not re.search(r"url\(|@import|https?://", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    written = {kind: re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL) for kind in ("style", "script")}
    assert page.count("<style") == len(written["style"]) == 1
    assert page.count("<script") == len(written["script"]) == elements.tags["script"]
    assert set(written["script"]) <= OURS
    for kind, texts in written.items():
        hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts]
        assert rules.pop(f"{kind}-src", "") == " ".join(hashes)
    assert rules == {}


class Elements(HTMLParser):
    """Counts the elements and classes of a page, and makes sure that every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.classes[dict(attrs).get("class") or ""] += 1
        if tag != "meta":  # and void elements that we never write
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
