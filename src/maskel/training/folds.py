"""Folders of several folds: what ``--benchmark folds`` leaves."""

import re
from collections.abc import Iterable
from pathlib import Path

from maskel.training.run import CONFIG, RunFolder

FOLDS = "folds"
"""Name of all folds of a set, for ``--benchmark``."""
SEEN = "test_clips_in_pretraining"
"""Entry of ``result.json``: how many test clips the encoder was pre-trained on; null where nothing tells."""
_FOLD = re.compile("fold[-_ ]?([0-9]+)", re.IGNORECASE)


def folds_among(names: Iterable[str]) -> list[str]:
    """Return the names of benchmarks or folders that are one fold, such as ``fold3``, in order of their numbers."""
    numbers = {name: int(found[1]) for name in names if (found := _FOLD.fullmatch(name))}
    return sorted(numbers, key=lambda name: numbers[name])


def fold_folders(path: Path) -> dict[str, Path]:
    """The runs that ``--benchmark folds`` left in a folder, by fold; none for any other folder."""
    if not (path / CONFIG).is_file() or RunFolder(path).read_config().get("benchmark") != FOLDS:
        return {}
    names = folds_among(child.name for child in path.iterdir() if (child / CONFIG).is_file())
    return {name: path / name for name in names}
