"""``maskel embed``: features of clips under a frozen encoder, as one npz file."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from maskel import distributed
from maskel.datasets.npz import write_rows
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import as_output, refuse_unwritable, replacing, require_suffix
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody
from maskel.training import loading
from maskel.training.features import extract
from maskel.training.precision import Precision
from maskel.training.pretrained import load_frozen

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
        encoder: A pre-training run folder, an ``encoder.safetensors`` file, or a released ``.pth`` checkpoint.
        data: A prepared set; an encoder of another joint layout is mapped to the set's.
        out: The file to write, ``NAME.npz``; an earlier one is replaced.
        benchmark: Take the clips of one part of this benchmark, in its order; by default all clips of the set.
        part: ``train`` or ``test``; goes with ``benchmark``.
        window: Frames that the encoder reads, if others than in pre-training: its time embedding is resized.
        pool: What tokens are averaged over: all (``mean``, as published), or keep the body's regions, its joints, or
            regions in each third of the time apart (``regions``, ``joints``, ``regions_time``).
        single_body: What stands in the second slot of a clip with one body.
        precision: Of the encoder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        The file.

    Raises:
        InputError: If data, options and encoder do not fit each other, or the file cannot be written.

    Examples:
        >>> features = np.load(embed(Path("run"), Path("set"), Path("features.npz")))
        >>> features["features"].shape
        (26, 16)
    """
    if (benchmark is None) != (part is None):
        raise InputError("embed: benchmark and part go together; give both, or neither for all clips")
    require_suffix(out, ".npz")
    refuse_unwritable(out)
    clips = SkeletonSet.open(data)
    positions = np.arange(len(clips)) if benchmark is None else loading.part(clips, benchmark, str(part))
    frozen = load_frozen(encoder, clips, window, untrained=False, seed=0)
    world = distributed.start(device)
    frozen.to(world.device)

    def rows() -> Iterator[Float32[np.ndarray, "n d"]]:
        for start in range(0, len(positions), _CLIPS_IN_MEMORY):
            few = positions[start : start + _CLIPS_IN_MEMORY]
            yield extract(frozen, clips, few, world, single_body, precision, pool=pool).cpu().numpy()

    if not world.leads:
        for _ in rows():  # every process computes its share
            pass
        return out
    with as_output(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            _write(temporary, rows(), clips, positions, frozen.num_features(pool))
    return out


def _write(
    path: Path,
    rows: Iterator[Float32[np.ndarray, "n d"]],
    clips: SkeletonSet,
    positions: Int64[np.ndarray, " n"],
    dim: int,
) -> None:
    names = np.array([clips.clips[position].name for position in positions.tolist()])
    columns = {"names": names, "labels": clips.labels[positions], "classes": np.array(clips.classes)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, column in columns.items():
            write_rows(archive, name, column.shape, column.dtype.str, [column])
        write_rows(archive, "features", (len(positions), dim), "<f4", rows)
