"""Skeletons that move: joints thinned and packed into attributes of the page; ``animation.js`` draws and plays them."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from maskel.datasets.bodies import Up, without_missing
from maskel.datasets.store import SkeletonSet
from maskel.layouts import Layout
from maskel.pictures.markup import Markup, element, missing

PAGE_BYTES = 4_200_000
"""Room for the joints of all clips of a page, so that it stays below 5 MB with everything else."""
CLIP_BYTES = 60_000
"""Room for the joints of a clip where a page shows a few."""
MOST_BODIES = 6
"""Bodies of a clip that are drawn."""
SCRIPT = "animation.js"
BODY, TRUE, PREDICTED = "body", "true", "predicted"
"""Layers: a body with bones; or ends of lines that start at the joints of the first body."""


@dataclass(frozen=True)
class Moving:
    """A clip that moves.

    Args:
        joints: (L, T, V, C) of each layer, as `Up.turn` gives them: right, up, depth. NaN where a joint is missing, and
            nothing but NaN where nobody is there.
        layout: Joints and bones.
        rate: Frames a second at which it is played.
        seconds: Whether that is the recording's rate, so that seconds are shown.
        layers: What each layer is; by default all are bodies.
        hidden: (T, V) joints of the first body that are drawn hollow.
        weights: (T, V) in [0, 1], the weight of each joint of the first body.
        first: Number of the first frame, as it is shown.
    """

    joints: Float[np.ndarray, "l t v c"]
    layout: Layout
    rate: float = 30.0
    seconds: bool = False
    layers: tuple[str, ...] = ()
    hidden: Bool[np.ndarray, "t v"] | None = None
    weights: Float[np.ndarray, "t v"] | None = None
    first: int = 0

    def size(self, frames: int, width: int) -> int:
        """Return the characters that a number of frames take, with values of ``width`` bytes."""
        layers, _, joints, axes = self.joints.shape
        more = joints * (self.hidden is not None) + joints * (self.weights is not None)
        return -(-4 * frames * (layers * joints * axes * width + more) // 3)


def of_clip(dataset: SkeletonSet, position: int, up: Up) -> Moving:
    """Return a clip of a set as it is drawn: its first bodies, at the set's frame rate, or else at 30 frames a second.

    Args:
        dataset: The set.
        position: Position of the clip.
        up: Upward direction of the set.
    """
    joints = dataset.sequence(position).joints[:MOST_BODIES, ..., : dataset.coordinates]
    rate = dataset.options.get("fps")
    return Moving(as_drawn(joints, dataset, up), dataset.layout, float(rate or 30.0), bool(rate))


def as_drawn(joints: Float[np.ndarray, "m t v c"], dataset: SkeletonSet, up: Up) -> Float[np.ndarray, "m t v c"]:
    """Turn joints of a set as pictures draw them, NaN where a joint or a body is missing."""
    turned = up.turn(without_missing(joints.astype(np.float32), dataset))
    return np.where(joints.any(axis=(2, 3), keepdims=True), turned, np.float32(np.nan))


def share_out(clips: Sequence[Moving], room: int = PAGE_BYTES) -> list[int]:
    """Return the room of each clip: what it needs, but none more than those that have to be thinned.

    Examples:
        >>> from maskel.layouts import COCO17
        >>> clips = [Moving(np.zeros((1, frames, 17, 2)), COCO17) for frames in (10, 1000)]
        >>> share_out(clips, room=10_000)
        [907, 9093]
    """
    needs = np.array([clip.size(clip.joints.shape[1], 2) for clip in clips], dtype=np.int64)
    level, left, rest = 0, room, len(clips)
    for need in np.sort(needs).tolist():
        level = left // rest
        if need > level:
            break
        left, rest, level = left - need, rest - 1, need
    return np.minimum(needs, level).tolist()


def of_clips(
    dataset: SkeletonSet, positions: Int64[np.ndarray, " n"], up: Up, room: int = PAGE_BYTES
) -> Iterator[tuple[int, Moving, int]]:
    """Return clips of a set as `of_clip` does, each with its position and, of all that there is, its own room."""
    clips = [of_clip(dataset, position, up) for position in positions.tolist()]
    return zip(positions.tolist(), clips, share_out(clips, room), strict=True)


def moving(clip: Moving, caption: object, room: int = CLIP_BYTES, **about: object) -> Markup:
    """Return the figure of a clip; it moves on a page with `SCRIPT`, inside of a `stage`.

    All frames are kept, in steps of a 65,534th of the clip's extent, if they fit; else steps are 254ths, and frames
    are left out evenly; between two that are left the script interpolates.

    Args:
        clip: The clip.
        caption: Below it.
        room: Characters that its joints may take.
        about: Further data attributes; None for none.

    Examples:
        >>> from maskel.layouts import COCO17
        >>> print(moving(Moving(np.zeros((1, 2, 17, 2)), COCO17), "a & b")[-43:])
        <figcaption>a &amp; b</figcaption></figure>
    """
    frames = clip.joints.shape[1]
    width, kept = 2, np.arange(frames)
    if clip.size(frames, 2) > room:
        width = 1
        fit = min(frames, max(2, room // max(clip.size(3, 1) // 3, 1)))
        kept = np.round(np.linspace(0, frames - 1, fit)).astype(np.int64)
    packed, low, size, step = _pack(clip.joints[:, kept], width)
    data = _data(
        joints=_text(packed),
        width=width,
        shape=" ".join(map(str, packed.shape)),
        low=" ".join(f"{value:.6g}" for value in low),
        size=" ".join(f"{value:.6g}" for value in size),
        step=f"{step:.6g}",
        frames=frames,
        first=clip.first,
        rate=f"{clip.rate:g}",
        seconds="" if clip.seconds else None,
        layers=" ".join(clip.layers) or None,
        hidden=None if clip.hidden is None else _text(clip.hidden[kept].astype(np.uint8)),
        weights=None if clip.weights is None else _text(np.round(255 * clip.weights[kept].clip(0, 1)).astype(np.uint8)),
        **about,
    )
    return element("figure", element("figcaption", caption), class_="moving", **data)


def stage(layout: Layout, *figures: Markup, class_: str = "clips", **about: object) -> Markup:
    """Return clips of one layout with a bar above them that plays all, sets the speed and turns them.

    Args:
        layout: Bones of all of them.
        figures: The clips, and what stands between.
        class_: How they are arranged.
        about: Further data attributes.
    """
    bones = " ".join(f"{parent}-{joint}" for parent, joint in layout.edges)
    return element("div", element("div", *figures, class_=class_), class_="stage", **_data(bones=bones, **about))


def _data(**values: object) -> dict[str, object]:
    """Return data attributes of an element."""
    return {f"data_{name}": value for name, value in values.items() if value is not None}


def unmoved() -> Markup:
    """Return the sentence that stands for moving clips where no script runs."""
    return element("noscript", missing("The clips need a browser that runs scripts of the page."))


def how_seen(up: Up, coordinates: int) -> str:
    """Describe the directions of moving clips."""
    side = "; from the side: depth to the right" if coordinates == 3 else ""
    return f"From the front: {up.across} to the right, {up} up ({up.why}){side}."


def _pack(
    joints: Float[np.ndarray, "l t v c"], width: int
) -> tuple[np.ndarray, Float[np.ndarray, " c"], Float[np.ndarray, " c"], float]:
    """Return whole numbers, the highest of which stands for a missing joint; lowest coordinates, extents, and step."""
    most = 256**width - 2
    known = np.isfinite(joints).all(-1)
    points = joints[known].astype(np.float64)
    if not len(points):
        points = np.zeros((1, joints.shape[-1]))
    low, size = points.min(0), np.ptp(points, axis=0)
    step = max(float(size.max()), 1e-9) / most
    with np.errstate(invalid="ignore"):
        whole = np.where(known[..., None], np.round((joints - low) / step), most + 1)
    return whole.astype(f"<u{width}"), low, size, step


def _text(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()
