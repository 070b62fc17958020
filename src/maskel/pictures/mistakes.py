"""Clips that a classifier takes for another class, beside the training clips that are most like them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.distributed import World
from maskel.errors import InputError
from maskel.files import damaged_as, read_table
from maskel.methods.classifier import CLASSIFIER, Classifier
from maskel.pictures.animation import moving, of_clip, stage
from maskel.pictures.gallery import by_turns, thin_out
from maskel.pictures.markup import Markup, element, join, missing, of_each, paragraph
from maskel.training.classifiers import load_classifier
from maskel.training.features import read_clips
from maskel.training.finished import Run
from maskel.training.run import PREDICTIONS

_NEAREST = 2
_SEARCHED = 1000  # training clips, whose features are computed for the page
_BYTES = 25_000  # characters of a clip


def mistakes(runs: Sequence[Run], clips: int) -> Markup:
    """Show a few wrongly classified test clips of each run that keeps its classifier.

    Args:
        runs: The runs.
        clips: Clips of each, 0 or more.
    """
    if not clips:
        return missing("No clips were requested.")
    classifiers = (run for run in runs if run.protocol.trains and run.protocol.scores)
    nothing = "No run of linear or finetune was given."
    return of_each(classifiers, lambda run: run.name, lambda run: _of_run(run, clips), nothing)


def _of_run(run: Run, count: int) -> Markup:
    run.require_finished()
    run.require_one_fold("has no classifier of its own")
    dataset, model = _opened(run)
    wrong = _wrong(run, dataset)
    if not wrong:
        return paragraph("Every test clip is right.")
    chosen = [wrong[place] for place in by_turns([taken for _, taken in wrong])[:count].tolist()]
    train = dataset.split(run.about("benchmark"), "train")
    train = thin_out(dataset, train[dataset.labels[train] >= 0], _SEARCHED)
    positions = np.array([position for position, _ in chosen])
    nearest = _nearest(model, dataset, positions, train)
    searched = (
        "" if len(train) < _SEARCHED else f" {_SEARCHED:,} training clips, of all classes by turns, are searched."
    )
    about = (
        f"{len(chosen):,} of {len(wrong):,} clips that are taken for another class, drawn so that pairs of classes "
        f"differ; beside each the training clips whose features are most like its own, by their cosine.{searched}"
    )
    up = upward(dataset)
    rows = []
    for (position, taken), found in zip(chosen, nearest, strict=True):
        name = dataset.clips[position].name
        said = (f"{dataset.class_name(position)}, taken for {taken}", element("span", f"test clip {name}"))
        row = [moving(of_clip(dataset, position, up), join(said), _BYTES, name=name)]
        for other, cosine in found:
            name = dataset.clips[other].name
            said = (dataset.class_name(other), element("span", f"training clip {name}, cosine {cosine:.3f}"))
            row.append(moving(of_clip(dataset, other, up), join(said), _BYTES, name=name))
        rows.append(element("div", *row, class_="clips three"))
    return join((paragraph(about, class_="note"), stage(dataset.layout, *rows, class_="figures")))


def _opened(run: Run) -> tuple[SkeletonSet, Classifier]:
    """Open the set and the classifier of a run; refuse what is no longer there, or is another now."""
    if not (run.folder.path / CLASSIFIER).is_file():
        raise InputError(f"{run.name} keeps no {CLASSIFIER}")
    dataset = SkeletonSet.open(Path(str(run.config["data"])))
    benchmark = run.about("benchmark")
    if benchmark not in dataset.benchmarks or dataset.split_hash(benchmark, "test") != run.about(
        "split", "test", "hash"
    ):
        raise InputError(f"the test clips of {dataset.path} have changed since the run")
    model = load_classifier(run.folder.path)
    if (model.encoder.layout.name, model.encoder.channels) != (dataset.layout.name, dataset.channels):
        raise InputError(f"the joint layout or the channels of {dataset.path} have changed since the run")
    return dataset, model


def _wrong(run: Run, dataset: SkeletonSet) -> list[tuple[int, str]]:
    """Return position and predicted class of each wrong test clip."""
    places = {dataset.clips[at].name: at for at in dataset.split(run.about("benchmark"), "test").tolist()}
    path = run.folder.path / PREDICTIONS
    if not path.is_file():
        raise InputError(f"{run.name} has no {PREDICTIONS}")
    with damaged_as(lambda fault: InputError(f"{path} is not a table of this run's test clips ({fault!r})")):
        return [(places[row["name"]], row["predicted"]) for row in read_table(path) if row["class"] != row["predicted"]]


def _nearest(
    model: Classifier, dataset: SkeletonSet, asked: Int64[np.ndarray, " n"], known: Int64[np.ndarray, " m"]
) -> list[list[tuple[int, float]]]:
    """Return the most similar clips of each, with their cosines."""
    world, task, window = World(0, 1, torch.device("cpu")), model.label_spec, model.encoder.config.window

    def features(some: Int64[np.ndarray, " k"]) -> Float32[Tensor, "k f"]:
        found = read_clips(model.features, window, task.num_bodies, task.single_body, dataset, some, world)
        return functional.normalize(found)

    cosines = (features(asked).double() @ features(known).double().T).numpy()
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :_NEAREST].tolist()
    return [[(int(known[at]), float(row[at])) for at in places] for row, places in zip(cosines, order, strict=True)]
