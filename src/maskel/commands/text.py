"""Text that is printed, made safe where it may come from anyone."""

import os

from rich.console import Console
from rich.text import Text


def plain(text: str) -> Text:
    """Text for a terminal: nothing in it is markup, and control characters are shown as a replacement character."""
    return Text("".join(character if character.isprintable() else "\ufffd" for character in text))


def say(text: object) -> None:
    """Print lines to standard output; of several processes one speaks."""
    if os.environ.get("RANK", "0") == "0":
        Console(highlight=False, soft_wrap=True).print(str(text), markup=False)
