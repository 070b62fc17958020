"""The terminal: display of lines, tables and progress bars, and safe display of text from anyone."""

import os

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text


def standard_output() -> Console:
    """Return a console for tables on stdout."""
    return Console(highlight=False)


def standard_error(quiet: bool = False) -> Console:
    """Return a console for lines on stderr, which are not wrapped.

    Args:
        quiet: Show nothing, as in all processes but one.
    """
    return Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)


def say(text: object) -> None:
    """Print lines on stdout unchanged and without wrapping; only in the main process."""
    if os.environ.get("RANK", "0") == "0":
        Console(highlight=False, soft_wrap=True).print(str(text), markup=False)


def tell(sentence: object) -> None:
    """Print one line on stderr; only in the main process."""
    if os.environ.get("RANK", "0") == "0":
        standard_error().print(f"maskel: {sentence}", markup=False)


def shown(text: object) -> str:
    """Return text from anyone in a form that is safe to show: nothing in it moves the cursor."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def plain(text: object) -> Text:
    """Return text for a cell of a table: `shown`, and nothing in it is markup."""
    return Text(shown(text))


def progress_bar(details: str) -> Progress:
    """Return a bar on stderr that vanishes at the end; nothing is shown if stderr is no terminal.

    Args:
        details: Text after the count, with the task's fields: ``clips  {task.fields[speed]:.0f} clips/s``.
    """
    console = standard_error()
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(details),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
