"""``maskel demo``: the whole path on generated data, as the commands a user would type."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from maskel.commands import COMMANDS
from maskel.console import say, standard_error, standard_output
from maskel.errors import InputError, Stopped
from maskel.training.run import RunFolder


def demo(out: Path = Path("demo-run"), seed: int = 0) -> Path:
    """Write raw recordings, prepare them, pre-train MAMP, evaluate it beside raw joints, and draw the report.

    The data are synthetic: the accuracies mean nothing beyond that the pipeline learns. All steps run in one thread:
    that is quick enough, the same on every machine, and no thread waits for one that another program holds up.

    Args:
        out: A new folder for everything.
        seed: Seed of the data, the weights and every draw.

    Returns:
        The report page.

    Raises:
        InputError: If ``out`` exists.
        Stopped: After Ctrl-C or SIGTERM.
    """
    if out.exists():
        raise InputError(f"{out} exists; remove it or choose another --out")
    raw, prepared, run, report = (str(out / name) for name in ("raw", "set", "mamp", "report.html"))
    evaluations = ("linear", "linear-untrained", "knn", "knn-untrained")
    draw = ["--seed", str(seed)]
    frozen = ["--encoder", run, "--data", prepared, *draw]
    steps = [
        ["synthesize", "--out", raw, *draw],
        ["prepare", "synthetic", raw, "--out", prepared],
        ["pretrain", "--config", "mamp", "--config", "demo", "--data", prepared, "--out", run, *draw],
        *(_evaluation(name, frozen, out) for name in evaluations),
        ["baseline", "--data", prepared, *draw, "--out", str(out / "baseline")],
        ["report", run, *(str(out / name) for name in (*evaluations, "baseline")), "--out", report],
    ]
    console = standard_error()
    with _one_thread():
        for step in steps:
            console.print(f"\n$ maskel {' '.join(step)}", style="bold", markup=False)
            try:
                COMMANDS[step[0]](step[0], step[1:])
            except Stopped as stop:
                raise Stopped(f"its step `maskel {step[0]}` {stop}") from stop
    standard_output().print(_table(out))
    return Path(report)


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch computes in one thread, whatever the machine has; afterwards in as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _evaluation(name: str, frozen: Sequence[str], out: Path) -> list[str]:
    kind, _, untrained = name.partition("-")
    recipe = ["--config", "demo"] if kind == "linear" else []
    return [kind, *recipe, *frozen, *(["--untrained"] if untrained else []), "--out", str(out / name)]


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
