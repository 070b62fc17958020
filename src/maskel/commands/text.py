"""Text that may come from anyone, made safe to show."""

from rich.text import Text


def plain(text: str) -> Text:
    """Text for a terminal: nothing in it is markup, and control characters are shown as a replacement character."""
    return Text("".join(character if character.isprintable() else "\ufffd" for character in text))
