"""Distance of a clip's features to those of the training clips: a second opinion beside the probability."""

import math
from functools import cached_property

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn

from maskel.draws import Purpose, uniform

MOST_CLIPS = 1_000
"""Training clips that are remembered."""
MOST_VALUES = 256
"""Values that are remembered of a clip; longer features are projected onto as many random directions."""
NEAREST = 3
"""Nearest training clips whose mean distance counts."""
_ROWS = 256  # clips that are compared at a time


class Familiarity(nn.Module):
    """Features of some training clips, and how far these are from each other.

    The distance of a clip is the mean distance of its features, standardised, to those of the three nearest training
    clips. It is given in units of the median training clip's own distance, to clips of other people where subjects are
    known.

    Args:
        values: Values F of a feature vector.
        clips: Training clips N to remember.

    Attributes:
        mean: (F,) of the training clips.
        spread: (F,) standard deviations.
        known: (N, D) standardised and, where F is larger than `MOST_VALUES`, projected.
        usual: (N,) distances of the training clips themselves, in order; their median is 1.
        unit: () median distance of the training clips, as features have it.
    """

    mean: Float32[Tensor, " f"]
    spread: Float32[Tensor, " f"]
    known: Float32[Tensor, "n d"]
    usual: Float32[Tensor, " n"]
    unit: Float32[Tensor, ""]

    def __init__(self, values: int, clips: int) -> None:
        super().__init__()
        known = (clips, min(values, MOST_VALUES))
        sizes = {"mean": (values,), "spread": (values,), "known": known, "usual": (clips,), "unit": ()}
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size))

    @classmethod
    @torch.no_grad()
    def of(cls, features: Float32[Tensor, "n f"], subjects: Int64[Tensor, " n"] | None = None) -> "Familiarity":
        """Remember training clips.

        Args:
            features: (N, F) of two clips or more.
            subjects: (N,) who moves, as numbers; None where that is unknown.
        """
        made = cls(features.shape[1], len(features)).to(features.device)
        made.mean.copy_(features.mean(0))
        spread = features.std(0)
        made.spread.copy_(torch.where(spread > 0, spread, 1.0))
        made.known.copy_(made._placed(features))
        numbers = torch.arange(len(features), device=features.device)
        groups = numbers if subjects is None or subjects.unique().numel() < 2 else subjects.to(features.device)
        own = made._to_nearest(made.known, groups[:, None] == groups)
        unit = own.median()
        made.unit.copy_(unit if unit > 0 else torch.ones(()))
        made.usual.copy_((own / made.unit).sort().values)
        return made

    @torch.no_grad()
    def distance(self, features: Float32[Tensor, "b f"]) -> Float32[Tensor, " b"]:
        """Compute how far clips are from the training clips; 1 is the distance of the median training clip.

        Args:
            features: (B, F) as the classifier's head reads them.
        """
        return self._to_nearest(self._placed(features), None) / self.unit

    def percentile(self, distance: float) -> float:
        """Return the share of training clips that are at most as far from the others, in percent.

        Args:
            distance: As `distance` gives it.
        """
        return 100 * float((self.usual <= distance).double().mean())

    def _placed(self, features: Float32[Tensor, "b f"]) -> Float32[Tensor, "b d"]:
        standard = (features - self.mean) / self.spread
        return standard if self._directions is None else standard @ self._directions.to(standard.device)

    @cached_property
    def _directions(self) -> Float32[Tensor, "f d"] | None:
        """Random directions of ±1, the same for the same number of values; None where there are few values."""
        values, kept = len(self.mean), self.known.shape[1]
        if values == kept:
            return None
        signs = uniform(torch.arange(values), Purpose.DIRECTIONS, kept) < 0.5
        return torch.where(signs, 1.0, -1.0) / math.sqrt(kept)

    def _to_nearest(
        self, places: Float32[Tensor, "b d"], left_out: Bool[Tensor, "b n"] | None
    ) -> Float32[Tensor, " b"]:
        """Return the mean distance to the nearest that are not left out."""
        found = []
        for start in range(0, len(places), _ROWS):
            rows = slice(start, start + _ROWS)
            far = torch.cdist(places[rows].double(), self.known.double(), compute_mode="donot_use_mm_for_euclid_dist")
            count = far.shape[1]
            if left_out is not None:
                far = far.masked_fill(left_out[rows], torch.inf)
                count = int((~left_out).sum(1).min())
            found.append(far.topk(max(1, min(NEAREST, count)), largest=False).values.mean(1))
        return torch.cat(found).float()
