"""The one door for text of strangers to terminal, tables, markup and csv."""

import unicodedata
from collections.abc import Iterable

_HARMLESS = "\u200c\u200d\u00ad"  # joiners within words, which some scripts need


def shown(text: object, kept: str = "") -> str:
    r"""Return text as it may be shown: control characters, and what no terminal can show, as codes.

    Args:
        text: Anything with a text.
        kept: Control characters that stay, such as line ends.

    >>> print(shown("a" + chr(27) + "[2Jb"))
    a\x1b[2Jb
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter in kept or letter in _HARMLESS or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def listed(names: Iterable[object], most: int = 20) -> str:
    """List names for a sentence: the first ones, where there are many.

    >>> listed(["xsub", "xview"]), listed(range(1000))[-19:]
    ('xsub, xview', '18, 19 and 980 more')
    """
    every = list(map(str, names))
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
