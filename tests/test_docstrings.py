"""Docstrings read as plain English: a first line says what a thing does or is, and some words stay out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import maskel

PACKAGE = Path(maskel.__file__).parent
NOT_YET = ()
"""Packages whose docstrings are not rewritten yet."""
OPENERS = re.compile(r"(What|Whether|How|Which|Where|Who)\b")
WORDS = re.compile(r"\b(told|asked)\b", re.IGNORECASE)
CODE = re.compile(r"`+[^`]*`+")


def _docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring, those below attributes and constants included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def _of_package() -> list[tuple[str, str]]:
    """Return (place, text) of all docstrings but those of `NOT_YET`."""
    paths = sorted(PACKAGE.rglob("*.py"))
    paths = [path for path in paths if path.relative_to(PACKAGE).parts[0] not in NOT_YET]
    return [(f"{path.relative_to(PACKAGE)}:{line}", text) for path in paths for line, text in _docstrings(path)]


def test_no_docstring_opens_with_a_question_word() -> None:
    texts = _of_package()
    assert len(texts) > 1000
    assert [f"{place} {text.splitlines()[0]}" for place, text in texts if OPENERS.match(text.strip())] == []


def test_no_docstring_says_told_or_asked() -> None:
    assert [f"{place} {match[0]}" for place, text in _of_package() if (match := WORDS.search(CODE.sub("", text)))] == []
