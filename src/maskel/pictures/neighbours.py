"""The page of ``maskel retrieval``: test clips beside the clips that are most like them."""

from collections.abc import Sequence
from dataclasses import dataclass

from maskel.datasets.bodies import Up, upward
from maskel.datasets.store import SkeletonSet
from maskel.pictures.animation import SCRIPT, how_seen, moving, of_clip, stage, unmoved
from maskel.pictures.markup import Markup, element, missing, page, paragraph

_BYTES = 20_000  # characters of a clip


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
        "Each test clip is followed by the clips most like it, by the cosine of their features. Which test clips are "
        f"shown was drawn by the run's seed. {how_seen(up, dataset.coordinates)}"
    )
    sections = [_query(dataset, query, up) for query in queries]
    none = missing("No clips to draw: --clips is 0.")
    shown = stage(dataset.layout, *sections, class_="figures") if sections else none
    return page(
        f"maskel retrieval: {dataset.path.name}",
        element("h1", "Test clips and their nearest neighbours"),
        paragraph(how, class_="note"),
        unmoved(),
        shown,
        scripts=(SCRIPT,) if sections else (),
    )


def _query(dataset: SkeletonSet, query: Query, up: Up) -> Markup:
    def drawn(position: int, caption: str) -> Markup:
        return moving(of_clip(dataset, position, up), caption, _BYTES, name=dataset.clips[position].name)

    right = [dataset.labels[other] == dataset.labels[query.clip] for other in query.nearest]
    heading = f"{dataset.class_name(query.clip)}: {sum(right)} of {len(right)} right"
    found = zip(query.nearest, query.cosines, right, strict=True)
    shown = [drawn(query.clip, f"test clip {dataset.clips[query.clip].name}")]
    for number, (position, cosine, hit) in enumerate(found, 1):
        caption = f"{number}. {'right' if hit else 'WRONG'}: {dataset.class_name(position)}, cosine {cosine:.3f}"
        shown.append(drawn(position, f"{caption} ({dataset.clips[position].name})"))
    return element("section", element("h2", heading), element("div", *shown, class_="clips"))
