"""The two central types: a single clip of a recording, and a batch of clips on a device."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from maskel.display import Displayed
from maskel.layouts import Layout

SCORE = "score"
"""Channel of the detector's confidence in a joint, mostly in [0, 1]; always the last."""
Channels = tuple[str, ...]
"""Names of the C numbers of a joint: two or three coordinates and, maybe, the score."""
XYZ: Channels = ("x", "y", "z")
CHANNELS: tuple[Channels, ...] = (XYZ, ("x", "y"), (*XYZ, SCORE), ("x", "y", SCORE))
"""Every combination of channels that a prepared set can have."""

UNLABELLED = -1
"""Label of a clip whose class is not known; it belongs to no class."""

SingleBody = Literal["zero", "copy"]
"""Filling of the second body slot of a single-person clip: zeros, or a copy (NTU-120 as published)."""


def num_coordinates(channels: Channels) -> int:
    """Return the number of coordinates of a joint: the channels without the score.

    Examples:
        >>> num_coordinates(("x", "y", "score"))
        2
    """
    return len(channels) - (SCORE in channels)


@dataclass(frozen=True)
class Clip:
    """Facts about a clip besides its joints.

    Args:
        name: Name, unique within a set, for example ``S001C001P001R001A001``.
        label: Class, from 0; `UNLABELLED` if it is not known.
        subject: Performer, as the data set writes it; empty if unknown, like the next four.
        camera: Camera or view.
        setup: Camera setup.
        replication: Number of the action's repetition.
        recording: The longer recording that the clip was cut from; empty if the clip is a whole recording.
        first_frame: Frame of the recording, from 0, that is the clip's frame 0; 0 without a recording.
        end_frame: Frame of the recording at which the action ends, not included. The clip's own frames may end
            earlier if the source shortens long actions. 0 without a recording.

    Examples:
        >>> clip = Clip("wave_ann_1", label=0, subject="ann")
        >>> clip.subject, clip.camera  # nothing is known of the camera
        ('ann', '')
    """

    name: str
    label: int
    subject: str = ""
    camera: str = ""
    setup: str = ""
    replication: str = ""
    recording: str = ""
    first_frame: int = 0
    end_frame: int = 0


@dataclass(frozen=True)
class LabelledRange:
    """A stretch of a whole recording in which one action is labelled; ranges may overlap.

    Args:
        label: Its class, from 0.
        first_frame: First frame of the recording, from 0.
        end_frame: The frame after its last.
    """

    label: int
    first_frame: int
    end_frame: int


@dataclass(frozen=True)
class SkeletonSequence(Displayed):
    """One clip: joints (M, T, V, C), absent bodies and frames all zero.

    Args:
        clip: Name, label and origin.
        joints: float32, (M, T, V, C) with M, T >= 1; coordinates in metres, or in the unit that the source states.
        layout: Its joint layout; V must agree.
        counts: Dropped, filled-in or guessed items, such as ``missing joints``: phrase -> number.
        ranges: Of a whole recording, the labelled actions in it, by its own frames.

    Raises:
        ValueError: If the shape does not fit the layout, or a value is not finite; the message names the clip.

    Examples:
        >>> from maskel.layouts import COCO17
        >>> joints = np.zeros((1, 40, 17, 2), dtype=np.float32)  # one body, 40 frames, in 2D
        >>> sequence = SkeletonSequence(Clip("wave_ann_1", label=0), joints, COCO17)
        >>> sequence.joints.shape
        (1, 40, 17, 2)
    """

    clip: Clip
    joints: Float32[np.ndarray, "m t v c"]
    layout: Layout
    counts: Mapping[str, int] = field(default_factory=dict)
    ranges: tuple[LabelledRange, ...] = ()

    def __post_init__(self) -> None:
        name, joints = self.clip.name, self.joints
        if joints.ndim != 4 or 0 in joints.shape or joints.dtype != np.float32:
            expected = "float32 (M, T, V, C), each 1 or more"
            raise ValueError(f"clip {name}: found joints {joints.dtype} {joints.shape}, expected {expected}")
        if joints.shape[2] != len(self.layout):
            raise ValueError(
                f"clip {name}: found {joints.shape[2]} joints, expected {len(self.layout)} (layout {self.layout.name})"
            )
        if not np.isfinite(joints).all():
            raise ValueError(f"clip {name}: found a coordinate that is not finite")


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy the tensor to ``device``; pinned memory is used for a GPU, so that the CPU need not wait for the copy.

    Copies from a GPU block, so that the values are valid on return.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


