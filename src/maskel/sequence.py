"""The two central types: one clip as it comes from a recording, and a batch of clips on a device."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from maskel.layouts import Layout

SCORE = "score"
"""The channel that says how sure a detector was of a joint, mostly in [0, 1]; always the last."""
Channels = tuple[str, ...]
"""What the C numbers of a joint are: two or three coordinates and, maybe, the score."""
XYZ: Channels = ("x", "y", "z")
CHANNELS: tuple[Channels, ...] = (XYZ, ("x", "y"), (*XYZ, SCORE), ("x", "y", SCORE))
"""Every combination of channels that a prepared set can have."""

UNLABELLED = -1
"""Label of a clip whose class is not known; it is of no class."""

SingleBody = Literal["zero", "copy"]
"""What stands in the second slot of a clip with one body: zeros, or a copy (NTU-120 as published)."""


def num_coordinates(channels: Channels) -> int:
    """Number of coordinates of a joint: the channels without the score."""
    return len(channels) - (SCORE in channels)


@dataclass(frozen=True)
class Clip:
    """What is known of a clip besides its joints.

    Args:
        name: Unique within a set, for example ``S001C001P001R001A001``.
        label: Class, from 0; `UNLABELLED` where it is not known.
        subject: Performer, as the data set writes it; empty where unknown, like the four that follow.
        camera: Camera or view.
        setup: Camera setup.
        replication: Which repetition of the action.
        recording: The longer recording that the clip was cut from; empty where the clip is all of its recording.
        first_frame: Frame of the recording, from 0, that is the clip's frame 0; 0 without a recording.
        end_frame: Frame of the recording at which the action ends, not included. The clip's own frames may stop
            before it, where the source shortens long actions. 0 without a recording.
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
class SkeletonSequence:
    """One clip: joints (M, T, V, C), absent bodies and frames all zero.

    Args:
        clip: Name, label and origin.
        joints: float32, (M, T, V, C) with M, T >= 1; coordinates in metres, or in the unit that the source states.
        layout: Its joint layout; V must agree.
        counts: What was dropped, filled in or guessed to make it, such as ``missing joints``: phrase and number.

    Raises:
        ValueError: If the shape does not fit the layout, or a value is not finite; the message names the clip.
    """

    clip: Clip
    joints: Float32[np.ndarray, "m t v c"]
    layout: Layout
    counts: Mapping[str, int] = field(default_factory=dict)

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
    """The tensor on ``device``; to a GPU by way of pinned memory, so that the CPU need not wait for the copy.

    From a GPU the copy is waited for: nothing would tell when its values are there.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


@dataclass(frozen=True)
class SkeletonBatch:
    """B clips of at most T frames and M bodies.

    Args:
        joints: (B, M, T, V, C) float32; zero where a body or frame is absent.
        lengths: (B,) frames [0, length) of each clip are valid.
        present: (B, M) True for bodies that were recorded; False for absent ones and for copies of the only body.
        labels: (B,) class from 0; `UNLABELLED` where it is not known.
        clips: (B,) position of each clip in its prepared set; random draws and messages refer to it.
        channels: What the C numbers of a joint are.
        bodies: (R,) places among all B·M of the bodies present, where they are known; see `present_bodies`.
        weights: (R,) weight in a loss of each of ``bodies``: 1, or 0 for one that only fills up, see `filled_up`; None
            where all are there once.
    """

    joints: Float32[Tensor, "b m t v c"]
    lengths: Int64[Tensor, " b"]
    present: Bool[Tensor, "b m"]
    labels: Int64[Tensor, " b"]
    clips: Int64[Tensor, " b"]
    channels: Channels = XYZ
    bodies: Int64[Tensor, " r"] | None = None
    weights: Float32[Tensor, " r"] | None = None

    def __len__(self) -> int:
        """Number of clips B."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> "SkeletonBatch":
        """The same batch with every tensor on ``device``."""
        to = torch.device(device)
        return SkeletonBatch(
            move(self.joints, to),
            move(self.lengths, to),
            move(self.present, to),
            move(self.labels, to),
            move(self.clips, to),
            self.channels,
            None if self.bodies is None else move(self.bodies, to),
            None if self.weights is None else move(self.weights, to),
        )

    def present_bodies(self) -> Int64[Tensor, " r"]:
        """Places among all B·M of the bodies present; to find them on a GPU is to wait for it, so sets give them."""
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
        """The same clips with other joints, every frame of them valid (what a resampled view is)."""
        return replace(self, joints=joints, lengths=torch.full_like(self.lengths, joints.shape[2]))


@dataclass(frozen=True)
class FeatureBatch:
    """Features (B, D) of clips under a frozen encoder, and their labels (B,)."""

    features: Float32[Tensor, "b d"]
    labels: Int64[Tensor, " b"]
    clips: Int64[Tensor, " b"]
