"""``maskel predict``: classes and probabilities of new clips."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float

from maskel import distributed
from maskel.commands.prepare import CORES, SHOWN_FAULTS
from maskel.datasets.provenance import build_source, conversion_to, describe
from maskel.datasets.reading import read_all
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import META, SEGMENTS, SetWriter
from maskel.errors import BadFileError, InputError
from maskel.files import (
    as_output,
    csv_text,
    damaged_as,
    json_text,
    map_npy,
    one_line,
    refuse_inside,
    refuse_unwritable,
    require_suffix,
    write_atomically,
)
from maskel.methods.classifier import Classifier
from maskel.sequence import UNLABELLED, Clip, SkeletonSequence
from maskel.training.classifiers import load_classifier
from maskel.training.precision import Precision
from maskel.training.pretrained import require_fit, say_differences
from maskel.training.supervised import score_clips
from maskel.training.trained_on import TrainedOn

LONG = 4
"""A clip of more frames than this many times the longest training clip is hardly one action."""
_FEW_FILES = 64  # that one process reads before others would have started


def predict(
    classifier: Path,
    data: Path | Sequence[Path],
    out: Path,
    top_k: int = 5,
    as_prepared: bool = False,
    source_fps: float | None = None,
    trained_on: TrainedOn | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
) -> Path:
    """Write the most probable classes of every clip. Labels are not looked at.

    Recordings are prepared as the clips were that the classifier learned from: the classifier says how. Of those that
    cannot be read each is named, and the others are answered.

    Args:
        classifier: A run folder of linear or finetune, a ``classifier.safetensors`` file, or a released ``.pth`` file.
        data: A prepared set of the classifier's layout; or recordings and folders of them, as the training set was
            prepared from.
        out: A ``.csv`` or ``.json`` file; an earlier one is replaced.
        top_k: Classes to list, most probable first, 1 or more; all where there are fewer.
        as_prepared: The recordings are ``.npy`` files (T, V, C) or (M, T, V, C) that need no preparation: in the unit
            of the training set, moved to the origin as its clips are, without gaps.
        source_fps: Frames a second of the recordings, where the training set was brought to a frame rate.
        trained_on: The data set of a released ``.pth`` file that does not say it: ``ntu60``, ``ntu120``, ``pku1``,
            ``pku2``, or ``data`` for the classes of a prepared set; by default the source of that set decides then.
        precision: Of matrix products.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

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
    require_suffix(out, ".csv", ".json")
    roots = [data] if isinstance(data, Path) else list(data)
    sets = [root for root in roots if (root / META).is_file() or (root / SEGMENTS).is_file()]
    if sets and (len(roots) > 1 or as_prepared or source_fps is not None):
        raise InputError(f"{sets[0]} is a prepared set; hand it over alone, without --as-prepared and --source-fps")
    refuse_unwritable(out)
    refuse_inside(out, roots if not sets else ())
    known = SkeletonSet.open(sets[0]) if sets else None
    model = load_classifier(classifier, trained_on=trained_on, clips=known)
    world = distributed.start(device)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps files that are mapped
        if known:
            clips = known
            require_fit(classifier, model.encoder, clips)
            say_differences(classifier, model.task.provenance, clips)
        elif as_prepared:
            clips = _as_they_are(roots, model, Path(folder) / "set")
        else:
            clips = _prepared(classifier, roots, model, source_fps, Path(folder) / "set")
        _say_long(model, clips)
        _say_bodies(model, clips)
        scores = score_clips(model.to(world.device), clips, np.arange(len(clips)), world, precision)
        rows = scores.double().softmax(1).cpu().numpy()
        answers = {clip.name: row for clip, row in zip(clips.clips, rows, strict=True)}
    listed = {name: _most_probable(model, row, top_k) for name, row in answers.items()}
    if world.leads:
        with as_output(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, _json(listed) if out.suffix == ".json" else _csv(listed))
    return out


def _prepared(
    classifier: Path, roots: Sequence[Path], model: Classifier, source_fps: float | None, folder: Path
) -> SkeletonSet:
    """A set of the recordings below ``roots``, their joints made as those were that the classifier learned from."""
    made, encoder = model.task.provenance, model.encoder
    if source_fps is not None and made is not None and made.options.get("fps") is None:
        raise InputError(
            f"source_fps: {classifier} learned from clips that were not brought to a frame rate; leave it out"
        )
    if made is None:
        raise InputError(
            f"{classifier} does not say how the joints that it learned from were made (a release's, or older), so "
            f"{roots[0]} cannot be prepared as they were; hand over a set of maskel prepare, or add --as-prepared for "
            ".npy files in that set's unit and with its origin"
        )
    try:
        source = build_source(made, **({} if source_fps is None else {"source_fps": source_fps}))
        files = source.find_new(roots, encoder.channels)
        converted = conversion_to(source, made.to_layout)
    except BadFileError:
        raise
    except InputError as fault:
        raise InputError(
            f"{classifier} learned from clips of maskel prepare {made.source} and takes what that takes: {fault}; or "
            "hand over a prepared set"
        ) from fault
    distributed.tell(f"prepared as the clips that {classifier} learned from: {describe(made)}")
    layout = converted.target if converted else source.layout
    if (layout, source.channels) != (encoder.layout, encoder.channels):
        raise InputError(
            f"{roots[0]} holds {layout.name} ({', '.join(source.channels)}), but {classifier} reads "
            f"{encoder.layout.name} ({', '.join(encoder.channels)})"
        )
    faults: list[BadFileError] = []
    empty: list[str] = []
    workers = 1 if source.one_process or len(files) <= _FEW_FILES else CORES
    with SetWriter(folder, layout, model.task.classes, source.name, {}, source.channels) as writer:
        for file, reading in zip(files, read_all(source, files, workers), strict=True):
            if isinstance(reading, BadFileError):
                faults.append(reading)
                continue
            if not reading:
                empty.append(str(file))
            for sequence in reading:
                joints = converted.apply(sequence.joints) if converted else sequence.joints
                clip = replace(sequence.clip, label=UNLABELLED)
                writer.add(replace(sequence, clip=clip, joints=joints, layout=layout))
        if not writer.clips:
            why = str(faults[0]) if faults else f"nobody is seen in {empty[0]}"
            raise InputError(f"none of the {len(files):,} recordings can be answered; the first: {why}")
        writer.finish({})
    _say_left_out(faults, empty)
    clips = SkeletonSet.open(folder)
    _say_counts(clips.counts)
    return clips


