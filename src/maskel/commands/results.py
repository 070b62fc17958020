"""``maskel results``: runs as a table, the seeds of equal runs together."""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from maskel.errors import InputError
from maskel.files import cannot_write, json_line, json_text, refuse_inside, refuse_unwritable, write_atomically
from maskel.hub import is_reference
from maskel.intervals import spread
from maskel.text import shown
from maskel.training.answers import Answers, Count
from maskel.training.finished import Run
from maskel.training.folds import FOLDS, folds_among
from maskel.training.run import RESULT, RunFolder

_COUNTED = "protocol,encoder,blocks x width,options,seeds,right answers,accuracy (%),best epoch (%),minutes".split(",")
_TRAINED = "pre-training,blocks x width,options,seeds,loss,minutes".split(",")
_WITHOUT_PATHS = ("hardware", "versions")


@dataclass(frozen=True)
class Measured:
    """A row of a table: one accuracy of a finished run, or the training of an encoder.

    Args:
        run: The run.
        answers: Its counts; None for pre-training.
    """

    run: Run
    answers: Answers | None

    @property
    def protocol(self) -> str:
        """Name of the measurement; ``pre-training`` for a run that learned an encoder."""
        return self.run.row(self.answers.key if self.answers else "")

    @property
    def count(self) -> Count:
        """Right answers; only of runs that count some."""
        return self.answers.count if self.answers else Count(0, 0)

    @property
    def best(self) -> float | None:
        """Best epoch's accuracy on the test part, where there are epochs."""
        best = None if self.answers is None or self.answers.key else self.run.best_epoch
        return best[1].share if best else None


def results(runs: list[Path], out: Path | None = None, collect: Path | None = None) -> str:
    """Accuracies of finished runs in Markdown: data by data, the seeds of equal runs in one line with mean ± std.

    Runs are equal where every option but seed, device and places agrees, those of the encoder's pre-training included.

    Args:
        runs: Run folders, folders of several seeds or folds, or folders with such folders below them. Folds stand as
            one line, with their answers added up.
        out: A file to write the tables to as well; an earlier one is replaced.
        collect: A folder to copy each run's ``result.json`` to, without the paths of this machine and without the
            classes' counts.

    Returns:
        The tables.

    Raises:
        InputError: If there is no result, or one cannot be read or written.

    Examples:
        >>> print(results([Path("classifier")]).splitlines()[0])
        **synthetic, xsub**: training clips 13 (d7019df39960bf06), test clips 13 (7a53e1cba5f632f6).
    """
    if out is not None:
        refuse_unwritable(out)
    if collect is not None:
        refuse_inside(collect, runs, "--collect")
    found = read_results(runs)
    text = tables([row for name, result in found.items() for row in measured(result, name)])
    try:
        if collect is not None:
            for name, result in found.items():
                (collect / name).mkdir(parents=True, exist_ok=True)
                write_atomically(collect / name / RESULT, json_text(without_paths(result), indent=1))
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, text)
    except OSError as fault:
        raise cannot_write(Path(fault.filename), fault, "choose another folder") from fault
    return text


