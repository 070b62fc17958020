"""Comparisons of the report: means over seeds, gains of pre-training, and raw joints as a yardstick."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from maskel.files import json_line
from maskel.intervals import spread
from maskel.pictures.markup import Markup, element, join, table
from maskel.training.finished import Run
from maskel.training.options import flat_options

_PLACES = {"data", "device", "seed"}
"""Options in which seeds of one run may differ; the data are compared by their clips and options."""
_OF_LABELS = {"labels", "label_list", "stratified"}
"""Options that choose the labelled clips; if the hash of these clips is known, it is compared instead."""
_UNKNOWN = "not recorded"


def means_of_seeds(group: Sequence[Run], runs: Sequence[Run]) -> Markup:
    """Show mean and standard deviation of runs that differ only in the seed."""
    rows = [
        (_names(seeds), seeds[0].answers[way].way, _seeds(seeds), f"{spread(_accuracies(seeds, way), 1)} %")
        for seeds in _joined(group, runs)
        if len(seeds) > 1
        for way in range(len(seeds[0].answers))
    ]
    heading = ("runs", "evaluation", "seeds", "mean ± standard deviation")
    return join((element("h4", "Seeds of equal runs"), table(heading, rows))) if rows else Markup()


def against_untrained(group: Sequence[Run], runs: Sequence[Run]) -> Markup:
    """Compare each run with the untrained run that is equal in everything else, or state why there is none.

    Args:
        group: Runs that were counted on the same clips.
        runs: All runs of the page.
    """
    joined = _joined(group, runs)
    lines = []
    for seeds in joined:
        first = seeds[0]
        if first.untrained or "encoder" not in first.config:
            continue
        baselines = {
            _names(other): (other, _differing(seeds, other, runs))
            for other in joined
            if other[0].untrained and other[0].kind == first.kind
        }
        if not baselines:
            lines.append(
                f"{_names(seeds)}: there is no {first.kind} run with the untrained encoder, so this page cannot show "
                "the gain of pre-training."
            )
        fair = [other for other, differing in baselines.values() if not differing]
        for other in fair:
            lines += [_compared(seeds, other, way) for way in range(len(first.answers))]
        if not fair:
            lines += [
                f"{_names(seeds)}, pre-trained, is not compared with {name}, untrained: the two differ in "
                f"{', '.join(differing)}."
                for name, (_, differing) in baselines.items()
            ]
    return element("ul", *(element("li", line) for line in lines), class_="note") if lines else Markup()


def against_raw_joints(group: Sequence[Run], runs: Sequence[Run]) -> Markup:
    """Compare pre-trained encoders with raw joints, trained on the same labelled clips.

    Args:
        group: Runs that were counted on the same clips.
        runs: All runs of the page.
    """
    joined = _joined(group, runs)
    lines = []
    for raw in (seeds for seeds in joined if seeds[0].protocol.without_encoder):
        learned = [
            (mean(_accuracies(seeds, way)), seeds, way)
            for seeds in joined
            if "encoder" in seeds[0].config and not seeds[0].untrained
            if set(map(_labelled, seeds)) == set(map(_labelled, raw))
            for way in range(len(seeds[0].answers))
        ]
        if not learned:
            continue
        best, seeds, way = max(learned, key=lambda entry: entry[0])
        yardstick = mean(_accuracies(raw, 0))
        names, way_of = _names(seeds), seeds[0].answers[way].way
        lines.append(
            f"{'Raw joints win here' if best < yardstick else 'Raw joints do not win here'}: the best pre-trained run, "
            f"{names} ({way_of}), has {best:.1f} % right; {_names(raw)}, without any encoder, has {yardstick:.1f} % "
            f"({best - yardstick:+.1f} points)."
        )
    return element("ul", *(element("li", line) for line in lines), class_="note") if lines else Markup()


def _labelled(run: Run) -> str:
    """Return the hash of the clips whose labels a run used; by default the whole training part."""
    return run.about("labels", "hash") if "labels" in run.config else run.about("split", "train", "hash")


def _joined(group: Sequence[Run], runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs that differ only in the seed, each seed once."""
    joined: list[tuple[str, list[Run]]] = []
    for run in group:
        recipe = _recipe(run, runs)
        seed = _seed(run)
        for other, seeds in joined:
            if other == recipe and seed != "" and seed not in map(_seed, seeds):
                seeds.append(run)
                break
        else:
            joined.append((recipe, [run]))
    return [seeds for _, seeds in joined]


