"""Markdown reads well in a terminal and in a review: lines of prose have at most 120 characters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LONGEST = 120


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines by number, without tables, code, and what is generated."""
    fence = generated = False
    for number, line in enumerate(text.splitlines(), 1):
        fence ^= line.lstrip().startswith("```")
        generated = (generated or line.startswith("<!-- generated")) and not line.startswith("<!-- end of generated")
        if not (fence or generated or line.startswith("|")):
            yield number, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_lines_of_prose_are_short(document: Path) -> None:
    assert [(number, line) for number, line in prose(document.read_text()) if len(line) > LONGEST] == []


def test_tables_code_and_generated_parts_are_no_prose() -> None:
    text = "one\n```sh\nlong\n```\n| cell |\n<!-- generated: x -->\n| x |\nline\n<!-- end of generated -->\ntwo"
    assert [line for _, line in prose(text)] == ["one", "```", "<!-- end of generated -->", "two"]
