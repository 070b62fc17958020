"""``maskel results``: runs as a table, the seeds of equal runs together."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from maskel.commands.pretrain import method_options
from maskel.configuration import PROLONGED
from maskel.errors import InputError
from maskel.files import json_text, nested, refuse_inside, refuse_unwritable, write_atomically
from maskel.intervals import interval
from maskel.methods import METHODS
from maskel.text import shown
from maskel.training.labelled import share_of_labels
from maskel.training.run import RESULT, RunFolder, as_now, flat_options

_NOT_THE_RECIPE = {"seed", "seeds", "data", "device", "encoder", "label_list", "classifier", "runs"}
"""Options in which runs of one recipe may differ."""
_COUNTED = "protocol,encoder,blocks x width,options,seeds,right answers,accuracy (%),best epoch (%),minutes".split(",")
_TRAINED = "pre-training,blocks x width,options,seeds,loss,minutes".split(",")
_WITHOUT_PATHS = ("hardware", "versions")


@dataclass(frozen=True)
class Measured:
    """What one finished run says, as a row of a table.

    Args:
        result: Its ``result.json``.
        protocol: How accuracy was measured; ``pre-training`` for a run that learned an encoder.
        correct: Right answers; None for pre-training.
        best: Best epoch's accuracy on the test part, where there are epochs.
    """

    result: Mapping[str, Any]
    protocol: str
    correct: int | None
    best: float | None

    def about(self, *keys: str) -> Any:
        """What the result holds under ``keys``; None where it holds nothing."""
        return nested(self.result, *keys)

    @property
    def where(self) -> tuple[str, ...]:
        """Data, benchmark and test clips: only runs that agree in these compare."""
        return tuple(str(self.about(*keys)) for keys in (("data", "source"), ("benchmark",), ("split", "test", "hash")))

    @property
    def summands(self) -> list["Measured"]:
        """The runs whose scores an ensemble added up, as far as its result tells."""
        told = [one.get("trained") for one in self.about("runs") or []]
        return [Measured(one, _protocol(one), None, None) for one in told if one]

    @property
    def method(self) -> str:
        """What made the encoder, and of which stream; of an ensemble those of every run."""
        if summands := self.summands:
            return " + ".join(one.method for one in summands)
        stream = self._encoder.get("stream", "joint")
        return self._method + ("" if stream == "joint" else f" ({stream})")

    @property
    def _method(self) -> str:
        method = self.about("method") or self.about("pretraining", "method")
        if self.about("from_scratch"):
            return "from scratch"
        if self.about("untrained"):
            return f"untrained ({method})" if method else "untrained"
        return method or Path(str(self.about("encoder") or "–")).name

    @property
    def _encoder(self) -> Mapping[str, Any]:
        config = self.about("pretraining", "config") or self.about("config") or {}
        sizes = config.get("encoder")
        return sizes if isinstance(sizes, Mapping) else {}

    @property
    def size(self) -> str:
        """Blocks, width and epochs of the encoder's training."""
        if summands := self.summands:
            return ", ".join(dict.fromkeys(one.size for one in summands))
        config = self.about("pretraining", "config") or self.about("config") or {}
        sizes, epochs = self._encoder, config.get("training", {}).get("epochs")
        if not sizes:
            return "–"
        trained = "" if self.about("untrained") else f", {epochs} epochs"
        return f"{sizes.get('depth')} x {sizes.get('dim')}, {sizes.get('window')} frames{trained}"

    @property
    def options(self) -> dict[str, Any]:
        """Every option that makes the run what it is; those of pre-training under ``pretrain.``."""
        own, earlier = (_with_defaults(self.about(*where) or {}) for where in (("config",), ("pretraining", "config")))
        own = {key: value for key, value in own.items() if key not in _NOT_THE_RECIPE}
        earlier = {key: value for key, value in earlier.items() if key not in _NOT_THE_RECIPE - {"encoder"}}
        if isinstance(sizes := (self.about("config") or {}).get("encoder"), Mapping):
            own["encoder"] = sizes
        if self.about("untrained"):
            earlier.pop("training", None)
        return flat_options(own) | flat_options(earlier, "pretrain.") | self._options_of_summands

    @property
    def _options_of_summands(self) -> dict[str, Any]:
        named = enumerate((one.options for one in self.summands), 1)
        return {f"{number}.{name}": value for number, options in named for name, value in options.items()}


