"""The report page: a list of sections, each of which explains its missing content in one sentence."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from maskel.errors import InputError
from maskel.files import damaged_as, read_table
from maskel.pictures.animation import SCRIPT
from maskel.pictures.charts import MOST_LINES, Line, confusion_matrix, legend, line_chart
from maskel.pictures.figures import reconstructions
from maskel.pictures.markup import Markup, element, join, missing, not_shown, of_each, page, table
from maskel.pictures.masks import masks_of_runs
from maskel.pictures.mistakes import mistakes
from maskel.pictures.tables import counted_on, per_class, results, same_test, what_was_run
from maskel.protocols import PROTOCOLS
from maskel.text import shown
from maskel.training.finished import Run
from maskel.training.run import PREDICTIONS

_OF_PRETRAINING = {"loss": "training loss", "lr": "learning rate in the epoch's last step"}
_OF_CLASSIFIERS = {"loss": "training loss (cross-entropy, nats)", "accuracy": "accuracy on the test part (%)"}
"""Columns of a run's metrics that are drawn, with the titles of their charts."""
_OF_LOSSES = (
    "Loss: mean of the method's own loss over the epoch's clips; losses of different methods cannot be compared. The "
    "vertical axes need not start at 0."
)
MOST_CLASSES = 1_000
"""Largest number of classes of a confusion matrix."""


def render(runs: Sequence[Run], num_clips: int) -> str:
    """Render the page.

    Args:
        runs: The runs, in the order of display.
        num_clips: Number of test clips to draw with each pre-trained method, 0 or more.
    """
    title = "maskel report: " + ", ".join(run.name for run in runs)
    sections = (
        ("Result", results(runs)),
        ("What was run", what_was_run(runs)),
        ("Curves", curves(runs)),
        ("Confusions", confusions(runs)),
        ("Mistakes", mistakes(runs, num_clips)),
        ("Accuracy per class", per_class(runs)),
        ("Masked clips", reconstructions(runs, num_clips)),
        ("How often each token is hidden", masks_of_runs(runs, num_clips)),
    )
    parts = (join((element("h2", name), content)) for name, content in sections)
    return page(title, element("h1", title), *parts, scripts=(SCRIPT, "tables.js"))


def curves(runs: Sequence[Run]) -> Markup:
    """Draw loss and learning rate of pre-training; loss and test accuracy of classifiers, grouped by test clips."""
    parts: list[Markup] = []
    for run in runs:
        if run.pretrains:
            heading = element("h3", f"{run.protocol.title}, {run.config['method']} ({run.name})")
            parts += [heading, _charts([run], _OF_PRETRAINING, _OF_LOSSES)]
    for kind, protocol in PROTOCOLS.items():
        if not (protocol.trains and protocol.rows):
            continue
        groups = [[run for run in group if run.kind == kind and run.has_epochs] for group in same_test(runs)]
        groups += [[run] for run in runs if run.kind == kind and run.has_epochs and not run.answers]
        for group in groups:
            for runs_shown in (group[start : start + MOST_LINES] for start in range(0, len(group), MOST_LINES)):
                name = counted_on(runs_shown) if runs_shown[0].answers else f"{runs_shown[0].name}, not finished"
                parts += [element("h3", f"{protocol.title}, {name}"), _charts(runs_shown, _OF_CLASSIFIERS)]
    return join(parts) if parts else missing("None of these runs has epochs.")


def _charts(group: Sequence[Run], titles: Mapping[str, str], caption: str = "") -> Markup:
    """Draw a chart of each column of the runs' metrics, under its title; without a caption the runs are named."""
    lines: dict[str, list[Line]] = {column: [] for column in titles}
    faults = []
    for run in group:
        try:
            epochs, *found = read_columns(run, "epoch", *titles)
        except InputError as fault:
            faults.append(not_shown(fault))
            continue
        for column, values in zip(titles, found, strict=True):
            lines[column].append(Line(f"{run.name} ({_start(run)})", epochs, values))
    if len(faults) == len(group):
        return join(faults)
    charts = [line_chart(title, "epoch", lines[column]) for column, title in titles.items()]
    below = element("figcaption", caption or legend([line.name for line in lines["loss"]]))
    return join((*faults, element("figure", element("div", *charts, class_="charts"), below)))


def read_columns(run: Run, *columns: str) -> list[list[float]]:
    """Return columns of a run's metrics: a value for each epoch, accuracies in percent.

    Raises:
        InputError: If the run has no such metrics.
    """
    rows = run.metrics()
    if lacking := [column for column in columns if not all(column in row for row in rows)]:
        raise InputError(f"{run.name}: its metrics have no column {lacking[0]}")
    return [[row[column] * (100 if column == "accuracy" else 1) for row in rows] for column in columns]


def _start(run: Run) -> str:
    """Return the start of a classifier's training: untrained or pre-trained."""
    return "untrained" if run.untrained else "pre-trained"


def confusions(runs: Sequence[Run]) -> Markup:
    """Draw the confusion matrix of every run that scored clips, with its most confused pairs."""
    return of_each(
        (run for run in runs if run.protocol.scores),
        lambda run: f"{run.name} ({_start(run) if run.protocol.trains else run.kind})",
        _confusion,
        "No run of linear, finetune, evaluate or ensemble was given.",
    )


def _confusion(run: Run) -> Markup:
    run.require_finished()
    classes = run.answers[0].classes
    counts = read_confusion(run.folder.path / PREDICTIONS, classes)
    when = ", at the last epoch" if run.has_epochs else ""
    caption = (
        f"Rows: true class; columns: predicted class{when}. The stronger a cell, the larger its share of its row. "
        f"{int(np.trace(counts))} of {int(counts.sum())} clips lie on the diagonal."
    )
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [divmod(int(place), len(classes)) for place in order if wrong.flat[place]]
    numbered = [f"{number}  {name}" for number, name in enumerate(classes, 1)]
    sums = counts.sum(1)
    rows = [(numbered[true], numbered[guess], f"{counts[true, guess]} of {sums[true]}") for true, guess in pairs]
    figure = element("div", confusion_matrix(counts, classes), class_="scroll matrix")
    heading = ("true class", "taken for", "clips")
    return join((element("figure", figure, element("figcaption", caption)), table(heading, rows) if rows else Markup()))


def read_confusion(path: Path, classes: Sequence[str]) -> Int64[np.ndarray, "k k"]:
    """Count the clips of each true class (row) by predicted class (column).

    Raises:
        InputError: If there is no such table, it names other classes, or there are too many of them.
    """
    if len(classes) > MOST_CLASSES:
        raise InputError(f"{len(classes)} classes are too many for a picture; {MOST_CLASSES} fit")
    index = {shown(name): label for label, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    if not path.is_file():
        raise InputError(f"{path.parent.name} has no {path.name}")
    with damaged_as(lambda fault: InputError(f"{path} is not a table of this run's classes ({fault!r})")):
        for row in read_table(path):
            counts[index[row["class"]], index[row["predicted"]]] += 1
    return counts
