"""Tables of the report: results, details of the runs, accuracy per class."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from maskel.pictures.charts import Bar, bar_chart
from maskel.pictures.comparison import against_raw_joints, against_untrained, means_of_seeds
from maskel.pictures.markup import Markup, element, join, missing, paragraph, table
from maskel.training.answers import Answers, Count
from maskel.training.finished import Run
from maskel.training.folds import SEEN

_NONE = "No finished run that counts right answers was given."


def same_test(runs: Sequence[Run]) -> list[list[Run]]:
    """Group finished evaluations by their test clips."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if run.answers:
            groups.setdefault(run.counted_on, []).append(run)
    return list(groups.values())


def counted_on(group: Sequence[Run]) -> str:
    """Describe the test clips of a group."""
    run = group[0]
    size, part = run.part_size(run.part), "training" if run.part == "train" else run.part
    small = f", {run.ways} classes at a time" if run.ways else ""
    what = "recordings" if run.protocol.untrimmed else "clips"
    return f"{run.about('data', 'source')}, {run.about('benchmark')}: {size} {part} {what}{small}"


def results(runs: Sequence[Run]) -> Markup:
    """Show the right answers of every evaluation, with the untrained encoder and chance."""
    groups = same_test(runs)
    if not groups:
        return missing(_NONE)
    parts: list[Markup] = []
    if len(groups) > 1:
        parts.append(paragraph("Results on different test clips cannot be compared, so they are in separate tables."))
    for group in groups:
        parts += [element("h3", counted_on(group)), _group_results(group, runs)]
    return join(parts)


def _group_results(group: Sequence[Run], runs: Sequence[Run]) -> Markup:
    ordered = sorted(group, key=lambda run: (not run.protocol.trains, run.kind, run.untrained))
    answered = [(run, answers) for run in ordered for answers in run.answers]
    classes, per_class = answered[0][1].classes, answered[0][1].per_class
    most = max(range(len(classes)), key=lambda label: per_class[label].seen)
    largest = Count(per_class[most].seen, answered[0][1].count.seen)
    ways, largest_named = group[0].ways, f"{classes[most]}, {largest}"
    more = _more_columns([answers for _, answers in answered])
    bars, rows = [], []
    for run, answers in answered:
        way, weights, count = answers.way, _weights(run, runs), answers.count
        bars.append(Bar(f"{way}, {weights} ({run.name})", str(count), count.share, _outlined(run, runs)))
        shown = (show(answers) for show in more.values())
        rows.append((run.name, way, weights, element("strong", count, class_="count"), *shown, _best(run)))
    chance = Count(1, ways or len(classes))
    return join(
        (
            bar_chart(bars, chance.share, chance.share if ways else largest.share),
            paragraph(
                f"Outlined: the encoder with random weights, or from scratch; filled: everything else. Solid mark: "
                f"chance, {chance} (one of {ways or len(classes)} classes)."
                + ("" if ways else f" Dashed mark: always naming the largest class of these clips, {largest_named}."),
                class_="note",
            ),
            table(("run", "evaluation", "of", "result: correct / seen", *more, "best epoch on the test part"), rows),
            paragraph(
                "A trained classifier's result is that of its last epoch. The best epoch was chosen by looking at the "
                "test part. It is shown because some papers report it, but it is not the result. Evaluations without "
                "training have no epochs.",
                class_="note",
            ),
            means_of_seeds(group, runs),
            against_raw_joints(group, runs),
            against_untrained(group, runs),
            *(_sum(run, runs) for run in ordered if run.summands),
            *(_of_folds(run) for run in ordered if run.folds),
        )
    )


