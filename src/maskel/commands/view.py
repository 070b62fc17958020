"""``maskel view``: one picture on a page of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from maskel.commands.embed import features as compute
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import refuse_unwritable, write_output
from maskel.models.pooling import Pool
from maskel.pictures.attributions import importance_page
from maskel.pictures.gallery import gallery_page, position_named, thin_out
from maskel.pictures.markup import element, page
from maskel.pictures.masks import count_hidden, mask_maps
from maskel.pictures.scatter import Projection, project, scatter_page
from maskel.training.classifiers import load_classifier
from maskel.training.finished import open_runs
from maskel.training.pretrained import load_method, require_fit

_MOST, _MOST_IMPORTANT = 1000, 100  # clips of a page


def masks(
    runs: list[Path], data: Path, clip: str, draws: int = 1000, seed: int = 0, out: Path = Path("masks.html")
) -> Path:
    """Show how often each joint and time of a clip is hidden, for several pre-trained methods side by side.

    Args:
        runs: Run folders of pretrain.
        data: A prepared set of their layout.
        clip: Name of the clip.
        draws: Number of masks to draw with each method, 1 or more.
        seed: Seed of the masks.
        out: The HTML file; an earlier one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If a run is not one of pretrain, the set does not hold the clip, or the file cannot be written.
    """
    if draws < 1:
        raise InputError(f"draws: found {draws}, expected 1 or more")
    refuse_unwritable(out)
    dataset = SkeletonSet.open(data, untrimmed=True)
    position = position_named(dataset, clip)
    found = []
    for run in open_runs(runs):
        if not run.pretrains:
            raise InputError(f"{run.folder.path}: expected a run of maskel pretrain, found one of maskel {run.kind}")
        name = f"{run.config['method']} ({run.name})"
        found.append(count_hidden(name, load_method(run.folder), dataset, position, draws, seed))
    about = f"{clip}, class {dataset.class_name(position)}"
    heading = element("h1", "How often each token is hidden")
    return write_output(out, page(f"maskel view masks: {clip}", heading, mask_maps(about, found)))


def clips(
    data: Path,
    classes: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    most: int = 1000,
    out: Path = Path("clips.html"),
) -> Path:
    """Show clips of a prepared set as moving skeletons, to filter and to sort on the page.

    Args:
        data: The prepared set.
        classes: Only clips of these classes; by default of all.
        subjects: Only clips of these subjects; by default of all.
        names: Only clips whose name contains one of these; by default all.
        most: Clips on the page, 1 to 1000; of more some are drawn, of all classes by turns.
        out: The HTML file; an earlier one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the set has no such clip, or the file cannot be written.

    Examples:
        >>> clips(Path("set"), out=Path("clips.html")).name
        'clips.html'
    """
    if not 1 <= most <= _MOST:
        raise InputError(f"most: found {most}, expected 1 to {_MOST}")
    refuse_unwritable(out)
    dataset = SkeletonSet.open(data)
    class_names = [dataset.class_name(position) for position in range(len(dataset))]
    subject_names = [clip.subject for clip in dataset.clips]
    _refuse_unknown("classes", classes, class_names)
    _refuse_unknown("subjects", subjects, subject_names)
    chosen = [
        position
        for position, clip in enumerate(dataset.clips)
        if (classes is None or class_names[position] in classes)
        and (subjects is None or clip.subject in subjects)
        and (names is None or any(part in clip.name for part in names))
    ]
    if not chosen:
        raise InputError(f"{data} has no clip of these classes, subjects and names; leave one of the options out")
    return write_output(out, gallery_page(dataset, np.array(chosen), most))


def _refuse_unknown(option: str, wanted: Sequence[str] | None, known: Sequence[str]) -> None:
    for name in wanted or ():
        if name not in known:
            found = sorted(set(filter(None, known)))
            listed = ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
            raise InputError(f"{option}: no clip has {name!r}; the set has {listed or 'none'}")


def features(
    data: Path,
    encoder: Path,
    projection: Projection = "pca",
    benchmark: str | None = None,
    part: Literal["train", "test"] | None = None,
    pool: Pool = "mean",
    most: int = 1000,
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("features.html"),
) -> Path:
    """Show the features of clips as points on a plane, coloured by class; pointing at one shows its clip.

    Args:
        data: The prepared set.
        projection: ``pca``, or ``umap`` with the extra of that name.
        benchmark: Take the clips of one part of this benchmark; by default all clips of the set.
        part: ``train`` or ``test``; goes with ``benchmark``.
        pool: What tokens are averaged over, as for ``embed``.
        most: Clips on the page, 2 to 1000; of more some are drawn, of all classes by turns.
        seed: Of UMAP.
        out: The HTML file; an earlier one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If data, options and encoder do not fit each other, or the file cannot be written.

    Examples:
        >>> features(Path("set"), Path("run"), out=Path("features.html")).name
        'features.html'
    """
    if not 2 <= most <= _MOST:
        raise InputError(f"most: found {most}, expected 2 to {_MOST}")
    refuse_unwritable(out)
    found = compute(encoder, data, benchmark, part, pool=pool, device=device)
    points, about = project(found.features, projection, seed)
    dataset = SkeletonSet.open(data)
    positions = np.arange(len(dataset)) if benchmark is None else dataset.split(benchmark, str(part))
    rows = np.argsort(positions, kind="stable")
    shown = thin_out(dataset, positions[rows], most)
    places = points[rows[np.searchsorted(positions[rows], shown)]]
    return write_output(out, scatter_page(dataset, shown, places, about, len(positions)))


def importance(
    data: Path,
    classifier: Path,
    names: Sequence[str] | None = None,
    most: int = 12,
    out: Path = Path("importance.html"),
) -> Path:
    """Show the joints that a classifier's answers rest on, by gradient times input, on moving clips.

    Args:
        data: The prepared set.
        classifier: A run folder of linear or finetune, or its file.
        names: Only clips whose name contains one of these; by default all.
        most: Clips on the page, 1 to 100; of more some are drawn, of all classes by turns.
        out: The HTML file; an earlier one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the classifier does not fit the set, it has no such clip, or the file cannot be written.

    Examples:
        >>> importance(Path("set"), Path("classifier"), most=1, out=Path("importance.html")).name
        'importance.html'
    """
    if not 1 <= most <= _MOST_IMPORTANT:
        raise InputError(f"most: found {most}, expected 1 to {_MOST_IMPORTANT}")
    refuse_unwritable(out)
    dataset = SkeletonSet.open(data)
    model = load_classifier(classifier, dataset=dataset)
    require_fit(classifier, model.encoder, dataset)
    chosen = [at for at, clip in enumerate(dataset.clips) if names is None or any(part in clip.name for part in names)]
    if not chosen:
        raise InputError(f"{data} has no clip whose name contains {' or '.join(names or ())}")
    positions = thin_out(dataset, np.array(chosen), most)
    return write_output(out, importance_page(dataset, model, classifier.name, positions))


PICTURES = {"clips": clips, "features": features, "importance": importance, "masks": masks}
"""Every picture, by its name on the command line."""
