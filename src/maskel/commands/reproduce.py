"""``maskel reproduce``: a method on a benchmark by every protocol, beside the published numbers."""

from collections.abc import Iterable, Sequence
from inspect import signature
from pathlib import Path
from statistics import mean
from typing import Literal

from maskel import distributed
from maskel.commands import COMMANDS
from maskel.commands.results import markdown_table
from maskel.commands.stages import run_stage
from maskel.configuration import Options, data_recipes, merge, read_recipe, shipped_recipes
from maskel.datasets import SOURCES
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import write_atomically
from maskel.intervals import interval, spread
from maskel.methods import METHODS
from maskel.protocols import PROTOCOLS, STAGES, function_of
from maskel.published import PUBLISHED
from maskel.training.finished import Run, open_runs
from maskel.training.foreseen import refuse_unfit
from maskel.training.options import refuse_other_options
from maskel.training.run import CONFIG, RunFolder

Scale = Literal["published", "small"]
"""``published``; or ``small``, the size of that recipe for a few epochs, to try everything out."""

TABLE, REPORT = "results.md", "report.html"


def reproduce(
    method: str,
    benchmark: str,
    data: Path,
    out: Path,
    scale: Scale = "published",
    seed: int = 0,
    device: str = "auto",
) -> str:
    """Pre-train, then evaluate by linear probe, fine-tuning, 1 % and 10 % of the labels, and nearest neighbours.

    Raw joints without an encoder (``maskel baseline``) stand beside them.

    A repeated call skips finished stages and resumes a stopped one. At the published size, 1 % and 10 % of the labels
    are run with five seeds each, as published. The table names batches that the clips did not fill.

    Args:
        method: ``mamp``, ``mae``, ``hacm``, ``amr`` or ``masked``.
        benchmark: The recipe of a benchmark, ``ntu60_xsub`` for example.
        data: The prepared set.
        out: A folder for all runs, the table ``results.md`` and the page ``report.html``.
        scale: ``published``; or ``small``, a small model for a few epochs, to try everything out: its numbers do not
            compare with published ones.
        seed: Seed of every draw; the first of five for few labels.

    Returns:
        The table in Markdown.

    Raises:
        InputError: If there are no such recipes, the set does not have the benchmark, or ``out`` holds something else
            or is in use by another process.
        Stopped: After Ctrl-C or SIGTERM; the state is saved.
    """
    if method not in METHODS or benchmark not in data_recipes():
        choices = f"methods are {', '.join(sorted(METHODS))}; benchmarks are {', '.join(data_recipes())}"
        raise InputError(f"reproduce: found {method} {benchmark}, expected a method and a benchmark; {choices}")
    split = benchmark.rpartition("_")[2]
    dataset = SkeletonSet.open(data)
    sizes = tuple(len(dataset.split(split, part)) for part in ("train", "test"))
    world = distributed.start(device)
    own_recipe = f"{method}_{benchmark}"  # where a method's authors changed the settings
    shared = [benchmark, *([own_recipe] if own_recipe in shipped_recipes() else [])]
    shared += ["small", "few_epochs"] if scale == "small" else []
    stages = {
        name: (command, [*shared, *stage.recipes] if PROTOCOLS[command].recipes else [])
        for command, protocol in PROTOCOLS.items()
        for name, stage in protocol.stages.items()
    }
    _refuse_unfit(stages.values(), dataset, split, seed)
    _open(
        out, {"method": method, "benchmark": benchmark, "data": str(data), "scale": scale, "seed": seed}, world.is_main
    )
    notes = []
    for name, (command, recipes) in stages.items():
        stage, protocol = STAGES[name], PROTOCOLS[command]
        options = signature(function_of(command)).parameters
        recipes = [method, *recipes] if command == "pretrain" else recipes
        words = [command, *(word for recipe in recipes for word in ("--config", recipe)), "--data", str(data)]
        words += [] if protocol.recipes else ["--benchmark", split]
        words += ["--encoder", str(out / "pretrain")] if "encoder" in protocol.needs else []
        several = stage.runs > 1 and scale == "published"
        seeds = ",".join(str(seed + run) for run in range(stage.runs))
        words += ["--seeds", f"[{seeds}]"] if several else ["--seed", str(seed)]
        words += ["--device", device] if "device" in options else []
        run_stage(words, out / name, "maskel reproduce", world.is_main)
        if protocol.trains:
            default = options["training"].default.batch_size
            batch = _merged(command, recipes).get("training", {}).get("batch_size", default)
            filled = open_runs([out / name])[0].config["training"]["batch_size"]  # equal for all seeds
            if filled < batch:
                notes.append(f"{stage.title}: batches of {filled}, all clips, instead of {batch}.")
    table = _table(method, benchmark, scale, sizes, notes, out)
    if world.is_main:
        write_atomically(out / TABLE, table)
        COMMANDS["report"]("report", [*(str(out / name) for name in STAGES), "--out", str(out / REPORT)])
    return table


