"""``maskel reproduce``: a method on a benchmark by every protocol, beside the published numbers."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from maskel.commands.results import markdown_table
from maskel.datasets import SOURCES
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import write_atomically
from maskel.methods import METHODS
from maskel.published import PROTOCOLS, PUBLISHED
from maskel.training import distributed
from maskel.training.engine import Stopped
from maskel.training.run import CONFIG, RunFolder, refuse_other_options

Scale = Literal["published", "small"]
"""``published``, or the size of the recipe ``small``, to try everything out."""

_STAGES: dict[str, tuple[str, ...]] = {
    "pretrain": ("pretrain",),
    "linear": ("linear",),
    "finetune": ("finetune",),
    "semi_1": ("finetune", "--config", "semi_1"),
    "semi_10": ("finetune", "--config", "semi_10"),
    "knn": ("knn",),
}
TABLE, REPORT = "results.md", "report.html"


def reproduce(
    run_command: Callable[[Sequence[str]], object],
    recipes: Sequence[str],
    method: str,
    benchmark: str,
    data: Path,
    out: Path,
    scale: Scale = "published",
    seed: int = 0,
    device: str = "auto",
) -> str:
    """Pre-train, then evaluate by linear probe, fine-tuning, 1 % and 10 % of the labels, and nearest neighbours.

    Called again with the same options it skips what is finished and goes on with what was stopped.

    Args:
        run_command: Runs one ``maskel`` command line.
        recipes: Names of the recipes that exist.
        method: ``mamp``, ``mae`` or ``hacm``.
        benchmark: The recipe of a benchmark, ``ntu60_xsub`` for example.
        data: The prepared set.
        out: A folder for all runs, the table ``results.md`` and the page ``report.html``.
        scale: ``published``, or ``small`` to try everything out; its numbers do not compare with published ones.
        seed: Of everything.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        The table in Markdown.

    Raises:
        InputError: If there are no such recipes, the set does not have the benchmark, or ``out`` holds something else.
        Stopped: After Ctrl-C or SIGTERM; the state is saved.
    """
    source, _, split = benchmark.rpartition("_")
    if method not in METHODS or source not in SOURCES or benchmark not in recipes:
        benchmarks = ", ".join(name for name in recipes if name.rpartition("_")[0] in SOURCES)
        known = f"methods are {', '.join(sorted(METHODS))}; benchmarks are {benchmarks}"
        raise InputError(f"reproduce: found {method} {benchmark}, expected a method and a benchmark; {known}")
    sizes = tuple(len(SkeletonSet.open(data).split(split, part)) for part in ("train", "test"))
    world = distributed.start(device)
    _open(out, {"method": method, "benchmark": benchmark, "data": str(data), "scale": scale, "seed": seed}, world.leads)
    special = f"{method}_{benchmark}"  # where a method's authors changed the benchmark's settings
    shared = ["--config", benchmark, *(["--config", special] if special in recipes else [])]
    shared += [*(["--config", "small"] if scale == "small" else []), "--data", str(data), "--seed", str(seed)]
    for name, (command, *options) in _STAGES.items():
        what = ["--config", method] if name == "pretrain" else ["--encoder", str(out / "pretrain")]
        _run_stage(run_command, [command, *what, *shared, "--device", device, *options], out / name, world.leads)
    table = _table(method, benchmark, scale, sizes, out)
    if world.leads:
        write_atomically(out / TABLE, table)
        run_command(["report", *(str(out / name) for name in _STAGES), "--out", str(out / REPORT)])
    return table


def _open(out: Path, config: dict[str, object], leads: bool) -> None:
    if (out / CONFIG).is_file():
        before = RunFolder(out).read_config()
        if before.keys() != config.keys():
            raise InputError(f"{out} is the folder of another command; choose another --out")
        refuse_other_options(out, before, config)
    elif leads:
        RunFolder.create(out, "reproduce", config)
    distributed.meet()


def _run_stage(run_command: Callable[[Sequence[str]], object], words: list[str], folder: Path, leads: bool) -> None:
    run = RunFolder(folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=not leads)
    if run.finished:
        console.print(f"{folder} is finished", markup=False)
        return
    where = "--resume" if run.has_state else "--out"
    if leads and not run.has_state and folder.exists():  # stopped before anything was saved
        shutil.rmtree(folder)
    distributed.meet()
    words = [*words, where, str(folder)]
    console.print(f"\n$ maskel {' '.join(words)}", style="bold", markup=False)
    try:
        run_command(words)
    except Stopped as stop:
        raise Stopped(f"{stop}; or with the same maskel reproduce command, which then runs what is left") from stop
    distributed.meet()


def _table(method: str, benchmark: str, scale: Scale, sizes: Sequence[int], out: Path) -> str:
    source, _, split = benchmark.rpartition("_")
    rows = []
    for name, protocol in (PROTOCOLS | {"knn": "1-NN"}).items():
        result = RunFolder(out / name).read_result()
        best = f"{100 * result['best_epoch']['accuracy']:.1f}" if "best_epoch" in result else "–"
        known = PUBLISHED.get((method, benchmark, name))
        told = f"{known} ({known.origin})" if known else "none published"
        share = f"{100 * result['accuracy']:.1f}"
        rows.append((protocol, f"{result['correct']} / {result['seen']}", share, best, told))
    lines = markdown_table(("protocol", "here: correct / seen", "here, %", "best epoch, %", "published, %"), rows)
    expected = SOURCES[source].published.get(split)
    lines += ["", f"{method} on {benchmark}, {sizes[0]:,} training and {sizes[1]:,} test clips."]
    if scale != "published":
        lines[-1] += f" The size is {scale}: the numbers do not compare with the published ones."
    elif expected and expected != tuple(sizes):
        lines[-1] += f" Published numbers are of {expected[0]:,} and {expected[1]:,} clips and do not quite compare."
    lines.append(
        "Published numbers may be those of the best epoch on the test part; the result here is the last epoch's."
    )
    return "\n".join(lines) + "\n"
