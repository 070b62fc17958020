"""The gallery of ``maskel view clips``: clips of a set that move, to filter and to sort on the page."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.pictures.animation import MOST_BODIES, PAGE_BYTES, SCRIPT, how_seen, moving, of_clips, stage, unmoved
from maskel.pictures.markup import Markup, element, join, page, paragraph


def gallery_page(dataset: SkeletonSet, positions: Int64[np.ndarray, " n"], most: int) -> str:
    """Render the page.

    Args:
        dataset: The set.
        positions: Clips to show.
        most: Largest number of clips on the page; of more some are drawn, of all classes.
    """
    shown = thin_out(dataset, positions, most)
    title = f"{dataset.path.name}: clips"
    left_out = ""
    if len(shown) < len(positions):
        left_out = (
            f" The page shows {len(shown):,} of {len(positions):,} clips, of all classes by turns; the others are left "
            f"out to keep it small."
        )
    about = paragraph(f"{how_seen(upward(dataset), dataset.coordinates)}{left_out}", class_="note")
    return page(title, element("h1", title), about, clips_stage(dataset, shown), scripts=(SCRIPT, "gallery.js"))


def thin_out(dataset: SkeletonSet, positions: Int64[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """Choose at most ``most`` clips: a fixed draw, of all classes by turns; in the order of the set."""
    return positions if len(positions) <= most else np.sort(positions[by_turns(dataset.labels[positions])[:most]])


def position_named(dataset: SkeletonSet, name: str) -> int:
    """Return the position of a clip.

    Raises:
        InputError: If the set has none of that name.
    """
    position = next((at for at, clip in enumerate(dataset.clips) if clip.name == name), None)
    if position is None:
        raise InputError(
            f"{dataset.path} has no clip called {name!r}; its {len(dataset)} clips begin with {dataset.clips[0].name}"
        )
    return position


def by_turns(labels: Sequence[object] | np.ndarray) -> Int64[np.ndarray, " n"]:
    """Order the places of labels by a fixed draw: first one place of every label, then a second of each, and so on."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    turns = np.zeros(len(labels), dtype=np.int64)
    drawn = np.asarray(labels)[shuffled]
    for label in np.unique(drawn):
        places = np.flatnonzero(drawn == label)
        turns[places] = np.arange(len(places))
    return shuffled[np.argsort(turns, kind="stable")]


def clips_stage(dataset: SkeletonSet, positions: Int64[np.ndarray, " n"], room: int = PAGE_BYTES) -> Markup:
    """Draw clips of a set side by side, with class, name and origin; ``gallery.js`` filters and sorts them.

    Args:
        dataset: The set.
        positions: The clips.
        room: Characters that their joints may take.
    """
    figures = []
    for position, clip, size in of_clips(dataset, positions, upward(dataset), room):
        about = {
            "name": dataset.clips[position].name,
            "class": dataset.class_name(position),
            "subject": dataset.clips[position].subject,
        }
        figures.append(moving(clip, _caption(dataset, position), size, **about))
    return join((unmoved(), stage(dataset.layout, *figures, gallery="")))


def _caption(dataset: SkeletonSet, position: int) -> Markup:
    clip, bodies, rate = dataset.clips[position], int(dataset.bodies[position]), dataset.options.get("fps")
    frames = int(dataset.frames[position])
    said = [f"{frames:,} frames" + (f", {frames / float(rate):.1f} s" if rate else "")]
    said += [f"subject {clip.subject}"] if clip.subject else []
    said += [f"{bodies} bodies"] if bodies > 1 else []
    said += [f"{MOST_BODIES} drawn"] if bodies > MOST_BODIES else []
    return join((dataset.class_name(position), element("span", clip.name), element("span", ", ".join(said))))
