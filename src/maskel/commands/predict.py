"""``maskel predict``: classes and probabilities of new clips."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from tokenize import TokenError

import numpy as np
from jaxtyping import Float

from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.files import as_output, refuse_unwritable, write_atomically
from maskel.methods.classifier import Classifier, load_classifier
from maskel.methods.trained_on import TrainedOn
from maskel.sequence import Clip, SkeletonSequence
from maskel.training import distributed
from maskel.training.precision import Precision
from maskel.training.supervised import require_fit, score_clips


def predict(
    classifier: Path,
    data: Path,
    out: Path,
    top_k: int = 5,
    trained_on: TrainedOn | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
) -> Path:
    """Write the most probable classes of every clip. Labels are not looked at.

    Args:
        classifier: A run folder of linear or finetune, a ``classifier.safetensors`` file, or a released ``.pth`` file.
        data: A prepared set of the classifier's layout; or one clip as a ``.npy`` file of (T, V, C) or (M, T, V, C), in
            the units and with the origin that the training clips have.
        out: A ``.csv`` or ``.json`` file; an earlier one is replaced.
        top_k: Classes to list, most probable first, 1 or more; all where there are fewer.
        trained_on: The data set of a released ``.pth`` file that does not say it: ``ntu60``, ``ntu120``, ``pku1``,
            ``pku2``, or ``data`` for the classes of a prepared set; by default the source of that set decides then.
        precision: Of matrix products.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        The file.

    Raises:
        InputError: If data and classifier do not fit each other, or the file cannot be written.
    """
    if top_k < 1:
        raise InputError(f"top_k: found {top_k}, expected 1 or more")
    if out.suffix not in (".csv", ".json"):
        raise InputError(f"out: found {out}, expected a name that ends in .csv or .json")
    refuse_unwritable(out)
    known = SkeletonSet.open(data) if data.is_dir() else None
    model = load_classifier(classifier, trained_on=trained_on, clips=known)
    world = distributed.start(device)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps files that are mapped
        clips = _one_clip(data, model, Path(folder) / "set") if data.is_file() else known or SkeletonSet.open(data)
        require_fit(classifier, model.encoder, clips)
        scores = score_clips(model.to(world.device), clips, np.arange(len(clips)), world, precision)
        rows = scores.double().softmax(1).cpu().numpy()
        answers = {clip.name: row for clip, row in zip(clips.clips, rows, strict=True)}
    listed = {name: _most_probable(model, row, top_k) for name, row in answers.items()}
    if world.leads:
        with as_output(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, _json(listed) if out.suffix == ".json" else _csv(listed))
    return out


def _one_clip(file: Path, model: Classifier, folder: Path) -> SkeletonSet:
    """A set that holds the clip in ``file``, so that it is read as any other."""
    layout, channels = model.encoder.layout, model.encoder.channels
    expected = f"a .npy file of floats (T, {len(layout)}, {len(channels)}) or (M, T, {len(layout)}, {len(channels)})"
    try:
        array = np.lib.format.open_memmap(file, mode="r")  # never unpickles
    except (OSError, ValueError, TypeError, KeyError, EOFError, OverflowError, SyntaxError, TokenError) as fault:
        raise InputError(f"{file}: expected a prepared set or {expected} ({fault})") from fault
    fits = array.ndim in (3, 4) and np.issubdtype(array.dtype, np.floating)
    if not fits or array.shape[-2:] != (len(layout), len(channels)):
        raise InputError(f"{file}: found {array.dtype} {array.shape}, expected {expected} of layout {layout.name}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
        joints = np.array(array if array.ndim == 4 else array[None], dtype=np.float32)
    try:
        with SetWriter(folder, layout, model.task.classes, "clip", {}, channels) as writer:
            writer.add(SkeletonSequence(Clip(file.stem, 0), joints, layout))
            writer.finish({})
    except ValueError as fault:
        raise InputError(f"{file}: {fault}") from fault
    return SkeletonSet.open(folder)


def _most_probable(model: Classifier, row: Float[np.ndarray, " classes"], top_k: int) -> list[tuple[str, float]]:
    order = np.argsort(-row, kind="stable")[:top_k].tolist()
    return [(model.task.classes[label], float(row[label])) for label in order]


def _json(listed: dict[str, list[tuple[str, float]]]) -> str:
    clips = [
        {"name": name, "classes": [{"class": label, "probability": share} for label, share in best]}
        for name, best in listed.items()
    ]
    return json.dumps(clips, indent=1, ensure_ascii=False) + "\n"


def _csv(listed: dict[str, list[tuple[str, float]]]) -> str:
    places = range(1, len(next(iter(listed.values()))) + 1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *(f"{column}_{place}" for place in places for column in ("class", "probability"))])
    writer.writerows([name, *(value for pair in best for value in pair)] for name, best in listed.items())
    return text.getvalue()
