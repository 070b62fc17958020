"""``maskel view``: one picture on a page of its own."""

from pathlib import Path

from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import refuse_unwritable
from maskel.pictures.markup import element, page, write_page
from maskel.pictures.masks import count_hidden, mask_maps
from maskel.training.finished import open_runs
from maskel.training.pretrained import load_method


def masks(
    runs: list[Path], data: Path, clip: str, draws: int = 1000, seed: int = 0, out: Path = Path("masks.html")
) -> Path:
    """Show how often each joint and time of a clip is hidden, for several pre-trained methods side by side.

    Args:
        runs: Run folders of pretrain.
        data: A prepared set of their layout.
        clip: Name of the clip.
        draws: Number of masks to draw with each method, 1 or more.
        seed: Seed of the masks.
        out: The HTML file; an earlier one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If a run is not one of pretrain, the set does not hold the clip, or the file cannot be written.
    """
    if draws < 1:
        raise InputError(f"draws: found {draws}, expected 1 or more")
    refuse_unwritable(out)
    dataset = SkeletonSet.open(data, untrimmed=True)
    position = next((at for at, known in enumerate(dataset.clips) if known.name == clip), None)
    if position is None:
        raise InputError(
            f"{data} has no clip called {clip!r}; its {len(dataset)} clips begin with {dataset.clips[0].name}"
        )
    found = []
    for run in open_runs(runs):
        if not run.pretrains:
            raise InputError(f"{run.folder.path}: expected a run of maskel pretrain, found one of maskel {run.kind}")
        name = f"{run.config['method']} ({run.name})"
        found.append(count_hidden(name, load_method(run.folder), dataset, position, draws, seed))
    about = f"{clip}, class {dataset.class_name(position)}"
    return write_page(
        page(f"maskel view masks: {clip}", element("h1", "How often each token is hidden"), mask_maps(about, found)),
        out,
    )


PICTURES = {"masks": masks}
"""Every picture, by its name on the command line."""
