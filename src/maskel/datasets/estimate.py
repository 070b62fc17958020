"""Size of a set before it is written, judged by a few of its files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from maskel.datasets.base import RawFile
from maskel.datasets.reading import Reading, Reads, read_one
from maskel.datasets.store_writer import JOINTS_DTYPE
from maskel.errors import BadFileError
from maskel.files import free_disk, require_disk

SAMPLES = 5
"""Most files that are read to judge by; of few files, fewer."""
AMPLE = 50
"""Bytes that are free for each byte of the raw files: then nothing has to be judged."""
DOUBT = 0.8
"""Share of the judged size that is plainly needed."""


def require_room(
    source: Reads,
    files: Sequence[RawFile],
    sizes: Sequence[float],
    out: Path,
    at_hand: float,
    kept: Callable[[Reading], Reading],
    joints: int,
) -> None:
    """Refuse a set for which the disk plainly has no room, before its files are read.

    Args:
        source: The data set.
        files: Its raw files.
        sizes: Bytes of each.
        out: The set.
        at_hand: Bytes of it that an interrupted preparation left.
        kept: Takes the clips of a file that go into the set.
        joints: Joints of the set's layout.

    Raises:
        CutOffError: If less is free than the set takes, as far as a few files tell.
    """
    if not files or free_disk(out) + at_hand >= AMPLE * sum(sizes):
        return
    number = min(SAMPLES, -(-len(files) // 20))
    # files inside of one are read front to back
    places = range(number) if files[0].member else np.linspace(0, len(files) - 1, number).astype(int).tolist()
    written = read = 0.0
    for place in places:
        reading = kept(read_one(source, files[place]))
        if isinstance(reading, BadFileError):
            continue
        read += sizes[place]
        for sequence in reading:
            each = joints * sequence.joints.shape[3] * JOINTS_DTYPE.itemsize
            written += int(sequence.joints.any((2, 3)).sum()) * each
    if read:
        what = f"the prepared set {out}, judged by {number} of {len(files):,} files,"
        require_disk(out, DOUBT * written * sum(sizes) / read, what, at_hand)
