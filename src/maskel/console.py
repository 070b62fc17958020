"""The terminal: display of lines, tables and progress bars, and safe display of text from anyone."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from maskel.text import shown

MOST_ROWS = 1000
"""Rows of a table that are shown; every benchmark of a set is one."""


Report = Callable[[str, int, int], None]
"""Takes word of the progress of some work: its name, what is done, and all that there is to do."""
BARS: list[Progress] = []
"""Bars that are shown: a second one would write over the first."""


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


@contextmanager
def reported(show: bool = True) -> Iterator[Report]:
    """Yield a function that shows progress: a bar for each work, after the one before; all vanish at the end.

    Nothing is shown if stderr is no terminal, or where a bar is shown already.

    Args:
        show: Show it, as in one process of several.
    """
    if not show or BARS:
        yield lambda what, done, total: None
        return
    works: dict[str, TaskID] = {}
    with progress_bar("{task.description}") as bar:

        def report(what: str, done: int, total: int) -> None:
            if what not in works:
                for finished in works.values():
                    bar.update(finished, visible=False)
                works[what] = bar.add_task(what, total=total)
            bar.update(works[what], completed=done)

        BARS.append(bar)
        try:
            yield report
        finally:
            BARS.remove(bar)
