"""One run as a step of a longer command, which skips it or goes on with it."""

from collections.abc import Sequence
from pathlib import Path

from maskel import distributed
from maskel.commands import COMMANDS
from maskel.console import standard_error
from maskel.errors import Stopped
from maskel.training.run import RunFolder
from maskel.training.seeds import seed_folders


def run_stage(words: Sequence[str], folder: Path, whole: str, is_main: bool = True) -> None:
    """Run a command line that leaves a run as a step of another command: skip it if it is finished, or go on with it.

    Args:
        words: The command line without ``--out``.
        folder: The run folder.
        whole: The command that it is a step of.
        is_main: Whether this process writes.
    """
    run = RunFolder(folder)
    console = standard_error(quiet=not is_main)
    if run.finished:
        if is_main:
            run.tidy()
        console.print(f"{folder} is finished", markup=False)
        return
    where = "--resume" if run.has_state else "--out"
    begun = run.has_state or seed_folders(folder)  # several seeds go on by themselves
    if is_main and not begun and folder.exists():  # stopped before anything was saved
        run.hold()
        run.empty()
    distributed.barrier()
    words = [*words, where, str(folder)]
    console.print(f"\n$ maskel {' '.join(words)}", style="bold", markup=False)
    try:
        COMMANDS[words[0]](words[0], words[1:])
    except Stopped as stop:
        raise Stopped(f"{stop}, or repeat {whole}: it runs only what is left") from stop
    distributed.barrier()