def _more_columns(answered: Sequence[Answers]) -> dict[str, Callable[[Answers], object]]:
    """Return the columns after the result, by heading; only those that the table needs."""

    def percent(share: float | None) -> str:
        return "–" if share is None else f"{100 * share:.1f} %"

    def sure(answers: Answers) -> Markup:
        return _nowrap("–" if answers.interval == "–" else f"{answers.interval} %")

    columns: dict[str, Callable[[Answers], object]] = {"95 % interval": sure}
    if any(answers.unequal and answers.balanced is not None for answers in answered):
        columns["balanced accuracy"] = lambda answers: percent(answers.balanced)
        columns["macro-F1"] = lambda answers: percent(answers.macro_f1)
    if any(answers.top5 for answers in answered):
        columns["among the first five"] = lambda answers: _nowrap(answers.top5 or "–")
    if any(answers.precision is not None for answers in answered):
        columns["mAP"] = lambda answers: percent(answers.precision)
    for name in dict.fromkeys(name for one in answered for name in one.segments):
        columns[name] = partial(lambda name, answers: percent(answers.segments.get(name)), name)
    return columns


def _sum(run: Run, runs: Sequence[Run]) -> Markup:
    """Show the parts of an ensemble, with the right answers of each part alone."""
    rows = [(_name_at(part.path, runs), f"{part.weight:g}", _nowrap(part.alone)) for part in run.summands]
    return join((element("h4", f"{run.name} adds up"), table(("run", "weight", "alone: correct / seen"), rows)))


def _of_folds(run: Run) -> Markup:
    """Show the right answers and the test subjects of each fold."""
    rows = [(fold.name, ", ".join(fold.subjects) or "–", _nowrap(fold.counted)) for fold in run.folds]
    whole = table(("fold", "test subjects", "correct / seen"), rows)
    small = element("details", element("summary", f"{len(rows)} folds"), whole) if len(rows) > 10 else whole
    notes = []
    if untested := run.value("never_tested"):
        notes.append(f"{untested} clips with a label test in no fold.")
    if (seen := run.result.get(SEEN, 0)) != 0:
        sentence = "It is unknown which clips its encoder was pre-trained on; these may be among them, without labels."
        notes.append(
            sentence if seen is None else f"Its encoder was pre-trained on {seen} of these clips, without labels."
        )
    below = [paragraph(" ".join(notes), class_="note")] if notes else []
    return join((element("h4", f"{run.name} adds up its folds"), small, *below))


def _run_at(path: str, runs: Sequence[Run]) -> Run | None:
    """Return the run in a folder, or with a file in it; None if the page does not show it."""
    try:
        place = Path(path).resolve()
    except (OSError, RuntimeError, ValueError):  # a run from someone else may name anything
        return None
    places = {place, place.parent}
    return next((other for other in runs if other.folder.path.resolve() in places), None)


def _name_at(path: str, runs: Sequence[Run]) -> str:
    """Return the page's name of the run at a path."""
    run = _run_at(path, runs)
    return run.name if run else path


def _outlined(run: Run, runs: Sequence[Run]) -> bool:
    """Return True if a run is a baseline, or evaluates a baseline of the page."""
    counted = _run_at(str(run.config["classifier"]), runs) if "classifier" in run.config else run
    return counted is not None and counted.untrained


def _weights(run: Run, runs: Sequence[Run]) -> str:
    """Describe the encoder, classifier or scores that a run used, or the method of pre-training."""
    if run.pretrains:
        return str(run.config["method"])
    if run.protocol.without_encoder:
        return run.protocol.without_encoder
    if "classifier" in run.config:
        return f"classifier of {_name_at(str(run.config['classifier']), runs)}"
    if run.summands:
        return f"{len(run.summands)} runs"
    if run.sizes is not None:
        return "from scratch"
    pretrained = {other.folder.path.resolve(): other for other in runs if other.pretrains}
    found = pretrained.get(run.encoder)
    if found is None:
        return f"{'untrained, sizes of' if run.untrained else 'pre-trained,'} {run.config['encoder']}"
    if run.untrained:
        return f"untrained, sizes of run {found.name}"
    return f"pre-trained by {found.config['method']}, run {found.name}"


def _best(run: Run) -> Markup:
    if run.best_epoch is None:
        return Markup("–")
    epoch, count = run.best_epoch
    return join((f"epoch {epoch} of {run.about('epochs')}: ", _nowrap(count)))


