"""HTML and SVG with all plain text escaped: names in a run folder may come from anyone."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TypeVar

from maskel.errors import InputError
from maskel.text import shown
from maskel.version import __version__

_KEPT = "\n\t"
_STYLE = "page.css"
Item = TypeVar("Item")


class Markup(str):
    """Finished HTML or SVG. Text becomes part of it only through `element`, which escapes it."""

    __slots__ = ()


def element(name: str, *content: object, **attributes: object) -> Markup:
    """Return one element.

    Args:
        name: Its tag.
        content: Its content: Markup unchanged, anything else as escaped text.
        attributes: ``class_`` is written ``class``, ``stroke_width`` is written ``stroke-width``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(shown(value, _KEPT))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Parts one after another: Markup as it is, anything else as escaped text."""
    return Markup("".join(part if isinstance(part, Markup) else escape(shown(part, _KEPT)) for part in parts))


def svg(width: float, height: float, label: str, *content: Markup, class_: str = "", zoom: float = 0.0) -> Markup:
    """Return a picture that scales with the space available, or has a size of its own.

    Args:
        width: Width in the picture's units.
        height: Height in the picture's units.
        label: Description for readers who cannot see it.
        content: Its elements.
        class_: Class of its style.
        zoom: Pixels of the page for a unit of the picture; 0 scales it to its place.
    """
    size = {"width": f"{zoom * width:.0f}", "height": f"{zoom * height:.0f}"} if zoom else {}
    box = f"0 0 {width:.0f} {height:.0f}"
    return element("svg", *content, viewBox=box, role="img", aria_label=label, class_=class_, **size)


def text(x: float, y: float, content: object, class_: str = "") -> Markup:
    """Return a text in a picture; ``class_`` sets colour and alignment."""
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", class_=class_)


def table(heading: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table whose first column names the rows; it scrolls if it does not fit."""
    head = element("thead", element("tr", *(element("th", cell, scope="col") for cell in heading)))
    lines = (
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    )
    return element("div", element("table", head, element("tbody", *lines)), class_="scroll")


def paragraph(*content: object, class_: str = "") -> Markup:
    """Return a paragraph; class ``note`` has smaller print."""
    return element("p", *content, **({"class": class_} if class_ else {}))


def missing(sentence: str) -> Markup:
    """Return a paragraph that explains missing content."""
    return paragraph(sentence, class_="missing")


def not_shown(fault: object) -> Markup:
    """Return a paragraph that says why something is missing."""
    return missing(f"Not shown: {fault}.")


def of_each(
    items: Iterable[Item], heading: Callable[[Item], str], draw: Callable[[Item], Markup], nothing: str
) -> Markup:
    """Draw each item below its heading, or say why it cannot be drawn; ``nothing`` stands where there are none."""
    parts = []
    for item in items:
        parts.append(element("h3", heading(item)))
        try:
            parts.append(draw(item))
        except InputError as fault:
            parts.append(not_shown(fault))
    return join(parts) if parts else missing(nothing)


def page(title: str, *content: Markup, scripts: Sequence[str] = (), connects: bool = False) -> str:
    """Return a whole document.

    Its policy forbids the browser to load anything, and to run or apply anything but the scripts and the style that
    maskel put into it: it names the hash of each.

    Args:
        title: Its title.
        content: Its content.
        scripts: Names of files beside this one, in the order in which they run.
        connects: Whether they may call the server that the page comes from.
    """
    style, *run = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in (_STYLE, *scripts))
    allowed = [f"default-src 'none'; style-src {_hash(style)}", "base-uri 'none'; form-action 'none'"]
    allowed += [f"script-src {' '.join(map(_hash, run))}"] if run else []
    allowed += ["connect-src 'self'"] if connects else []
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(allowed)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"{element('title', title)}\n<style>{style}</style>\n</head>\n<body>\n"
        f"{join(content)}\n{element('footer', f'Written by maskel {__version__}.')}\n"
        f"{''.join(f'<script>{script}</script>' for script in run)}</body>\n</html>\n"
    )


def _hash(content: str) -> str:
    """Return the source of a content policy that allows exactly this script or style."""
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
