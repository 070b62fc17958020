"""Folders of several seeds: what `--seeds` leaves."""

from pathlib import Path

from maskel.training.run import CONFIG


def seed_folders(path: Path) -> dict[int, Path]:
    """The runs that ``--seeds`` left in a folder, by seed; none for any other folder."""
    found = {child.name.removeprefix("seed-"): child for child in path.glob("seed-*") if (child / CONFIG).is_file()}
    return {int(seed): found[seed] for seed in sorted(filter(str.isdigit, found), key=int)}