@dataclass(frozen=True)
class SkeletonPart:
    """Clips of a batch that have the same joints.

    Args:
        rows: (P,) clips of the batch.
        joints: Joints of the layout that they have, by index; what stands in the place of others is not theirs.
    """

    rows: Int64[Tensor, " p"]
    joints: tuple[int, ...]


@dataclass(frozen=True)
class SkeletonBatch:
    """B clips of at most T frames and M bodies.

    Args:
        joints: (B, M, T, V, C) float32; zero where a body or frame is absent.
        lengths: (B,) frames [0, length) of each clip are valid.
        present: (B, M) True for bodies that were recorded; False for absent ones and for copies of the only body.
        labels: (B,) class from 0; `UNLABELLED` if it is not known.
        clips: (B,) position of each clip in its prepared set; random draws and messages refer to it.
        channels: Names of the C values of a joint.
        bodies: (R,) indices of the present bodies among all B·M, if known; see `present_bodies`.
        weights: (R,) weight of each of ``bodies`` in a loss: 1, or 0 for one that only fills up, see `filled_up`; None
            if each is there once.
        parts: Clips grouped by the joints that they have, if sets lack joints; empty where all clips have all.

    Examples:
        >>> from maskel.datasets.store import SkeletonSet
        >>> batch = SkeletonSet.open("set").gather(np.array([0, 1]), bodies=2)
        >>> batch.joints.shape
        torch.Size([2, 2, 78, 25, 3])
        >>> batch.lengths, batch.present
        (tensor([49, 78]), tensor([[ True, False],
                [ True, False]]))
    """

    joints: Float32[Tensor, "b m t v c"]
    lengths: Int64[Tensor, " b"]
    present: Bool[Tensor, "b m"]
    labels: Int64[Tensor, " b"]
    clips: Int64[Tensor, " b"]
    channels: Channels = XYZ
    bodies: Int64[Tensor, " r"] | None = None
    weights: Float32[Tensor, " r"] | None = None
    parts: tuple[SkeletonPart, ...] = ()

    def __len__(self) -> int:
        """Return the number of clips B."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> "SkeletonBatch":
        """Return the same batch with every tensor on ``device``."""
        to = torch.device(device)
        moved: dict[str, Any] = {name: move(each, to) for name, each in vars(self).items() if isinstance(each, Tensor)}
        parts = tuple(replace(part, rows=move(part.rows, to)) for part in self.parts)
        return replace(self, **moved, parts=parts)

    def take(self, rows: Int64[Tensor, " p"]) -> "SkeletonBatch":
        """Some of the clips."""
        joints, lengths, present = (each.index_select(0, rows) for each in (self.joints, self.lengths, self.present))
        labels, clips = (each.index_select(0, rows) for each in (self.labels, self.clips))
        return SkeletonBatch(joints, lengths, present, labels, clips, self.channels)

    def present_bodies(self) -> Int64[Tensor, " r"]:
        """Return the indices of present bodies among all B·M.

        Computing this on a GPU forces a synchronisation; sets supply it.
        """
        return self.present.flatten().nonzero().squeeze(1) if self.bodies is None else self.bodies

    def filled_up(self, multiple: int) -> "SkeletonBatch":
        """The same clips, with the first body present named again until ``bodies`` has one of a few lengths.

        A GPU makes a new plan for every new number of bodies, and a recorded step has one number only. What fills up
        has weight 0: no loss and no gradient changes but by rounding.

        Args:
            multiple: The length is the next multiple of it, or B·M where that is less.
        """
        bodies = self.present_bodies()
        length = min(-(-len(bodies) // multiple) * multiple, self.present.numel())
        spare = length - len(bodies)
        weights = torch.cat((bodies.new_ones(len(bodies)), bodies.new_zeros(spare))).float()
        return replace(self, bodies=torch.cat((bodies, bodies[:1].expand(spare))), weights=weights)

    def with_joints(self, joints: Float32[Tensor, "b m t v c"]) -> "SkeletonBatch":
        """Return the same clips with other joints, all frames valid, as in a resampled view."""
        return replace(self, joints=joints, lengths=torch.full_like(self.lengths, joints.shape[2]))


@dataclass(frozen=True)
class FeatureBatch:
    """Features (B, D) of clips under a frozen encoder, and their labels (B,)."""

    features: Float32[Tensor, "b d"]
    labels: Int64[Tensor, " b"]
    clips: Int64[Tensor, " b"]
