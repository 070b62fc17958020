"""The terminal: display of lines, tables and progress bars, and safe display of text from anyone."""

import os
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from maskel.text import shown

MOST_ROWS = 1000
"""Rows of a table that are shown; every benchmark of a set is one."""


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
        Console(highlight=False, soft_wrap=True).print(shown(text, kept="\n"), markup=False)


def notify(sentence: object) -> None:
    """Print one line on stderr; only in the main process."""
    if os.environ.get("RANK", "0") == "0":
        standard_error().print(f"maskel: {shown(sentence)}", markup=False)


def print_table(
    console: Console, heading: Sequence[object], rows: Iterable[Sequence[object]], title: str = "", fold: bool = False
) -> None:
    """Print a table; nothing in it is markup or moves the cursor.

    Args:
        console: Where.
        heading: Names of the columns; empty names for a table without.
        rows: Their cells.
        title: Above it.
        fold: Break long cells instead of cutting them.
    """
    table = Table(title=plain(title) if title else None, title_justify="left", show_header=any(heading))
    for name in heading:
        table.add_column(plain(name), overflow="fold" if fold else "ellipsis")
    cells = list(rows)
    for row in cells[:MOST_ROWS]:
        table.add_row(*map(plain, row))
    console.print(table)
    if len(cells) > MOST_ROWS:
        console.print(f"and {len(cells) - MOST_ROWS:,} more rows")


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
