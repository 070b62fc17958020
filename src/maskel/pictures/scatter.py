"""The page of ``maskel view features``: clips as points on a plane, each with its skeleton."""

from collections import Counter
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int64

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.pictures.animation import SCRIPT, how_seen, moving, of_clips, stage, unmoved
from maskel.pictures.markup import Markup, element, join, page, paragraph, svg

Projection = Literal["pca", "umap"]
_SIZE, _MARGIN = 600.0, 14.0


def project(
    features: Float[np.ndarray, "n f"], how: Projection, seed: int = 0
) -> tuple[Float64[np.ndarray, "n 2"], str]:
    """Project features to a plane, and say how.

    Principal components are exact and linear; the component's largest weight is positive. UMAP keeps neighbourhoods,
    but no distances.

    Args:
        features: One row for each clip, two clips or more.
        how: ``pca`` or ``umap``.
        seed: Of UMAP.

    Raises:
        InputError: If there are too few clips, or UMAP is not installed.

    Examples:
        >>> points, about = project(np.array([[0.0, 0, 1], [2, 0, 1], [4, 0, 1]]), "pca")
        >>> points.tolist(), about
        ([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]], 'two principal components, 100 % and 0 % of the variance')
    """
    if len(features) < 2:
        raise InputError(f"found {len(features)} clip, expected 2 or more for a projection")
    rows = features.astype(np.float64)
    if how == "umap":
        try:
            from umap import UMAP
        except ImportError as fault:
            raise InputError('projection umap needs umap-learn; install it with pip install "maskel[umap]"') from fault
        if len(rows) < 5:
            raise InputError(f"found {len(rows)} clips, expected 5 or more for UMAP; take --projection pca")
        neighbours = min(15, len(rows) - 1)
        placed = UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1).fit_transform(rows)
        return np.asarray(placed, dtype=np.float64), f"UMAP, {neighbours} neighbours by cosine, seed {seed}"
    rows -= rows.mean(0)
    _, spread, components = np.linalg.svd(rows, full_matrices=False)
    components = components[:2]
    components *= np.sign(np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1))
    shares = spread**2 / max(float((spread**2).sum()), 1e-300)
    points = np.zeros((len(rows), 2))
    points[:, : len(components)] = rows @ components.T
    first, second = (float(share) for share in [*shares, 0.0][:2])
    return points + 0.0, f"two principal components, {first:.0%} and {second:.0%} of the variance".replace("%", " %")


def scatter_page(
    dataset: SkeletonSet, positions: Int64[np.ndarray, " n"], points: Float64[np.ndarray, "n 2"], about: str, total: int
) -> str:
    """Render the page.

    Args:
        dataset: The set.
        positions: Clips to show.
        points: Where each is.
        about: What the plane is.
        total: Clips that it was computed from.
    """
    up = upward(dataset)
    figures = []
    for position, clip, room in of_clips(dataset, positions, up):
        name = dataset.clips[position].name
        said = join((dataset.class_name(position), element("span", name)))
        figures.append(Markup(moving(clip, said, room, name=name).replace("<figure ", "<figure hidden ", 1)))
    labels = dataset.labels[positions]
    title = f"{dataset.path.name}: features"
    left_out = f" {len(positions):,} of them are shown, of all classes by turns." if len(positions) < total else ""
    note = (
        f"Features of {total:,} clips on {about}.{left_out} Point at a clip to see it move, or choose the picture and "
        f"go from clip to clip by the arrow keys; a class in the legend shows its clips alone. "
        f"{how_seen(up, dataset.coordinates)}"
    )
    return page(
        title,
        element("h1", title),
        paragraph(note, class_="note"),
        unmoved(),
        stage(
            dataset.layout,
            element("div", element("p", "No clip is chosen.", class_="note hint"), *figures, class_="chosen"),
            element("div", _plane(dataset, points, labels, about), _legend(dataset, labels), class_="plane"),
            class_="clips beside",
            scatter="",
        ),
        scripts=(SCRIPT, "scatter.js"),
    )


def _plane(
    dataset: SkeletonSet, points: Float64[np.ndarray, "n 2"], labels: Int64[np.ndarray, " n"], about: str
) -> Markup:
    low, size = points.min(0), np.maximum(np.ptp(points, axis=0), 1e-12)
    places = _MARGIN + (points - low) / size * (_SIZE - 2 * _MARGIN)
    circles = [
        element(
            "circle",
            cx=f"{x:.1f}",
            cy=f"{_SIZE - y:.1f}",
            r=4.5,
            fill=_colour(label, len(dataset.classes)),
            data_label=label,
        )
        for (x, y), label in zip(places.tolist(), labels.tolist(), strict=True)
    ]
    frame = element("rect", width=_SIZE, height=_SIZE, class_="frame", rx=8)
    return svg(_SIZE, _SIZE, f"clips as points: {about}", frame, *circles, class_="scatter")


def _legend(dataset: SkeletonSet, labels: Int64[np.ndarray, " n"]) -> Markup:
    chips = []
    for label, count in sorted(Counter(labels.tolist()).items()):
        name = dataset.classes[label] if label >= 0 else "no label"
        dot = element(
            "svg", element("circle", cx=6, cy=6, r=5, fill=_colour(label, len(dataset.classes))), viewBox="0 0 12 12"
        )
        chips.append(element("button", dot, f" {name} ", element("span", count, class_="quiet"), type="button",
                             aria_pressed="false", data_label=label))  # fmt: skip
    return element("div", *chips, class_="legend")


def _colour(label: int, classes: int) -> str:
    """Return the colour of a class, as far from the others as possible; grey without a label."""
    if label < 0:
        return "hsl(0 0% 55%)"
    return f"hsl({360 * label / max(classes, 1):.0f} 65% {(48, 58, 40)[label % 3]}%)"