def _recipe(run: Run, runs: Sequence[Run]) -> str:
    """Return everything that defines a run but its seed; for a pre-trained encoder also its pre-training."""
    options = {key: value for key, value in flat_options(dict(run.config)).items() if key not in _PLACES}
    if run.sizes is None and (earlier := _pretraining(run, runs)):
        sizes = {key: value for key, value in flat_options(dict(earlier)).items() if key not in _PLACES}
        options |= {"encoder": ""} | {f"encoder.{key}": value for key, value in sizes.items()}
    ways = [answers.way for answers in run.answers]
    return repr([run.kind, ways, sorted(options.items()), _data(run)])


def _pretraining(run: Run, runs: Sequence[Run]) -> Mapping[str, Any]:
    """Return the options of the encoder's pre-training, from the run itself or from the page's pre-training run."""
    about = run.result.get("pretraining")
    config = about.get("config") if isinstance(about, Mapping) else None
    if isinstance(config, Mapping):
        return config
    places = {other.folder.path.resolve(): other.config for other in runs if other.pretrains}
    return places.get(run.encoder, {})


def _data(run: Run) -> dict[str, str]:
    """Return a run's training clips and data options, under their names on the page."""
    options = flat_options(run.result["data"]) if isinstance(run.result.get("data"), dict) else {}
    options.pop("path", None)
    return {
        "training clips": run.about("split", "train", "hash"),
        "data options": json_line(options),
    }


def _differing(seeds: Sequence[Run], others: Sequence[Run], runs: Sequence[Run]) -> list[str]:
    """List the differences between a pre-trained and an untrained run, other than pre-training."""
    run, other = seeds[0], others[0]
    may_differ = {"untrained", *_PLACES}
    clips, against = ({each.about("labels", "hash") for each in group} for group in (seeds, others))
    if _UNKNOWN not in clips | against:
        may_differ |= _OF_LABELS
    if other.sizes is not None:
        may_differ.add("training.layer_decay")  # there are no pre-trained layers to change more slowly
    options, other_options = flat_options(dict(run.config)), flat_options(dict(other.config))
    names = {*options, *other_options} - may_differ
    differing = [
        name
        for name in sorted(names)
        if options.get(name) != other_options.get(name) and name != "encoder" and not name.startswith("encoder.")
    ]
    if clips != against:
        differing.append("labelled clips")
    data, other_data = _data(run), _data(other)
    differing += [name for name in data if data[name] != other_data[name]]
    sizes = [each.sizes or _pretraining(each, runs).get("encoder") for each in (run, other)]
    if run.encoder != other.encoder and (sizes[0] is None or sizes[0] != sizes[1]):
        differing.append("encoder")
    return differing


def _compared(seeds: Sequence[Run], others: Sequence[Run], way: int) -> str:
    """Return one sentence on the gain or loss by pre-training."""
    run, other = seeds[0].answers[way], others[0].answers[way]
    mine, against = _accuracies(seeds, way), _accuracies(others, way)
    points = f"({mean(mine) - mean(against):+.1f} points)"
    if len(seeds) > 1 or len(others) > 1:
        return (
            f"{run.way}: {_names(seeds)}, pre-trained, get {spread(mine, 1)} %, {_names(others)}, untrained, "
            f"{spread(against, 1)} % {points}."
        )
    more = run.count.correct - other.count.correct
    amount = f"{abs(more)} clips {'more' if more > 0 else 'fewer'} right than" if more else "as many clips right as"
    return f"{run.way}: {seeds[0].name}, pre-trained, gets {amount} {others[0].name}, untrained {points}."


def _accuracies(seeds: Sequence[Run], way: int) -> list[float]:
    """Return the accuracies in percent."""
    return [100 * run.answers[way].count.share for run in seeds]


def _names(seeds: Sequence[Run]) -> str:
    return ", ".join(run.name for run in seeds)


def _seed(run: Run) -> str:
    return str(run.config.get("seed", ""))


def _seeds(seeds: Sequence[Run]) -> str:
    return ", ".join(map(_seed, seeds))
