"""The progress bar of commands that read many files or clips."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_bar(told: str) -> Progress:
    """A bar on stderr that vanishes at the end; nothing is shown where that is no terminal.

    Args:
        told: What follows the count, with the task's fields: ``clips  {task.fields[speed]:.0f} clips/s``.
    """
    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(told),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