def _say_left_out(faults: Sequence[BadFileError], empty: Sequence[str]) -> None:
    left_out = [*map(str, faults), *(f"{name}: nobody is seen in it" for name in empty)]
    for line in left_out[:SHOWN_FAULTS]:
        distributed.tell(f"left out: {line}")
    if len(left_out) > SHOWN_FAULTS:
        distributed.tell(f"left out: {len(left_out) - SHOWN_FAULTS:,} more recordings")


def _say_counts(counts: Mapping[int, Mapping[str, int]]) -> None:
    """What was dropped, filled in or guessed to make the clips."""
    total: Counter[str] = Counter()
    clips_with: Counter[str] = Counter()
    for of_clip in counts.values():
        total.update(of_clip)
        clips_with.update(of_clip.keys())
    for what, number in sorted(total.items()):
        distributed.tell(f"{what}: {number:,}, in {clips_with[what]:,} clips")


def _say_long(model: Classifier, clips: SkeletonSet) -> None:
    """Warn of recordings that are too long to be one action."""
    if model.task.longest is None:
        return
    long = np.flatnonzero(clips.valid_frames > LONG * model.task.longest).tolist()
    if long:
        first, frames = clips.clips[long[0]].name, int(clips.valid_frames[long[0]])
        distributed.tell(
            f"{len(long):,} of {len(clips):,} clips are more than {LONG} times as long as any that the classifier "
            f"learned from ({model.task.longest:,} frames): {first} has {frames:,} frames and gets one answer for all "
            "of them; cut it into actions, with start and end in a labels.csv"
        )


def _say_bodies(model: Classifier, clips: SkeletonSet) -> None:
    """Say of how many people the classifier does not see all."""
    slots = model.task.num_bodies
    if more := int((clips.bodies > slots).sum()):
        distributed.tell(
            f"{more:,} of {len(clips):,} clips hold more people than the {slots} that the classifier has places for; "
            f"the first {slots} of each clip {'is' if slots == 1 else 'are'} seen"
        )


def _as_they_are(paths: Sequence[Path], model: Classifier, folder: Path) -> SkeletonSet:
    """A set that holds the joints of ``.npy`` files as they stand there."""
    stems = Counter(path.stem for path in paths)
    layout, channels = model.encoder.layout, model.encoder.channels
    with SetWriter(folder, layout, model.task.classes, "clip", {}, channels) as writer:
        for path in dict.fromkeys(paths):
            joints = _read_joints(path, model)
            try:
                name = path.stem if stems[path.stem] == 1 else str(path)
                writer.add(SkeletonSequence(Clip(name, UNLABELLED), joints, layout))
            except ValueError as fault:
                raise InputError(f"{path}: {fault}") from fault
        writer.finish({})
    return SkeletonSet.open(folder)


def _read_joints(file: Path, model: Classifier) -> Float[np.ndarray, "m t v c"]:
    layout, channels = model.encoder.layout, model.encoder.channels
    expected = f"a .npy file of floats (T, {len(layout)}, {len(channels)}) or (M, T, {len(layout)}, {len(channels)})"
    with damaged_as(lambda fault: InputError(f"{file}: expected {expected} ({one_line(fault)})")):
        array = map_npy(file)
    fits = array.ndim in (3, 4) and np.issubdtype(array.dtype, np.floating)
    if not fits or array.shape[-2:] != (len(layout), len(channels)):
        raise InputError(f"{file}: found {array.dtype} {array.shape}, expected {expected} of layout {layout.name}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
        return np.array(array if array.ndim == 4 else array[None], dtype=np.float32)


def _most_probable(model: Classifier, row: Float[np.ndarray, " classes"], top_k: int) -> list[tuple[str, float]]:
    order = np.argsort(-row, kind="stable")[:top_k].tolist()
    return [(model.task.classes[label], float(row[label])) for label in order]


def _json(listed: dict[str, list[tuple[str, float]]]) -> str:
    clips = [
        {"name": name, "classes": [{"class": label, "probability": share} for label, share in best]}
        for name, best in listed.items()
    ]
    return json_text(clips, indent=1, ensure_ascii=False)


def _csv(listed: dict[str, list[tuple[str, float]]]) -> str:
    places = range(1, len(next(iter(listed.values()))) + 1)
    heading = ["name", *(f"{column}_{place}" for place in places for column in ("class", "probability"))]
    return csv_text([heading, *([name, *(value for pair in best for value in pair)] for name, best in listed.items())])
