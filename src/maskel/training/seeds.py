"""Folders of several seeds: what `--seeds` leaves."""

from pathlib import Path

from maskel.training.run import CONFIG


def seed_folders(path: Path) -> dict[int, Path]:
    """The runs that ``--seeds`` left in a folder, by seed; none for any other folder."""
    found = {child.name.removeprefix("seed-"): child for child in path.glob("seed-*") if (child / CONFIG).is_file()}
    return {int(seed): found[seed] for seed in sorted(filter(str.isdigit, found), key=int)}


def of_all_seeds(path: Path) -> Path:
    """The folder of several seeds that a run of one of them is in; any other path as it is."""
    return path.parent if path.name.removeprefix("seed-").isdigit() and path.name.startswith("seed-") else path