def what_was_run(runs: Sequence[Run]) -> Markup:
    """Show one column per finished run, then the commands."""
    unfinished = [missing(f"{run.name}: {run.unfinished}.") for run in runs if run.unfinished]
    finished = [run for run in runs if not run.unfinished]
    if not finished:
        return join(unfinished)
    table_of_all = table(["", *(run.name for run in finished)], _provenance(finished, runs))
    note = paragraph(
        "A hash identifies the names and the order of a part's clips: equal hashes mean equal splits.", class_="note"
    )
    commands = (
        join((element("h4", run.name), element("pre", element("code", run.about("command"))))) for run in finished
    )
    return join((*unfinished, table_of_all, note, element("h3", "Commands"), *commands))


def _provenance(finished: Sequence[Run], runs: Sequence[Run]) -> list[tuple[object, ...]]:
    def row(name: str, *keys: str) -> tuple[object, ...]:
        def cell(run: Run) -> str:
            lacks = name in run.protocol.lacks or (name == "epochs" and not run.has_epochs)
            return "–" if lacks else run.about(*keys)

        return (name, *map(cell, finished))

    return [
        ("kind", *(run.kind for run in finished)),
        ("method, or evaluated model", *(_weights(run, runs) for run in finished)),
        row("data", "data", "source"),
        ("data options", *(_options(run) for run in finished)),
        row("joint layout", "data", "layout"),
        row("benchmark", "benchmark"),
        ("training part", *(_part(run, "train") for run in finished)),
        ("test part", *(_part(run, "test") for run in finished)),
        row("seed", "config", "seed"),
        row("epochs", "epochs"),
        ("last epoch's training loss", *(run.about("loss") if run.pretrains else "–" for run in finished)),
        row("minutes", "minutes"),
        row("processes", "processes"),
        (
            "maskel",
            *(f"{run.about('versions', 'maskel')}, commit {run.about('versions', 'commit')}" for run in finished),
        ),
        row("python", "versions", "python"),
        row("torch", "versions", "torch"),
        row("numpy", "versions", "numpy"),
        ("hardware", *(run.hardware for run in finished)),
        row("system", "hardware", "system"),
    ]


def _options(run: Run) -> str:
    """Return the options of a set's preparation, without empty ones and those that are off."""
    about = run.result.get("data")
    options = about.get("options") if isinstance(about, Mapping) else None
    if not isinstance(options, Mapping):
        return "not recorded"
    return ", ".join(f"{name} {value}" for name, value in options.items() if value) or "none"


def _part(run: Run, part: str) -> str:
    text = f"{run.part_size(part)} clips, {run.about('split', part, 'hash')}"
    more = run.about("clips", "unlabelled") if part == "train" and run.pretrains else "0"
    return text if more in ("0", "not recorded") else f"{text}, and {more} without a label"


def per_class(runs: Sequence[Run]) -> Markup:
    """Show the right answers of every class, one column per evaluation."""
    groups = same_test(runs)
    if not groups:
        return missing(_NONE)
    parts: list[Markup] = []
    for group in groups:
        answered = [(run, answers) for run in group for answers in run.answers]
        classes = answered[0][1].classes
        rows = [
            (f"{label + 1}  {name}", *(_of_class(answers, label) for _, answers in answered))
            for label, name in enumerate(classes)
        ]
        whole = table(["class", *(f"{answers.way}, {run.name}" for run, answers in answered)], rows)
        if len(groups) > 1:
            parts.append(element("h3", counted_on(group)))
        small = len(classes) <= 20
        parts.append(whole if small else element("details", element("summary", f"{len(classes)} classes"), whole))
    return join(parts)


def _of_class(answers: Answers, label: int) -> Markup:
    return _nowrap(answers.per_class[label] if label < len(answers.per_class) else "–")


def _nowrap(count: object) -> Markup:
    """Return a count that stays on one line."""
    return element("span", count, class_="count")