def results(runs: list[Path], out: Path | None = None, collect: Path | None = None) -> str:
    """Accuracies of finished runs in Markdown: data by data, the seeds of equal runs in one line with mean ± std.

    Runs are equal where every option but seed, device and places agrees, those of the encoder's pre-training included.

    Args:
        runs: Run folders, folders of several seeds, or folders with such folders below them.
        out: A file to write the tables to as well; an earlier one is replaced.
        collect: A folder to copy each run's ``result.json`` to, without the paths of this machine and without the
            classes' counts.

    Returns:
        The tables.

    Raises:
        InputError: If there is no result, or one cannot be read or written.
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
        raise InputError(f"{fault.filename} cannot be written ({fault.strerror}); choose another folder") from fault
    return text


def read_results(paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """The results of single runs at and below some folders, by the folder's place among those asked for.

    Raises:
        InputError: If a folder has none, a file is not the result of a run, or two runs share a name.
    """
    found: dict[Path, dict[str, Any]] = {}
    for path in paths:
        files = sorted(path.rglob(RESULT))
        if not files:
            raise InputError(f"{path}: no {RESULT} in it or below it; name folders of finished runs")
        for file in files:
            name, result = (
                file.parent.resolve().relative_to(path.resolve().parent),
                RunFolder(file.parent).read_result(),
            )
            if name in found:
                raise InputError(f"{file.parent}: another run is called {name} too; rename one of the two")
            if "kind" not in result or "data" not in result:
                raise InputError(f"{file}: expected the result of a run; it does not say its kind and data")
            if "seeds" not in result:  # what several seeds say together follows from what each says
                found[name] = result
    return found


def measured(result: Mapping[str, Any], run: Path) -> list[Measured]:
    """A run's rows: one, but two for nearest neighbours.

    Args:
        result: Its ``result.json``.
        run: Whose it is, for messages.

    Raises:
        InputError: If the result lacks its counts, or holds what no table can show.
    """
    try:
        rows = _rows(result)
        tables(rows)  # shown on its own first: among others nothing would tell whose result is damaged
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as fault:
        raise InputError(
            f"{run}: its result of kind {result.get('kind')!r} lacks its counts or is damaged ({fault!r}); run it again"
        ) from fault
    return rows


def _rows(result: Mapping[str, Any]) -> list[Measured]:
    if result["kind"] == "pretrain":
        return [Measured(result, "pre-training", None, None)]
    best = result.get("best_epoch", {}).get("accuracy")
    if int(result["seen"]) < 1:
        raise ValueError("no clip was seen")
    rows = [Measured(_with_origin(result), _protocol(result), int(result["correct"]), best)]
    if "vote" in result:
        vote = result["vote"]
        name = _protocol(result, f"{vote['k']}-NN vote")
        rows.append(Measured({**result, **vote}, name, int(vote["correct"]), None))
    return rows


def tables(rows: Sequence[Measured]) -> str:
    """Markdown tables of all rows, one set of test clips after the other."""
    return "\n".join(_tables_of(group) for _, group in sorted(_grouped(rows, lambda row: row.where).items()))


def without_paths(value: Any, key: str = "") -> Any:
    """A result without what only its machine knows: of every path the last part, and no counts of classes."""
    if isinstance(value, Mapping):
        kept = {name: entry for name, entry in value.items() if name != "per_class"}
        return {name: entry if name in _WITHOUT_PATHS else without_paths(entry, name) for name, entry in kept.items()}
    if isinstance(value, list):
        return [without_paths(entry) for entry in value]
    if not isinstance(value, str):
        return value
    if key == "command":
        return shlex.join(_last_part(word) for word in shlex.split(value))
    return _last_part(value)


def _last_part(text: str) -> str:
    option, equals, value = text.partition("=") if text.startswith("--") else ("", "", text)
    return option + equals + value.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _with_origin(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """An evaluation's result with what is known of the run that it evaluated, which tells its row from others."""
    trained = result.get("trained") or {}
    return {**trained, **result, "config": {**trained.get("config", {}), **result.get("config", {})}}


def _with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's options with those that the version of then did not know: it did as by default."""
    config = {PROLONGED: [], **as_now(config)}
    method = config.get("method")
    if method not in METHODS:
        return config
    return {**config, method: method_options(method, {}) | config.get(method, {})}


def _protocol(result: Mapping[str, Any], name: str = "") -> str:
    kind = str(result["kind"])
    raw = f"raw joints, {result.get('classifier')}"
    name = name or {"knn": "1-NN", "finetune": "fine-tune", "baseline": raw}.get(kind, kind)
    counted = {_protocol(one["trained"]) for one in result.get("runs", [result]) if one.get("trained")}
    name += f" of {counted.pop()}" if len(counted) == 1 else ""
    source = (result.get("pretraining") or {}).get("source")
    moved = f", from {source}" if source not in (None, result["data"].get("source")) else ""
    part = result.get("part", "test")
    name += "" if part == "test" else f" on the {part} part"
    return name + share_of_labels(result.get("config", {}), result) + moved


