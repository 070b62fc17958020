"""``maskel predict``: classes and probabilities of new clips."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from maskel import distributed
from maskel.commands.prepare import CORES
from maskel.datasets.provenance import provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import META, SEGMENTS
from maskel.errors import InputError
from maskel.files import (
    csv_text,
    json_text,
    refuse_inside,
    refuse_unwritable,
    require_suffix,
    scratch_folder,
    write_output,
)
from maskel.methods.classifier import Classifier
from maskel.pictures.animation import Moving
from maskel.pictures.recordings import Key, recordings_of
from maskel.pictures.timeline import timeline_page
from maskel.sequence import Clip
from maskel.training.classifiers import load_classifier
from maskel.training.precision import Precision
from maskel.training.pretrained import require_fit, say_differences
from maskel.training.recordings import as_they_are, in_windows, prepared, read_extent, usual_windows
from maskel.training.segments import Segment, Track, distance_of, place_of, rows_of, segments_of, tracks_of
from maskel.training.supervised import answer_clips
from maskel.training.trained_on import TrainedOn

LONG = 4
"""A clip of more frames than this many times the longest training clip is hardly one action."""


def predict(
    classifier: Path,
    data: Path | Sequence[Path],
    out: Path,
    top_k: int = 5,
    as_prepared: bool = False,
    source_fps: float | None = None,
    trained_on: TrainedOn | None = None,
    window_length: str | None = None,
    step: str | None = None,
    segments: Path | None = None,
    page: Path | None = None,
    per_body: bool = False,
    min_probability: float | None = None,
    max_distance: float | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
) -> Path:
    """Write the most probable classes of every clip. Labels are ignored.

    Recordings are prepared like the training clips of the classifier, which records how. A recording that cannot be
    read is named and left out.

    A clip gets one answer, unless one of the options from ``window_length`` to ``max_distance`` is given: then
    windows slide over it, each with its own answer, and are joined to segments.

    Args:
        data: A prepared set of the classifier's layout; or recordings and folders of them, as the training set was
            prepared from.
        out: A ``.csv`` or ``.json`` file; an earlier one is replaced.
        top_k: Classes to list, most probable first, 1 or more; all where there are fewer.
        as_prepared: The recordings are ``.npy`` files (T, V, C) or (M, T, V, C) that need no preparation: in the unit
            of the training set, moved to the origin as its clips are, without gaps.
        source_fps: Frames a second of the recordings, where the training set was brought to a frame rate, or windows
            are in seconds.
        trained_on: The data set of a released ``.pth`` file that does not say it: ``ntu60``, ``ntu120``, ``pku1``,
            ``pku2``, or ``data`` for the classes of a prepared set; by default the source of that set decides then.
        segments: A ``.csv`` or ``.json`` file of segments: person, class, start and end. Overlapping windows are
            averaged, and neighbours of the same class joined.
        page: An ``.html`` file that shows the segments and the probabilities over time.
        per_body: Windows for each person, in place of windows for all people together.
        min_probability: Segments whose mean probability is lower have no class, in [0, 1].
        max_distance: Segments that are farther from the training clips have no class either; 1 is as far as the median
            training clip is from the others, so that 2 is a limit to begin with.

    Returns:
        The file.

    Raises:
        InputError: If data and classifier do not fit each other, no recording can be read, or the file cannot be
            written.

    Examples:
        >>> predict(Path("classifier"), Path("set"), Path("predictions.csv")).read_text().splitlines()[0][:17]
        'name,class_1,prob'
    """
    if top_k < 1:
        raise InputError(f"top_k: found {top_k}, expected 1 or more")
    if min_probability is not None and not 0 <= min_probability <= 1:
        raise InputError(f"min_probability: found {min_probability}, expected 0 to 1")
    if max_distance is not None and not 0 < max_distance < math.inf:
        raise InputError(f"max_distance: found {max_distance}, expected more than 0; 1 is the median training clip's")
    given = (window_length, step, segments, page, min_probability, max_distance)
    slides = per_body or any(option is not None for option in given)
    length, pace = read_extent("window_length", window_length), read_extent("step", step)
    roots = [data] if isinstance(data, Path) else list(data)
    sets = [root for root in roots if (root / META).is_file() or (root / SEGMENTS).is_file()]
    if sets and (len(roots) > 1 or as_prepared or (source_fps is not None and not slides)):
        raise InputError(f"{sets[0]} is a prepared set; give it alone, without --as-prepared and --source-fps")
    if as_prepared and source_fps is not None and not slides:
        raise InputError("source_fps: joints as they were prepared have the frame rate of their set; leave it out")
    outputs = {"--out": out, "--segments": segments, "--page": page}
    _refuse_outputs(outputs, roots if not sets else ())
    dataset_given = SkeletonSet.open(sets[0], untrimmed=True) if sets else None
    model = load_classifier(classifier, trained_on=trained_on, dataset=dataset_given)
    if model.familiarity is None:
        _say_nothing_known(classifier, max_distance)
    world = distributed.start(device)
    made = model.label_spec.provenance
    fps = None if made is None else made.options.get("fps")
    if source_fps is not None and made is not None and fps is None and not slides:
        raise InputError(
            f"source_fps: {classifier} learned from clips that were not brought to a frame rate; leave it out"
        )
    rate = source_fps
    if as_prepared or dataset_given:
        rate = _rate_of_set(dataset_given.options.get("fps") if dataset_given else fps, source_fps)
    windows = usual_windows(model.label_spec, length, pace, per_body, rate) if slides else None
    rates: Mapping[str, float] = {}
    with scratch_folder() as folder:
        if dataset_given:
            dataset = dataset_given
            require_fit(classifier, model.encoder, dataset)
            say_differences(classifier, model.label_spec.provenance, dataset)
        elif as_prepared:
            dataset = as_they_are(roots, model, folder / "set")
        else:
            place = folder / "set"
            dataset, rates = prepared(classifier, roots, model, source_fps if fps else None, place, CORES, windows)
        if windows and (dataset_given or as_prepared):
            dataset = in_windows(
                dataset, windows, provenance_of(dataset) if dataset_given else made, folder / "windows"
            )
        if not slides:
            _say_long(model, dataset)
        _say_bodies(model, dataset)
        scores, far = answer_clips(model.to(world.device), dataset, np.arange(len(dataset)), world, precision)
        rows, distances = scores.double().softmax(1).cpu().numpy(), far.double().cpu().numpy()
        about = dataset.clips
        joints: Mapping[Key, Moving] = {}
        if page and world.is_main:
            may_miss = (made.options if made else dataset.options).get("missing") == "zero"
            joints = recordings_of(dataset, rates, rate, may_miss)
    names = [_name_of(clip, rates.get(clip.recording, rate)) if slides else {"name": clip.name} for clip in about]
    classes, familiarity = model.label_spec.classes, model.familiarity
    answers = [
        {**name, "classes": _most_probable(classes, row, top_k), **distance_of(distance, familiarity)}
        for name, row, distance in zip(names, rows, distances.tolist(), strict=True)
    ]
    if world.is_main:
        _write_rows(answers, out)
        if slides:
            tracks = tracks_of(about, rows, rates, rate, None if familiarity is None else distances)
            found = [(track, segments_of(track, min_probability or 0.0, max_distance)) for track in tracks]
            _say_unsure(found, min_probability, max_distance)
            if segments:
                listed = (rows_of(track, joined, classes, familiarity) for track, joined in found)
                _write_rows([row for rows_of_track in listed for row in rows_of_track], segments, "--segments")
            if page:
                write_output(page, timeline_page(found, classes, joints), "--page")
    return out


def _name_of(window: Clip, rate: float | None) -> dict[str, Any]:
    """Name a window as the table does."""
    place = place_of(window.first_frame, window.end_frame, rate)
    return {"name": window.recording, "person": window.subject or None, **place}


def _refuse_outputs(outputs: Mapping[str, Path | None], inputs: Sequence[Path]) -> None:
    """Refuse, before the work, an output that cannot be written or is named twice."""
    for option, path in outputs.items():
        if path is None:
            continue
        require_suffix(path, *((".html",) if option == "--page" else (".csv", ".json")), option=option.lstrip("-"))
        refuse_unwritable(path, option)
        refuse_inside(path, inputs, option)
    if (segments := outputs["--segments"]) and (out := outputs["--out"]) and segments.resolve() == out.resolve():
        raise InputError(
            f"{segments} is given as --out and as --segments; the first lists windows, the second segments"
        )


def _rate_of_set(rate: float | None, source_fps: float | None) -> float | None:
    """Return the frames a second of clips that are prepared already."""
    if rate is not None and source_fps not in (None, rate):
        raise InputError(f"source_fps: the clips were brought to {rate:g} frames a second; leave it out")
    return rate or source_fps


def _say_nothing_known(classifier: Path, max_distance: float | None) -> None:
    """Say that there are no distances to the training clips.

    Raises:
        InputError: If a limit of them is given.
    """
    said = f"{classifier} does not hold features of its training clips (a release's, or older)"
    if max_distance is not None:
        raise InputError(f"max_distance: {said}; leave the option out, or train the classifier again")
    distributed.notify(f"{said}, so the columns distance and distance_percentile are empty")


def _say_unsure(
    found: Sequence[tuple[Track, Sequence[Segment]]], min_probability: float | None, max_distance: float | None
) -> None:
    """Count the segments, and those without a class."""
    segments = [segment for _, segments_of_track in found for segment in segments_of_track]
    unsure = sum(not segment.sure for segment in segments)
    why = [
        *([f"less probable than {min_probability:g}"] if min_probability else []),
        *([f"farther than {max_distance:g} from the training clips"] if max_distance else []),
    ]
    said = f"; {unsure:,} are {' or '.join(why)} and have no class" if why else ""
    distributed.notify(
        f"{len(segments):,} segments in {len({track.recording for track, _ in found}):,} recordings{said}"
    )


def _say_long(model: Classifier, dataset: SkeletonSet) -> None:
    """Warn of recordings that are too long to be one action."""
    if model.label_spec.longest is None:
        return
    long = np.flatnonzero(dataset.valid_frames > LONG * model.label_spec.longest).tolist()
    if long:
        first, frames = dataset.clips[long[0]].name, int(dataset.valid_frames[long[0]])
        distributed.notify(
            f"{len(long):,} of {len(dataset):,} clips are more than {LONG} times as long as any training clip of the "
            f"classifier ({model.label_spec.longest:,} frames): {first} has {frames:,} frames and gets one answer for "
            "all of them; find segments in it (--segments FILE), or cut it with start and end in a labels.csv"
        )


def _say_bodies(model: Classifier, dataset: SkeletonSet) -> None:
    """Warn of clips with more people than the classifier can take."""
    slots = model.label_spec.num_bodies
    if more := int((dataset.bodies > slots).sum()):
        distributed.notify(
            f"{more:,} of {len(dataset):,} clips have more people than the classifier has body slots ({slots}); only "
            f"the first {slots} of each clip {'is' if slots == 1 else 'are'} used"
        )


def _most_probable(classes: Sequence[str], row: Float64[np.ndarray, " classes"], top_k: int) -> list[dict[str, Any]]:
    order = np.argsort(-row, kind="stable")[:top_k].tolist()
    return [{"class": classes[label], "probability": float(row[label])} for label in order]


def _write_rows(rows: Sequence[Mapping[str, Any]], path: Path, option: str = "--out") -> None:
    """Write a ``.json`` file, or else a table, in which the classes of a row stand side by side."""
    if path.suffix == ".json":
        text = json_text(rows, indent=1, ensure_ascii=False)
    else:
        flat = [_flat(row) for row in rows]
        text = csv_text([list(flat[0]), *(["" if cell is None else cell for cell in row.values()] for row in flat)])
    write_output(path, text, option)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "classes":
            flat |= {f"{column}_{place}": one[column] for place, one in enumerate(value, 1) for column in one}
        else:
            flat[name] = value
    return flat