def read_results(paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Return the results of single runs at and below some folders, by the folder's position.

    A finished run of all folds stands for its folds.

    Raises:
        InputError: If a folder has none, a file is not the result of a run, or two runs share a name.
    """
    found: dict[Path, dict[str, Any]] = {}
    for path in paths:
        files = sorted(path.rglob(RESULT))
        if not files:
            raise InputError(f"{path}: no {RESULT} in it or below it; name folders of finished runs")
        read = {file.parent: RunFolder(file.parent).result for file in files}
        for file in files:
            if FOLDS in read.get(file.parent.parent, {}) and folds_among([file.parent.name]):
                continue  # one of the folds that the run above adds up
            name, result = file.parent.resolve().relative_to(path.resolve().parent), read[file.parent]
            if name in found:
                raise InputError(f"{file.parent}: another run is called {name} too; rename one of the two")
            if "kind" not in result or "data" not in result:
                raise InputError(f"{file}: expected the result of a run, with its kind and data")
            if "seeds" not in result:  # what several seeds say together follows from what each says
                found[name] = result
    return found


def measured(result: Mapping[str, Any], run: Path) -> list[Measured]:
    """A run's rows: one, but two for nearest neighbours.

    Args:
        result: Its ``result.json``.
        run: Folder of the run, for messages.

    Raises:
        InputError: If the result lacks its counts, or holds what no table can show.
    """
    try:
        found = Run.of(result, run)
        rows = [Measured(found, answers) for answers in found.answers] or [Measured(found, None)]
        if any(row.answers and row.count.seen < 1 for row in rows):
            raise ValueError("no clip was seen")
        tables(rows)  # shown on its own first: among others nothing would tell whose result is damaged
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as fault:
        raise InputError(
            f"{run}: its result of kind {result.get('kind')!r} has no counts, or is damaged ({fault!r}); run it again"
        ) from fault
    return rows


def tables(rows: Sequence[Measured]) -> str:
    """Markdown tables of all rows, one set of test clips after the other."""
    return "\n".join(_tables_of(group) for _, group in sorted(_grouped(rows, lambda row: row.run.test_clips).items()))


def without_paths(value: Any, key: str = "", without: Sequence[str] = ("per_class",)) -> Any:
    """Strip a result of paths of its machine, all but their last part, and of entries such as the counts of classes."""
    if isinstance(value, Mapping):
        kept = {name: entry for name, entry in value.items() if name not in without}
        return {
            name: entry if name in _WITHOUT_PATHS else without_paths(entry, name, without)
            for name, entry in kept.items()
        }
    if isinstance(value, list):
        return [without_paths(entry, without=without) for entry in value]
    if not isinstance(value, str):
        return value
    if key == "command" and value.startswith("maskel."):  # a call from Python
        return re.sub(r"'([^']*)'", lambda path: repr(_last_part(path[1])), value)
    if key == "command":
        return shlex.join(_last_part(word) for word in shlex.split(value))
    return _last_part(value)


def _last_part(text: str) -> str:
    option, equals, value = text.partition("=") if text.startswith("--") else ("", "", text)
    if is_reference(value):
        return text
    return option + equals + value.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _grouped(rows: Iterable[Measured], key: Callable[[Measured], Any]) -> dict[Any, list[Measured]]:
    groups: dict[Any, list[Measured]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _tables_of(rows: Sequence[Measured]) -> str:
    first = rows[0].run
    sizes = [f"{first.part_size(part)} ({first.about('split', part, 'hash')})" for part in ("train", "test")]
    data, benchmark = first.about("data", "source"), first.about("benchmark")
    what = "recordings" if first.protocol.untrimmed else "clips"
    lines = [_cell(f"**{data}, {benchmark}**: training {what} {sizes[0]}, test {what} {sizes[1]}."), ""]
    same = _grouped(rows, lambda row: (row.protocol, row.run.method, json_line(row.run.options)))
    groups = [sorted(group, key=lambda row: row.run.value("seed") or 0) for group in same.values()]
    counted = [group for group in groups if group[0].answers]
    if counted:
        counted.sort(key=lambda group: (group[0].protocol, -mean(_accuracies(group))))
        more = _more_columns(counted)
        cells = [(*_cells(group, groups), *(show(group) for show in more.values())) for group in counted]
        lines += [*markdown_table([*_COUNTED, *more], cells), ""]
    if trained := [group for group in groups if not group[0].answers]:
        trained.sort(key=lambda group: group[0].run.method)
        lines += [*markdown_table(_TRAINED, [_trained_cells(group, groups) for group in trained]), ""]
    runs = [row.run for row in rows]
    machines = sorted({run.hardware for run in runs})
    versions = sorted(
        {f"maskel {run.about('versions', 'maskel')}, PyTorch {run.about('versions', 'torch')}" for run in runs}
    )
    commands = list(dict.fromkeys(shown(group[0].run.about("command")).replace("```", "'''") for group in groups))
    lines += [
        _cell(f"Measured on {'; '.join(machines)}; {'; '.join(versions)}.") + " Commands, of the first seed each:",
        "",
        "```" if any(command.startswith("maskel.") for command in commands) else "```sh",  # calls from Python
    ]
    return "\n".join([*lines, *commands, "```", ""])


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; a bar within a cell becomes a slash."""
    lines = (f"| {' | '.join(map(_cell, cells))} |" for cells in (heading, *rows))
    return [next(lines), "|" + "---|" * len(heading), *lines]


def _cell(text: str) -> str:
    return shown(text).replace("|", "/").replace("<", "&lt;")


def _trained_cells(group: Sequence[Measured], groups: Sequence[Sequence[Measured]]) -> tuple[str, ...]:
    losses = spread([row.run.result["loss"] for row in group], 4)
    return group[0].run.method, group[0].run.size, _differing(group, groups), _seeds(group), losses, _minutes(group)


def _cells(group: Sequence[Measured], groups: Sequence[Sequence[Measured]]) -> tuple[str, ...]:
    first = group[0]
    right = ", ".join(str(row.count.correct) for row in group) + f" of {first.count.seen}"
    best = [row.best for row in group if row.best is not None]
    return (
        first.protocol,
        first.run.method,
        first.run.size,
        _differing(group, groups),
        _seeds(group),
        right,
        f"**{spread([100 * accuracy for accuracy in _accuracies(group)], 1)}**",
        f"{100 * mean(best):.1f}" if best else "–",
        _minutes(group),
    )


def _more_columns(groups: Sequence[Sequence[Measured]]) -> dict[str, Callable[[Sequence[Measured]], str]]:
    """Columns that only some tables need, by their heading.

    Accuracies of unequal classes differ from balanced ones; equal classes, five classes or fewer, and runs of versions
    that did not count so show nothing.
    """

    def mean_of(share: Callable[[Answers], float | None]) -> Callable[[Sequence[Measured]], str]:
        def cell(group: Sequence[Measured]) -> str:
            known = [100 * value for row in group if row.answers and (value := share(row.answers)) is not None]
            return spread(known, 1) if len(known) == len(group) else "–"

        return cell

    answered = [row.answers for group in groups for row in group if row.answers]
    columns: dict[str, Callable[[Sequence[Measured]], str]] = {}
    if any(len(group) == 1 for group in groups):  # several seeds have a standard deviation instead
        columns["95 % interval (%)"] = lambda group: (
            group[0].answers.interval if len(group) == 1 and group[0].answers else "–"
        )
    if any(entry.balanced is not None and abs(entry.balanced - entry.count.share) > 1e-9 for entry in answered):
        columns["balanced accuracy (%)"] = mean_of(lambda answers: answers.balanced)
        columns["macro-F1 (%)"] = mean_of(lambda answers: answers.macro_f1)
    if any(entry.top5 for entry in answered):
        columns["top-5 (%)"] = mean_of(lambda answers: answers.top5.share if answers.top5 else None)
    if any(entry.precision is not None for entry in answered):
        columns["mAP (%)"] = mean_of(lambda answers: answers.precision)
    for name in dict.fromkeys(name for one in answered for name in one.segments):
        columns[f"{name} (%)"] = mean_of(partial(lambda name, answers: answers.segments.get(name), name))
    return columns


def _accuracies(group: Sequence[Measured]) -> list[float]:
    return [row.count.share for row in group]


def _differing(group: Sequence[Measured], groups: Sequence[Sequence[Measured]]) -> str:
    """The options in which a run is not as most runs of the same method and protocol are.

    An option that some runs do not know, being of another version, tells nothing apart if all that know it agree.
    """
    alike = [
        other[0].run.options
        for other in groups
        if (other[0].protocol, other[0].run.method) == (group[0].protocol, group[0].run.method)
    ]
    own = group[0].run.options
    values_of = {name: [other[name] for other in alike if name in other] for name in own}
    names = [name for name, values in values_of.items() if 2 * values.count(own[name]) <= len(values)]
    return "; ".join(f"{name} {own[name]}" for name in names) or "–"


def _seeds(group: Sequence[Measured]) -> str:
    return ", ".join(str("?" if (seed := row.run.value("seed")) is None else seed) for row in group)


def _minutes(group: Sequence[Measured]) -> str:
    known = [row.run.result["minutes"] for row in group if "minutes" in row.run.result]
    return f"{mean(known):.2g}" if known and mean(known) < 10 else f"{mean(known):.0f}" if known else "–"