def _grouped(rows: Iterable[Measured], key: Callable[[Measured], Any]) -> dict[Any, list[Measured]]:
    groups: dict[Any, list[Measured]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _tables_of(rows: Sequence[Measured]) -> str:
    first = rows[0]
    sizes = [
        f"{first.about('split', part, 'size')} ({first.about('split', part, 'hash')})" for part in ("train", "test")
    ]
    about = f"**{first.where[0]}, {first.where[1]}**: training clips {sizes[0]}, test clips {sizes[1]}."
    lines = [_cell(about), ""]
    same = _grouped(rows, lambda row: (row.protocol, row.method, json.dumps(row.options, sort_keys=True, default=str)))
    groups = [sorted(group, key=lambda row: row.result.get("seed", 0)) for group in same.values()]
    counted = [group for group in groups if group[0].correct is not None]
    if counted:
        counted.sort(key=lambda group: (group[0].protocol, -mean(_accuracies(group))))
        more = _more_columns(counted)
        cells = [(*_cells(group, groups), *(show(group) for show in more.values())) for group in counted]
        lines += [*markdown_table([*_COUNTED, *more], cells), ""]
    if trained := [group for group in groups if group[0].correct is None]:
        trained.sort(key=lambda group: group[0].method)
        lines += [*markdown_table(_TRAINED, [_trained_cells(group, groups) for group in trained]), ""]
    machines = sorted({f"{row.about('hardware', 'device')}, {_threads(row)}" for row in rows})
    versions = sorted(
        {f"maskel {row.about('versions', 'maskel')}, PyTorch {row.about('versions', 'torch')}" for row in rows}
    )
    lines += [
        _cell(f"Measured on {'; '.join(machines)}; {'; '.join(versions)}.") + " Commands, of the first seed each:",
        "",
        "```sh",
    ]
    lines += dict.fromkeys(shown(group[0].about("command")).replace("```", "'''") for group in groups)
    return "\n".join([*lines, "```", ""])


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; a bar within a cell becomes a slash."""
    lines = (f"| {' | '.join(map(_cell, cells))} |" for cells in (heading, *rows))
    return [next(lines), "|" + "---|" * len(heading), *lines]


def _cell(text: str) -> str:
    return shown(text).replace("|", "/").replace("<", "&lt;")


def _trained_cells(group: Sequence[Measured], groups: Sequence[Sequence[Measured]]) -> tuple[str, ...]:
    losses = spread([row.result["loss"] for row in group], 4)
    return group[0].method, group[0].size, _differing(group, groups), _seeds(group), losses, _minutes(group)


def _cells(group: Sequence[Measured], groups: Sequence[Sequence[Measured]]) -> tuple[str, ...]:
    first = group[0]
    right = ", ".join(str(row.correct) for row in group) + f" of {first.result['seen']}"
    best = [row.best for row in group if row.best is not None]
    return (
        first.protocol,
        first.method,
        first.size,
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

    def mean_of(share: Callable[[Measured], float | None]) -> Callable[[Sequence[Measured]], str]:
        def cell(group: Sequence[Measured]) -> str:
            known = [100 * value for row in group if (value := share(row)) is not None]
            return spread(known, 1) if len(known) == len(group) else "–"

        return cell

    rows = [row for group in groups for row in group]
    columns: dict[str, Callable[[Sequence[Measured]], str]] = {}
    if any(len(group) == 1 for group in groups):  # several seeds have a standard deviation instead
        columns["95 % interval (%)"] = lambda group: (
            interval(group[0].correct or 0, group[0].result["seen"]) if len(group) == 1 else "–"
        )
    if any(map(_unequal, rows)):
        columns["balanced accuracy (%)"] = mean_of(lambda row: row.about("balanced_accuracy"))
        columns["macro-F1 (%)"] = mean_of(lambda row: row.about("macro_f1"))
    if any("top5" in row.result for row in rows):
        columns["top-5 (%)"] = mean_of(
            lambda row: row.result["top5"] / row.result["seen"] if "top5" in row.result else None
        )
    return columns


def _unequal(row: Measured) -> bool:
    balanced = row.about("balanced_accuracy")
    return balanced is not None and abs(balanced - (row.correct or 0) / row.result["seen"]) > 1e-9


def _accuracies(group: Sequence[Measured]) -> list[float]:
    return [(row.correct or 0) / row.result["seen"] for row in group]


def _differing(group: Sequence[Measured], groups: Sequence[Sequence[Measured]]) -> str:
    """The options in which a run is not as most runs of the same method and protocol are.

    An option that some runs do not know, being of another version, tells nothing apart if all that know it agree.
    """
    alike = [
        other[0].options
        for other in groups
        if (other[0].protocol, other[0].method) == (group[0].protocol, group[0].method)
    ]
    own = group[0].options
    known = {name: [other[name] for other in alike if name in other] for name in own}
    names = [name for name, values in known.items() if 2 * values.count(own[name]) <= len(values)]
    return "; ".join(f"{name} {own[name]}" for name in names) or "–"


def _threads(row: Measured) -> str:
    count = row.about("hardware", "threads")
    return f"{count} thread" + ("" if count == 1 else "s")


def _seeds(group: Sequence[Measured]) -> str:
    return ", ".join(str(row.result.get("seed", "?")) for row in group)


def _minutes(group: Sequence[Measured]) -> str:
    known = [row.result["minutes"] for row in group if "minutes" in row.result]
    return f"{mean(known):.2g}" if known and mean(known) < 10 else f"{mean(known):.0f}" if known else "–"


def spread(values: Sequence[float], digits: int) -> str:
    """The mean, and behind ± the standard deviation (n - 1) where there are two values or more."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
