"""``maskel embed``: features of clips under a frozen encoder, as one npz file."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64

from maskel.console import reported
from maskel.datasets.npz import write_rows
from maskel.datasets.store import text_array
from maskel.errors import InputError
from maskel.files import as_output, refuse_unwritable, replacing, require_suffix
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody
from maskel.training.experiment import Experiment
from maskel.training.loading import split_positions
from maskel.training.precision import Precision

_CLIPS_IN_MEMORY = 4096


def embed(
    encoder: Path,
    data: Path,
    out: Path,
    benchmark: str | None = None,
    part: Literal["train", "test"] | None = None,
    window: int | None = None,
    pool: Pool = "mean",
    single_body: SingleBody = "zero",
    precision: Precision = "fp32",
    device: str = "auto",
) -> Path:
    """Write the features that linear evaluation and nearest neighbours see: one row per clip, in the test view.

    The file holds ``features`` (N, F) float32, ``names`` (N,), ``labels`` (N,) int64 and ``classes`` (K,); label i is
    ``classes[i]``, -1 none. ``numpy.load`` reads it without pickle. Features are written as they are computed, so
    memory does not grow with the set.

    Args:
        out: The file to write, ``NAME.npz``; an earlier one is replaced.
        benchmark: Take the clips of one part of this benchmark, in its order; by default all clips of the set.
        part: ``train`` or ``test``; goes with ``benchmark``.

    Returns:
        The file.

    Raises:
        InputError: If data, options and encoder do not fit each other, or the file cannot be written.

    Examples:
        >>> found = np.load(embed(Path("run"), Path("set"), Path("features.npz")))
        >>> found["features"].shape
        (26, 16)
    """
    require_suffix(out, ".npz")
    refuse_unwritable(out)
    columns, width, rows, is_main = _computed(embed, locals())
    if not is_main:
        for _ in rows:  # every process computes its share
            pass
        return out
    with as_output(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, column in columns.items():
                write_rows(archive, name, column.shape, column.dtype.str, [column])
            write_rows(archive, "features", (len(columns["names"]), width), "<f4", rows)
    return out


@dataclass(frozen=True)
class Features:
    """Features of clips, with what is known of each.

    Args:
        features: (N, F) a row for each clip.
        names: (N,) names of the clips.
        labels: (N,) their classes; -1 for none.
        classes: (K,) class names: label i is ``classes[i]``.
    """

    features: Float32[np.ndarray, "n f"]
    names: np.ndarray
    labels: Int64[np.ndarray, " n"]
    classes: np.ndarray


def features(
    encoder: Path,
    data: Path,
    benchmark: str | None = None,
    part: Literal["train", "test"] | None = None,
    window: int | None = None,
    pool: Pool = "mean",
    single_body: SingleBody = "zero",
    precision: Precision = "fp32",
    device: str = "auto",
) -> Features:
    """Compute the features that `embed` writes, in memory: one row per clip, in the test view.

    Args:
        benchmark: Take the clips of one part of this benchmark, in its order; by default all clips of the set.
        part: ``train`` or ``test``; goes with ``benchmark``.

    Returns:
        The features, and the clips' names and labels.

    Raises:
        InputError: If data, options and encoder do not fit each other.

    Examples:
        >>> found = features(Path("run"), Path("set"))
        >>> found.features.shape, found.labels.shape
        ((26, 16), (26,))
    """
    columns, _, rows, _ = _computed(features, locals())
    return Features(np.concatenate(list(rows)), **columns)


def _computed(
    command: Callable[..., object], options: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], int, Iterator[Float32[np.ndarray, "n f"]], bool]:
    """Open set and encoder of a command.

    Returns:
        Names and labels of the clips and the class names; width F of the features; the features, computed some clips
        at a time as they are taken; and whether this process writes.
    """
    benchmark, part = options["benchmark"], options["part"]
    if (benchmark is None) != (part is None):
        raise InputError("benchmark and part go together; give both, or neither for all clips")
    experiment = Experiment(command, options)
    dataset = experiment.dataset
    chosen = np.arange(len(dataset)) if benchmark is None else split_positions(dataset, benchmark, part)
    frozen = experiment.start_frozen()
    columns = {
        "names": text_array([dataset.clips[position].name for position in chosen.tolist()]),
        "labels": dataset.labels[chosen],
        "classes": text_array(dataset.classes),
    }

    def rows() -> Iterator[Float32[np.ndarray, "n f"]]:
        with reported(show=experiment.is_main and len(chosen) > _CLIPS_IN_MEMORY) as report:
            for start in range(0, len(chosen), _CLIPS_IN_MEMORY):
                report("clips", start, len(chosen))
                yield experiment.features(frozen, chosen[start : start + _CLIPS_IN_MEMORY]).cpu().numpy()

    return columns, frozen.num_features(options["pool"]), rows(), experiment.is_main