def _refuse_unfit(stages: Iterable[tuple[str, Sequence[str]]], dataset: SkeletonSet, benchmark: str, seed: int) -> None:
    """Refuse a set that is too small for a stage before the first one trains."""
    for command, recipes in stages:
        options = _merged(command, recipes)
        of_labels: Options = {name: options[name] for name in ("labels", "stratified", "validation") if name in options}
        refuse_unfit(function_of(command), of_labels | {"benchmark": benchmark, "seed": seed}, dataset)


def _merged(command: str, recipes: Sequence[str]) -> Options:
    """Return the options that recipes give a stage."""
    options: Options = {}
    for name in recipes:
        merge(options, read_recipe(name, command))
    return options


def _open(out: Path, config: dict[str, object], is_main: bool) -> None:
    if (out / CONFIG).is_file():
        if is_main:
            RunFolder(out).hold()
        before = RunFolder(out).read_config()
        if before.keys() != config.keys():
            raise InputError(f"{out} is the folder of another command; choose another --out")
        refuse_other_options(out, before, config)
    elif is_main:
        RunFolder.create(out, "reproduce", config)
    distributed.barrier()


_HEADING = ("protocol", "here: correct / seen", "here, %", "95 % interval, %", "best epoch, %", "published, %")


def _table(method: str, benchmark: str, scale: Scale, sizes: Sequence[int], notes: Sequence[str], out: Path) -> str:
    source, _, split = benchmark.rpartition("_")
    rows, published_values = [], []
    for name, stage in STAGES.items():
        seeds = open_runs([out / name])
        for run in seeds:
            run.require_finished()
        for way, answers in enumerate(seeds[0].answers):
            published = None if answers.key else PUBLISHED.get((method, benchmark, name))
            published_values += [published] if published else []
            published_accuracy = f"{published} ({published.origin})" if published else "none published"
            called = stage.title or seeds[0].row(answers.key)
            rows.append((called, *_counted(seeds, way), published_accuracy))
    lines = markdown_table(_HEADING, rows)
    expected = SOURCES[source].published.get(split)
    lines += ["", f"{method} on {benchmark}, {sizes[0]:,} training and {sizes[1]:,} test clips."]
    if scale != "published":
        lines[-1] += f" The size is {scale}: the numbers do not compare with published ones."
    elif expected and expected != tuple(sizes):
        lines[-1] += f" Published numbers are of {expected[0]:,} and {expected[1]:,} clips and do not quite compare."
    lines += [
        *notes,
        "The result here is the last epoch's.",
        *dict.fromkeys(published.how for published in published_values),
    ]
    return "\n".join(lines) + "\n"


def _counted(seeds: Sequence[Run], way: int) -> tuple[str, str, str, str]:
    """Right answers, accuracy, its interval and the best epoch's, in percent.

    Of several seeds each count and the means; the interval is that of a single run.
    """
    counts = [run.answers[way].count for run in seeds]
    right = f"{', '.join(str(count.correct) for count in counts)} / {counts[0].seen}"
    best = [100 * run.best_epoch[1].share for run in seeds if run.best_epoch]
    sure = interval(counts[0].correct, counts[0].seen) if len(counts) == 1 else "–"
    accuracy = spread([100 * count.share for count in counts], 1)
    return right, accuracy, sure, f"{mean(best):.1f}" if best else "–"
