"""Skeletons as inline SVG: visible joints filled, masked joints hollow, true and predicted motion or positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from maskel.layouts import Layout
from maskel.pictures.markup import Markup, element, svg, text

_WIDTH, _HEIGHT, _MARGIN, _HEAD = 150.0, 200.0, 14.0, 16.0  # of one panel; _HEAD is the line with its frame
_GAINS = (1, 2, 5, 10, 20, 50, 100)


def shown_frames(window: int, panels: int = 6) -> Int64[np.ndarray, " n"]:
    """Return frames evenly over the window: the middles of ``panels`` equal parts, without repetition."""
    return np.unique(((np.arange(panels) + 0.5) * window / panels).astype(np.int64))


@dataclass(frozen=True)
class FrontView:
    """Front view: x to the right, y up, depth dropped; one scale for all frames, the same for x and y.

    Points are turned by `maskel.datasets.bodies.Up.turn`; NaN where a joint is missing.

    Each panel is centred on the body's width, so that walking does not shrink it; heights stay comparable.

    Args:
        scale: Panel units per unit of the data.
        floor: Lowest y.
        middle: The x in the middle of every panel; None centres each panel on its body.
    """

    scale: float
    floor: float
    middle: float | None = None

    @classmethod
    def of(cls, joints: Float32[np.ndarray, "f v c"]) -> "FrontView":
        """Return the view that fits these frames into a panel."""
        x, y = joints[..., 0], joints[..., 1]
        across = float((np.fmax.reduce(x, axis=1) - np.fmin.reduce(x, axis=1)).max())
        up = float(np.nanmax(y) - np.nanmin(y))
        scale = min((_WIDTH - 2 * _MARGIN) / max(across, 1e-3), (_HEIGHT - _HEAD - 2 * _MARGIN) / max(up, 1e-3))
        return cls(scale, float(np.nanmin(y)))

    def place(self, points: Float[np.ndarray, "n c"], joints: Float32[np.ndarray, "v c"]) -> Float[np.ndarray, "n 2"]:
        """Convert points to the panel of the frame with body ``joints``."""
        middle = (np.nanmin(joints[:, 0]) + np.nanmax(joints[:, 0])) / 2 if self.middle is None else self.middle
        x = _WIDTH / 2 + (points[:, 0] - middle) * self.scale
        y = _HEIGHT - _MARGIN - (points[:, 1] - self.floor) * self.scale
        return np.stack((x, y), 1)


def arrow_gain(motion: Float[np.ndarray, "f r c"], joints: Float32[np.ndarray, "f v c"]) -> int:
    """Return the factor on the length of motion arrows: the longest stays below a third of the body."""
    longest = np.nanmax(np.linalg.norm(motion[..., :2], axis=-1), initial=1e-9)
    limit = (np.nanmax(joints[..., 1]) - np.nanmin(joints[..., 1])) / 3
    return max((gain for gain in _GAINS if gain * longest <= limit), default=1)


def skeleton(
    title: str,
    joints: Float32[np.ndarray, "v c"],
    read: Sequence[int],
    hidden: Bool[np.ndarray, " r"],
    layout: Layout,
    view: FrontView,
    marks: Sequence[Markup] = (),
) -> Markup:
    """Draw one panel: bones, ``marks``, and the joints ``read``: filled if visible, hollow if masked.

    A joint that is NaN is missing: neither it nor its bones are drawn.
    """
    parts = [text(2.0, 11.0, title, "quiet"), *marks]
    if not joints.any():
        parts.append(text(_WIDTH / 2, _HEIGHT / 2, "no body in this frame", "middle quiet"))
        return svg(_WIDTH, _HEIGHT, title, *parts, class_="skeleton")
    points = view.place(joints, joints)
    parts.insert(1, bones(points, layout))
    for point, masked in sorted(
        zip(points[list(read)], hidden, strict=True), key=lambda pair: not pair[1]
    ):  # visible on top
        if np.isnan(point).any():
            continue
        style, radius = ("joint-hidden", 2.1) if masked else ("joint-seen", 3.2)
        parts.append(element("circle", cx=f"{point[0]:.1f}", cy=f"{point[1]:.1f}", r=radius, class_=style))
    return svg(_WIDTH, _HEIGHT, f"skeleton, {title}", *parts, class_="skeleton")


def bones(points: Float[np.ndarray, "v 2"], layout: Layout) -> Markup:
    """Draw the bones of a body with joints at these places of a panel, without bones to NaN joints."""
    edges = [edge for edge in layout.edges if not np.isnan(points[list(edge)]).any()]
    drawn = "".join(f"M{_point(points[parent])}L{_point(points[joint])}" for parent, joint in edges)
    return element("path", d=drawn, class_="bone")


def arrows(starts: Float[np.ndarray, "n 2"], ends: Float[np.ndarray, "n 2"], class_: str) -> Markup:
    """Draw arrows; arrows shorter than one unit, or with an unknown end, are left out."""
    drawn = []
    for start, end in zip(starts, ends, strict=True):
        along = end - start
        length = float(np.hypot(*along))
        if not length >= 1:
            continue
        back = along / length * min(4.0, length / 2)
        side = np.array([-back[1], back[0]]) * 0.5
        drawn.append(
            f"M{_point(start)}L{_point(end)}M{_point(end - back + side)}L{_point(end)}L{_point(end - back - side)}"
        )
    return element("path", d="".join(drawn), class_=class_)


def crosses(starts: Float[np.ndarray, "n 2"], ends: Float[np.ndarray, "n 2"], class_: str) -> Markup:
    """Draw a cross at each known end, with a line from its start."""
    drawn = "".join(
        f"M{_point(start)}L{_point(end)}m-2 -2l4 4m0 -4l-4 4"
        for start, end in zip(starts, ends, strict=True)
        if not np.isnan([start, end]).any()
    )
    return element("path", d=drawn, class_=class_)


def _point(point: Float[np.ndarray, "2"]) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"
