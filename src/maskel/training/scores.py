"""Class scores (logits) of every evaluated clip, and the accuracy computed from them."""

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64

from maskel.datasets.store import SkeletonSet, names_hash, text_array
from maskel.errors import InputError
from maskel.files import damaged_as, one_line, open_archive, read_bounded, write_atomically
from maskel.training.metrics import count
from maskel.training.run import SCORES, RunFolder, write_predictions

MOST_BYTES = 512 * 2**20
TOP = 5
"""A clip is right among the first this many classes."""


@dataclass(frozen=True)
class Scores:
    """Class scores (logits) of clips.

    Args:
        names: (N,) names of the clips.
        labels: (N,) their classes.
        classes: Class names.
        scores: (N, classes).
    """

    names: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    classes: tuple[str, ...]
    scores: Float32[np.ndarray, "n classes"]

    @classmethod
    def of(
        cls,
        dataset: SkeletonSet,
        positions: Int64[np.ndarray, " n"],
        scores: torch.Tensor,
        classes: tuple[str, ...] | None = None,
    ) -> "Scores":
        """The scores (N, classes) of the clips of a set at ``positions``; ``classes`` are by default the set's."""
        names = tuple(dataset.clips[position].name for position in positions.tolist())
        return cls(names, dataset.labels[positions], classes or dataset.classes, scores.float().cpu().numpy())

    @cached_property
    def hash(self) -> str:
        """Stands for the clips and their order, as a split's hash does."""
        return names_hash(self.names)

    @property
    def predicted(self) -> Int64[np.ndarray, " n"]:
        """(N,) the class of the highest score."""
        return self.scores.argmax(1)

    def count(self, expected: int) -> dict[str, Any]:
        """Count as `maskel.training.metrics.count` does; of more than five classes also ``top5``.

        ``top5`` is the number of clips whose class is among those of the five highest scores. ``expected`` is the
        number of clips that should have been evaluated.
        """
        counted = count(torch.from_numpy(self.predicted), torch.tensor(self.labels), self.classes, expected)
        if len(self.classes) > TOP:
            highest = (-self.scores).argsort(1, kind="stable")[:, :TOP]  # of equal scores the first class, as argmax
            counted["top5"] = int((highest == self.labels[:, None]).any(1).sum())
        return counted

    def write(self, run: RunFolder) -> None:
        """Write ``predictions.csv`` and ``scores.npz``."""
        write_predictions(run, self.names, self.labels.tolist(), self.predicted.tolist(), self.classes)
        buffer = io.BytesIO()
        names, classes = text_array(self.names), text_array(self.classes)
        np.savez(buffer, names=names, labels=self.labels, classes=classes, scores=self.scores)
        write_atomically(run.path / SCORES, buffer.getvalue())

    @classmethod
    def read(cls, run: Path) -> "Scores":
        """The scores in a run folder.

        Raises:
            InputError: If it has none, or they are damaged.
        """
        file = run / SCORES
        if not file.is_file():
            seed = next((other.parent for other in sorted(run.glob(f"*/{SCORES}"))), None)
            one = f"; name one of its runs, like {seed}" if seed else ""
            raise InputError(f"{file}: no such scores; maskel linear, finetune, evaluate and ensemble leave them{one}")
        with damaged_as(lambda fault: InputError(f"{file}: not the scores of a run ({one_line(fault)}); run it again")):
            content = io.BytesIO(read_bounded(file, MOST_BYTES))
            with open_archive(content) as archive:  # packed members could unpack to any size
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                    raise ValueError("compressed arrays")
            with np.load(content, allow_pickle=False) as stored:
                names, labels, classes, scores = (stored[name] for name in ("names", "labels", "classes", "scores"))
            types = (names.dtype.kind, labels.dtype, classes.dtype.kind, scores.dtype)
            fits = types == ("U", np.int64, "U", np.float32)
            if not fits or scores.shape != (len(names), len(classes)) or labels.shape != names.shape or not scores.size:
                raise ValueError("arrays of other types or shapes")
            if not (np.isfinite(scores).all() and 0 <= labels.min() <= labels.max() < len(classes)):
                raise ValueError("a score that is not finite, or a class that does not exist")
        return cls(tuple(names.tolist()), labels, tuple(classes.tolist()), scores)
