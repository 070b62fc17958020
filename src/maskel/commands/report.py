"""``maskel report``: runs as one HTML page."""

from pathlib import Path

from maskel.errors import InputError
from maskel.files import refuse_unwritable, write_output
from maskel.pictures.report import render
from maskel.training.finished import open_runs


def report(runs: list[Path], out: Path = Path("report.html"), clips: int = 3) -> Path:
    """Show runs on one page that needs nothing else: results, curves, confusions, and what a method predicts.

    The page names what a run does not provide. Equal run folders give equal pages.

    Args:
        runs: Run folders of any command, in any mix and order; a folder of several seeds stands for its runs.
        out: The HTML file; an earlier one is replaced.
        clips: Test clips to draw with each pre-trained method, 0 or more.

    Returns:
        The file.

    Raises:
        InputError: If a folder is not a run folder, or the file cannot be written.

    Examples:
        >>> report([Path("run")], out=Path("page.html"), clips=1).name
        'page.html'
    """
    if not runs:
        raise InputError("report: expected at least one run folder")
    if clips < 0:
        raise InputError(f"clips: found {clips}, expected 0 or more")
    refuse_unwritable(out)
    return write_output(out, render(open_runs(runs), clips))
