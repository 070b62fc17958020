"""The gallery of ``maskel view clips``: clips of a set that move, to filter and to sort on the page."""

import numpy as np
from jaxtyping import Int64

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.pictures.animation import (
    MOST_BODIES,
    PAGE_BYTES,
    SCRIPT,
    how_seen,
    moving,
    of_clip,
    share_out,
    stage,
    unmoved,
)
from maskel.pictures.markup import Markup, element, join, page, paragraph


def gallery_page(data: SkeletonSet, positions: Int64[np.ndarray, " n"], most: int) -> str:
    """Render the page.

    Args:
        data: The set.
        positions: Clips to show.
        most: Largest number of clips on the page; of more some are drawn, of all classes.
    """
    shown = thin_out(data, positions, most)
    title = f"{data.path.name}: clips"
    left_out = ""
    if len(shown) < len(positions):
        left_out = (
            f" The page shows {len(shown):,} of {len(positions):,} clips, of all classes by turns; the others are left "
            f"out to keep it small."
        )
    about = paragraph(f"{how_seen(upward(data), data.coordinates)}{left_out}", class_="note")
    return page(title, element("h1", title), about, clips_stage(data, shown), scripts=(SCRIPT, "gallery.js"))


def thin_out(data: SkeletonSet, positions: Int64[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """Choose at most ``most`` clips: a fixed draw, of all classes by turns; in the order of the set."""
    if len(positions) <= most:
        return positions
    shuffled = np.random.default_rng(0).permutation(positions)
    labels = data.labels[shuffled]
    turns = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        turns[of_class] = np.arange(len(of_class))
    return np.sort(shuffled[np.argsort(turns, kind="stable")][:most])


def clips_stage(data: SkeletonSet, positions: Int64[np.ndarray, " n"], room: int = PAGE_BYTES) -> Markup:
    """Draw clips of a set side by side, with class, name and origin; ``gallery.js`` filters and sorts them.

    Args:
        data: The set.
        positions: The clips.
        room: Characters that their joints may take.
    """
    up = upward(data)
    clips = [of_clip(data, position, up) for position in positions.tolist()]
    figures = []
    for position, clip, size in zip(positions.tolist(), clips, share_out(clips, room), strict=True):
        about = {
            "name": data.clips[position].name,
            "class": data.class_name(position),
            "subject": data.clips[position].subject,
        }
        figures.append(moving(clip, _caption(data, position), size, **about))
    return join((unmoved(), stage(data.layout, *figures, gallery="")))


def _caption(data: SkeletonSet, position: int) -> Markup:
    clip, bodies, rate = data.clips[position], int(data.bodies[position]), data.options.get("fps")
    frames = int(data.frames[position])
    said = [f"{frames:,} frames" + (f", {frames / float(rate):.1f} s" if rate else "")]
    said += [f"subject {clip.subject}"] if clip.subject else []
    said += [f"{bodies} bodies"] if bodies > 1 else []
    said += [f"{MOST_BODIES} drawn"] if bodies > MOST_BODIES else []
    return join((data.class_name(position), element("span", clip.name), element("span", ", ".join(said))))
