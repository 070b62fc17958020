"""``maskel embed``: features of clips under a frozen encoder, as one npz file."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from maskel import distributed
from maskel.console import reported
from maskel.datasets.npz import write_rows
from maskel.datasets.store import SkeletonSet, text_array
from maskel.distributed import World
from maskel.errors import InputError
from maskel.files import as_output, refuse_unwritable, replacing, require_suffix
from maskel.models.encoder import Encoder
from maskel.models.pooling import Pool
from maskel.sequence import SingleBody
from maskel.training.features import extract
from maskel.training.loading import split_positions
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
        encoder: A run folder of pretrain, its ``encoder.safetensors``, ``hf://user/name``, or a released ``.pth`` file.
        data: A prepared set; an encoder of another joint layout is mapped to the set's.
        out: The file to write, ``NAME.npz``; an earlier one is replaced.
        benchmark: Take the clips of one part of this benchmark, in its order; by default all clips of the set.
        part: ``train`` or ``test``; goes with ``benchmark``.
        window: Frames that the encoder reads; if other than in pre-training, its time embedding is resized.
        pool: Tokens to average: all (``mean``, as published), or keep the body's regions, its joints, or
            regions in each third of the time apart (``regions``, ``joints``, ``regions_time``).
        single_body: Filling of the second body slot of a clip with one body: ``zero`` or ``copy``.
        precision: Number type of the encoder's matrix products.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

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
    source = _Source.open(encoder, data, benchmark, part, window, pool, single_body, precision, device)
    if not source.world.is_main:
        for _ in source.rows():  # every process computes its share
            pass
        return out
    with as_output(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            source.write(temporary)
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
        encoder: A run folder of pretrain, its ``encoder.safetensors``, ``hf://user/name``, or a released ``.pth`` file.
        data: A prepared set; an encoder of another joint layout is mapped to the set's.
        benchmark: Take the clips of one part of this benchmark, in its order; by default all clips of the set.
        part: ``train`` or ``test``; goes with ``benchmark``.
        window: Frames that the encoder reads; if other than in pre-training, its time embedding is resized.
        pool: Tokens to average: all (``mean``, as published), or keep the body's regions, its joints, or
            regions in each third of the time apart (``regions``, ``joints``, ``regions_time``).
        single_body: Filling of the second body slot of a clip with one body: ``zero`` or ``copy``.
        precision: Number type of the encoder's matrix products.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        The features, and the clips' names and labels.

    Raises:
        InputError: If data, options and encoder do not fit each other.

    Examples:
        >>> found = features(Path("run"), Path("set"))
        >>> found.features.shape, found.labels.shape
        ((26, 16), (26,))
    """
    source = _Source.open(encoder, data, benchmark, part, window, pool, single_body, precision, device)
    return Features(np.concatenate(list(source.rows())), **source.columns)


@dataclass(frozen=True)
class _Source:
    """An encoder and the clips to compute features of."""

    encoder: Encoder
    dataset: SkeletonSet
    positions: Int64[np.ndarray, " n"]
    pool: Pool
    single_body: SingleBody
    precision: Precision
    world: World

    @classmethod
    def open(
        cls,
        encoder: Path,
        data: Path,
        benchmark: str | None,
        part: str | None,
        window: int | None,
        pool: Pool,
        single_body: SingleBody,
        precision: Precision,
        device: str,
    ) -> "_Source":
        """Open set and encoder.

        Raises:
            InputError: If they do not fit each other.
        """
        if (benchmark is None) != (part is None):
            raise InputError("benchmark and part go together; give both, or neither for all clips")
        dataset = SkeletonSet.open(data)
        chosen = np.arange(len(dataset)) if benchmark is None else split_positions(dataset, benchmark, str(part))
        frozen = load_frozen(encoder, dataset, window, untrained=False, seed=0)
        world = distributed.start(device)
        return cls(frozen.to(world.device), dataset, chosen, pool, single_body, precision, world)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Names and labels of the clips, and the class names."""
        names = text_array([self.dataset.clips[position].name for position in self.positions.tolist()])
        return {
            "names": names,
            "labels": self.dataset.labels[self.positions],
            "classes": text_array(self.dataset.classes),
        }

    def rows(self) -> Iterator[Float32[np.ndarray, "n d"]]:
        """Compute the features, some clips at a time."""
        total = len(self.positions)
        with reported(show=self.world.is_main and total > _CLIPS_IN_MEMORY) as report:
            for start in range(0, total, _CLIPS_IN_MEMORY):
                report("clips", start, total)
                chunk = self.positions[start : start + _CLIPS_IN_MEMORY]
                found = extract(
                    self.encoder, self.dataset, chunk, self.world, self.single_body, self.precision, pool=self.pool
                )
                yield found.cpu().numpy()

    def write(self, path: Path) -> None:
        """Write the features as they are computed, so that memory does not grow with the set."""
        shape = (len(self.positions), self.encoder.num_features(self.pool))
        with zipfile.ZipFile(path, "w") as archive:
            for name, column in self.columns.items():
                write_rows(archive, name, column.shape, column.dtype.str, [column])
            write_rows(archive, "features", shape, "<f4", self.rows())
