"""``maskel demo``: the whole path on generated data, as the commands a user would type."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from maskel.commands import COMMANDS
from maskel.commands.stages import run_stage
from maskel.console import say, standard_error, standard_output
from maskel.errors import InputError, Stopped
from maskel.files import LOCK
from maskel.training.options import refuse_other_options
from maskel.training.run import RunFolder

PAGE = "report.html"
"""The report, written last."""


def demo(out: Path = Path("demo-run"), seed: int = 0) -> Path:
    """Write raw recordings, prepare them, pre-train MAMP, evaluate it beside raw joints, and draw the report.

    The data are synthetic: the accuracies only show that the pipeline learns. All steps run in one thread. That is fast
    enough, gives the same result on every machine, and no thread waits for one that another program holds up.

    Called again after it was stopped, it goes on with what is left.

    Args:
        out: A new folder for everything.
        seed: Seed of the data, the weights and every draw.

    Returns:
        The report page.

    Raises:
        InputError: If ``out`` holds something else or a finished demo, or is in use by another process.
        Stopped: After Ctrl-C or SIGTERM.
    """
    _open(out, seed)
    raw, prepared, run, report = (out / name for name in ("raw", "set", "mamp", PAGE))
    evaluations = ("linear", "linear-untrained", "knn", "knn-untrained")
    draw = ["--seed", str(seed)]
    frozen = ["--encoder", str(run), "--data", str(prepared), *draw]
    if not prepared.exists():
        if not (out / f"{prepared.name}.partial").exists():  # else reading has begun, of files that must stay
            _step(["synthesize", "--out", str(raw), *draw])
        _step(["prepare", "synthetic", str(raw), "--out", str(prepared)])
    pretrain = ["pretrain", "--config", "mamp", "--config", "demo", "--data", str(prepared), *draw]
    baseline = ["baseline", "--data", str(prepared), *draw]
    runs = {run.name: pretrain} | {name: _evaluation(name, frozen) for name in evaluations} | {"baseline": baseline}
    for name, words in runs.items():
        with _as_step(words[0]):
            run_stage(words, out / name, "maskel demo")
    _step(["report", *(str(out / name) for name in runs), "--out", str(report)])
    standard_output().print(_table(out))
    return report


def _open(out: Path, seed: int) -> None:
    """Make the folder, or go on in one that an unfinished demo left.

    Raises:
        InputError: If it holds something else, or another process is in it.
    """
    run, config = RunFolder(out), {"seed": seed}
    begun = run.has_config and not (out / PAGE).exists() and run.command == "demo"
    if begun:
        run.hold()
        refuse_other_options(out, run.read_config(), config)
        return
    left = ["a file"] if out.is_file() else [entry.name for entry in out.glob("*") if entry.name != LOCK]
    if any(not name.endswith(".partial") or name[0] != "." for name in left):
        raise InputError(f"{out} exists; remove it or choose another --out")
    RunFolder.create(out, "demo", config)


def _step(words: Sequence[str]) -> None:
    standard_error().print(f"\n$ maskel {' '.join(words)}", style="bold", markup=False)
    with _as_step(words[0]):
        COMMANDS[words[0]](words[0], words[1:])


@contextmanager
def _as_step(name: str) -> Iterator[None]:
    """Compute in one thread, whatever the machine has, and name the step if it is stopped."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    except Stopped as stop:
        raise Stopped(f"its step `maskel {name}` {stop}") from stop
    finally:
        torch.set_num_threads(before)


def _evaluation(name: str, frozen: Sequence[str]) -> list[str]:
    kind, _, untrained = name.partition("-")
    recipe = ["--config", "demo"] if kind == "linear" else []
    return [kind, *recipe, *frozen, *(["--untrained"] if untrained else [])]


def _table(out: Path) -> Table:
    table = Table("evaluation", "encoder", "correct / seen", "accuracy", title="performers never seen in training")
    rows = [
        (name, title, encoder)
        for kind, title in (("linear", "linear, last epoch"), ("knn", "nearest neighbour"))
        for name, encoder in ((kind, "pre-trained by MAMP"), (f"{kind}-untrained", "untrained"))
    ]
    for name, title, encoder in (*rows, ("baseline", "baseline", "none: raw joints")):
        result = RunFolder(out / name).result
        counted = f"{result['correct']} / {result['seen']}"
        table.add_row(title, encoder, counted, f"{100 * result['accuracy']:.1f} %")
        classes = len(result["per_class"])
    table.add_row("chance", "", "", f"{100 / classes:.1f} %")
    return table


def show(page: Path, options: Mapping[str, Any]) -> None:
    """Print where the report is."""
    say(f"report: {page.resolve()}")
