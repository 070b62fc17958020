"""The page of ``maskel retrieval``: test clips beside the clips that are most like them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskel.datasets.bodies import Up, upward, without_missing
from maskel.datasets.store import SkeletonSet
from maskel.pictures.markup import Markup, element, page, paragraph
from maskel.pictures.skeletons import FrontView, shown_frames, skeleton

_PANELS = 3  # of each clip: early, in the middle, late


@dataclass(frozen=True)
class Query:
    """A test clip and what was found for it.

    Args:
        clip: Its position in the set.
        nearest: Positions of the clips found, the nearest first.
        cosines: Their cosines to it.
    """

    clip: int
    nearest: tuple[int, ...]
    cosines: tuple[float, ...]


def neighbours_page(dataset: SkeletonSet, queries: Sequence[Query]) -> str:
    """The page.

    Args:
        dataset: The set.
        queries: In the order in which they are shown.
    """
    up = upward(dataset)
    how = (
        f"Each test clip is followed by the clips most like it, by the cosine of their features. Three moments of each "
        f"clip's first body, seen from the front: {up.across} to the right and {up} up ({up.why}). Which test clips "
        f"are shown was drawn by the run's seed."
    )
    shown = [_query(dataset, query, up) for query in queries] or [
        paragraph("No clips to draw: --clips is 0.", class_="missing")
    ]
    return page(
        f"maskel retrieval: {dataset.path.name}",
        element("h1", "Test clips and their nearest neighbours"),
        paragraph(how, class_="note"),
        *shown,
    )


def _query(dataset: SkeletonSet, query: Query, up: Up) -> Markup:
    right = [dataset.labels[other] == dataset.labels[query.clip] for other in query.nearest]
    heading = f"{dataset.class_name(query.clip)}: {sum(right)} of {len(right)} right"
    found = zip(query.nearest, query.cosines, right, strict=True)
    drawn = []
    for number, (position, cosine, hit) in enumerate(found, 1):
        caption = f"{number}. {'right' if hit else 'WRONG'}: {dataset.class_name(position)}, cosine {cosine:.3f}"
        drawn.append(_drawn(dataset, position, f"{caption} ({dataset.clips[position].name})", up))
    query_drawing = _drawn(dataset, query.clip, f"test clip {dataset.clips[query.clip].name}", up)
    return element("section", element("h2", heading), query_drawing, element("div", *drawn, class_="charts"))


def _drawn(dataset: SkeletonSet, position: int, caption: str, up: Up) -> Markup:
    """A few moments of a clip's first body that has frames, on one scale."""
    joints = dataset.sequence(position).joints[..., : dataset.coordinates]
    body = up.turn(without_missing(joints, dataset))[int(joints.any(axis=(1, 2, 3)).argmax())]  # (T, V, C)
    there = np.flatnonzero(body.any(axis=(1, 2)))
    frames = there[shown_frames(len(there), _PANELS)]
    view, every = FrontView.of(body[frames]), range(len(dataset.layout))
    hidden = np.zeros(len(dataset.layout), dtype=bool)
    panels = [skeleton(f"frame {frame}", body[frame], every, hidden, dataset.layout, view) for frame in frames.tolist()]
    return element("figure", element("div", *panels, class_="panels"), element("figcaption", caption))
