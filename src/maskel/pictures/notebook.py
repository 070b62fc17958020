"""Clips, sets and runs as notebooks show them: one piece of HTML, without a script and without a style sheet.

Notebooks drop scripts and styles of output that they do not trust. So clips move by SVG's own animation, and all lines
and letters have the notebook's colour.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from maskel.datasets.bodies import upward, upward_of
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.pictures.animation import of_clip
from maskel.pictures.markup import Markup, element, join
from maskel.sequence import SkeletonSequence
from maskel.training.finished import lines
from maskel.training.run import METRICS, RunFolder

_WIDTH, _HEIGHT, _MARGIN = 150, 180, 8
_FRAMES = 32
"""Frames of an animation: the text of a body stays below 20 kB."""
_RATE = 12.0
"""Frames a second of an animation whose clip has more frames than `_FRAMES`."""
_BODIES = 4
_EXAMPLES = 4
"""Clips that stand for a set, each of another class."""


def html_of(shown: object) -> str:
    """Return the HTML of a clip, a set or a run.

    Args:
        shown: A `SkeletonSequence`, a `SkeletonSet` or a `RunFolder`.
    """
    if isinstance(shown, SkeletonSequence):
        bodies, frames, joints, channels = shown.joints.shape
        size = f"{bodies} {'body' if bodies == 1 else 'bodies'}, {frames} frames, {joints} joints, {channels} channels"
        points = shown.joints[..., : min(channels, 3)]
        up = upward_of(points[points.any(axis=(2, 3))], shown.layout)
        seen = np.where(points.any(axis=(2, 3), keepdims=True), up.turn(points), np.float32(np.nan))
        return _moving(seen, shown.layout, f"{shown.clip.name}: {size}; {up} up")
    if isinstance(shown, SkeletonSet):
        return _of_set(shown)
    if isinstance(shown, RunFolder):
        return _of_run(shown)
    raise TypeError(f"found {type(shown).__name__}, expected a clip, a set or a run")


def _of_set(dataset: SkeletonSet) -> Markup:
    joints = f"{dataset.layout.name}: {', '.join(dataset.channels)}"
    people = len({clip.subject for clip in dataset.clips if clip.subject})
    heading = f"{len(dataset)} clips, {len(dataset.classes)} classes, {people or 'no known'} people; {joints}"
    rows = [
        (name, str(len(split.train)), str(len(split.test)), str(len(split.unlabelled)))
        for name, split in dataset.benchmarks.items()
    ]
    labels, first = np.unique(dataset.labels, return_index=True)
    chosen = [int(position) for label, position in zip(labels, first, strict=True) if label >= 0][:_EXAMPLES]
    up = upward(dataset)
    drawn = []
    for position in chosen:
        caption = f"{dataset.class_name(position)} ({dataset.clips[position].name}); {up} up"
        drawn.append(_moving(of_clip(dataset, position, up).joints, dataset.layout, caption))
    return element(
        "div",
        element("div", element("b", dataset.path.name), f": {heading}"),
        _table(("benchmark", "training clips", "test clips", "unlabelled"), rows),
        element("div", *drawn, style="display: flex; flex-wrap: wrap"),
    )


def _of_run(run: RunFolder) -> Markup:
    heading = element("div", element("b", run.path.name), f": maskel {run.command}" if run.command else "")
    try:
        said = lines(run)[:-1] if run.finished else ["not finished"]
        rows = run.metrics if (run.path / METRICS).is_file() else []
    except InputError as fault:
        return element("div", heading, element("div", fault))
    curves = [
        _curve(name.replace("_", " "), [row[name] for row in rows])
        for name in ("loss", "accuracy")
        if rows and all(name in row for row in rows)
    ]
    lines_said = (element("div", line) for line in said)
    return element("div", heading, *lines_said, element("div", *curves, style="display: flex; flex-wrap: wrap"))


def _curve(name: str, values: Sequence[float]) -> Markup:
    """Return a line over the epochs, with its first and last value."""
    low, high = min(values), max(values)
    across = np.linspace(_MARGIN, 2 * _WIDTH - _MARGIN, len(values))
    up = (np.array(values) - low) / (high - low or 1)
    places = " ".join(f"{x:.0f},{60 - 50 * y:.1f}" for x, y in zip(across, up, strict=True))
    line = element("polyline", points=places, fill="none", stroke="currentColor", stroke_width="1.5")
    caption = f"{name}: {values[0]:.4g} to {values[-1]:.4g} in {len(values)} epochs"
    return _captioned(2 * _WIDTH, 70, line, caption)


def _moving(joints: Float[np.ndarray, "m t v c"], layout: Layout, caption: str) -> Markup:
    """Return the first bodies of a clip, turned as pictures draw them, as a picture that moves."""
    frames = np.unique(np.linspace(0, joints.shape[1] - 1, _FRAMES).round().astype(np.int64))
    places = _placed(joints[:_BODIES, frames, :, :2])
    seconds = f"{len(frames) / _RATE:.2f}s"
    parts = []
    for number, body in enumerate(places):
        drawn = [_bones(points, layout) for points in body]
        way = {"attributeName": "d", "calcMode": "discrete", "repeatCount": "indefinite"}
        moves = element("animate", values=";".join(drawn), dur=seconds, **way)
        opacity = "1" if number == 0 else "0.5"
        still = next((path for path in drawn if path != "M0 0"), "M0 0")
        parts.append(
            element("path", moves, d=still, fill="none", stroke="currentColor", stroke_width="2", opacity=opacity)
        )
    return _captioned(_WIDTH, _HEIGHT, join(parts), caption)


def _placed(points: Float[np.ndarray, "m t v 2"]) -> Float[np.ndarray, "m t v 2"]:
    """Scale the points of all bodies and frames into the picture, y downwards."""
    known = points[np.isfinite(points).all(-1)]
    if not len(known):
        return points
    low, size = known.min(0), np.ptp(known, axis=0)
    scale = min((_WIDTH - 2 * _MARGIN) / max(size[0], 1e-6), (_HEIGHT - 2 * _MARGIN) / max(size[1], 1e-6))
    x = _WIDTH / 2 + (points[..., 0] - low[0] - size[0] / 2) * scale
    y = _HEIGHT - _MARGIN - (points[..., 1] - low[1]) * scale
    return np.stack((x, y), -1)


def _bones(points: Float[np.ndarray, "v 2"], layout: Layout) -> str:
    """Return the path of the bones whose joints are known; a point outside of everything where there is none."""
    ends = ([points[parent], points[joint]] for parent, joint in layout.edges)
    known = (end for end in ends if np.isfinite(end).all())
    return "".join(f"M{a[0]:.0f} {a[1]:.0f}L{b[0]:.0f} {b[1]:.0f}" for a, b in known) or "M0 0"


def _captioned(width: int, height: int, content: Markup, caption: str) -> Markup:
    box = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    picture = element("svg", content, role="img", aria_label=caption, **box)
    return element(
        "figure",
        picture,
        element("figcaption", caption, style=f"max-width: {width}px; overflow-wrap: anywhere; font-size: 85%"),
        style="margin: 0 1em 1em 0",
    )


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    head = element("tr", *(element("th", cell) for cell in heading))
    return element("table", head, *(element("tr", *(element("td", cell) for cell in row)) for row in rows))
