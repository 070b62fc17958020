"""Generation of the whole set: every file is a function of the seed and of its own name."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.datasets.synthetic.actions import CLASSES, PAIR, SOLO
from maskel.datasets.synthetic.body import draw_performer, rotations
from maskel.datasets.synthetic.motion import Motion
from maskel.datasets.synthetic.recording import SETUPS, SHORTEST_CLIP, film, record
from maskel.datasets.synthetic.writing import write_skeleton_file
from maskel.errors import InputError
from maskel.files import as_output, locked

MOST = 999
"""Largest number of performers, replications or cameras: file names have three digits for each."""
FACING = 0.6
"""Standard deviation of the direction a performer faces, radians from the middle camera (pairs: from its side)."""

# Purposes of the streams of draws: the first number of their keys.
_PERFORMER, _PARTNER, _PERFORMANCE, _RECORDING = range(4)


@dataclass(frozen=True)
class Performance:
    """One performer doing one action once; numbers from 1, as in file names."""

    seed: int
    action: int
    performer: int
    replication: int
    frames: tuple[int, int]

    @property
    def setup(self) -> int:
        """Number of the camera setup: neighbouring odd and even performers share it, replications move on."""
        return 1 + ((self.performer - 1) // 2 + self.replication - 1) % len(SETUPS)

    def name(self, camera: int) -> str:
        """Return the name of the recording by ``camera``, without suffix."""
        where = f"S{self.setup:03d}C{camera:03d}"
        return f"{where}P{self.performer:03d}R{self.replication:03d}A{self.action:03d}"

    def rng(self, *key: int) -> np.random.Generator:
        """Return the generator of the stream ``key``."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def bodies(self) -> Float64[np.ndarray, "m t v 3"]:
        """Return the performance in metres: y = 0 on the floor, about the origin, roughly facing z."""
        rng = self.rng(_PERFORMANCE, self.action, self.performer, self.replication)
        frames = int(rng.integers(self.frames[0], self.frames[1] + 1))
        action = CLASSES[self.action - 1]
        first = Motion(draw_performer(self.rng(_PERFORMER, self.performer)), frames, rng)
        if action in SOLO:
            SOLO[action](first)
            bodies, facing = first.joints()[None], rng.normal(0.0, FACING)
        else:
            second = Motion(draw_performer(self.rng(_PARTNER, self.performer)), frames, rng)
            PAIR[action](first, second)
            apart = np.array([0.0, 0.0, rng.uniform(0.4, 0.55)])
            bodies = np.stack([first.joints() - apart, (second.joints() - apart) * (-1.0, 1.0, -1.0)])
            facing = np.pi / 2 * rng.choice((-1.0, 1.0)) + rng.normal(0.0, FACING)
        return bodies @ rotations(np.array([0.0, facing, 0.0])).T

    def write(self, out: Path, cameras: int) -> list[Path]:
        """Film the performance with every camera; returns the written files."""
        bodies = self.bodies()
        paths = []
        for camera in range(1, cameras + 1):
            key = (self.action, self.performer, self.replication, camera)
            rng = self.rng(_RECORDING, *key)
            seen = film(bodies, SETUPS[self.setup - 1], camera, rng)
            path = out / f"{self.name(camera)}.skeleton"
            first_id = int(np.ravel_multi_index(key, (MOST + 1,) * len(key))) * 10  # beyond those of other recordings
            write_skeleton_file(path, record(seen, first_id, rng), bodies.shape[1])
            paths.append(path)
        return paths


def synthesize(
    out: Path,
    performers: int = 12,
    replications: int = 2,
    cameras: int = 3,
    seed: int = 0,
    workers: int = 1,
    frames: tuple[int, int] = (40, 90),
) -> list[Path]:
    """Write a synthetic data set as raw NTU ``.skeleton`` files, each whole or not at all.

    Each file is a function of the seed and its own name: more performers or workers change no other file.

    Args:
        out: Folder for the files; made if it does not exist, files of the same names are replaced.
        performers: Number of performers, 1 to 999.
        replications: Number of times that each performer does each action, 1 to 999.
        cameras: Number of cameras that film each performance at once, 1 to 999.
        seed: From 0.
        workers: Number of writing processes.
        frames: Shortest and longest clip, in frames at 30 a second.

    Returns:
        The files, sorted.

    Raises:
        InputError: If a number is out of its range, or the folder cannot be written or is in use.

    Examples:
        >>> files = synthesize(Path("more"), performers=1, replications=1, cameras=1)
        >>> len(files), files[0].name
        (13, 'S001C001P001R001A001.skeleton')
    """
    for what, number in (("performers", performers), ("replications", replications), ("cameras", cameras)):
        if not 1 <= number <= MOST:
            raise InputError(f"{what}: found {number}, expected 1 to {MOST}")
    if workers < 1 or seed < 0:
        raise InputError(f"found {workers} workers and seed {seed}, expected at least 1 worker and a seed from 0")
    if not SHORTEST_CLIP <= frames[0] <= frames[1]:
        raise InputError(f"frames: found {frames}, expected shortest and longest clip from {SHORTEST_CLIP} frames on")
    numbers = product(range(1, len(CLASSES) + 1), range(1, performers + 1), range(1, replications + 1))
    performances = [Performance(seed, *which, frames) for which in numbers]
    write = partial(Performance.write, out=out, cameras=cameras)
    with as_output(out):
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            for unfinished in out.glob(".*.skeleton.*.partial"):  # of a killed process
                unfinished.unlink(missing_ok=True)
            if workers == 1:
                written = [write(performance) for performance in performances]
            else:
                with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                    written = list(pool.map(write, performances, chunksize=4))
    return sorted(path for paths in written for path in paths)
