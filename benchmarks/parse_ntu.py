"""Speed of reading NTU's ``.skeleton`` text: maskel against a plain line-by-line reader, in MB of text per second.

Run with ``python benchmarks/parse_ntu.py``. Both read the same generated files in turn, on one core, from memory.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from maskel.datasets.skeleton_file import parse_skeleton

RECORDINGS = ((103, 1), (71, 2), (135, 1), (88, 2))  # frames, bodies
JOINT_LINE = (
    "{0:.7g} {1:.7g} {2:.7g} {3:.7g} {4:.7g} {5:.7g} {6:.7g} {7:.7g} {8:.7g} {9:.7g} {10:.7g} 2"  # as the Kinect writes
)
CENTRE = np.array([0.2, 0.1, 3.4, 277, 190, 1036, 519, 0, 0, 0, 0])
SPREAD = np.array([0.3, 0.4, 0.3, 9, 20, 40, 60, 0.5, 0.5, 0.5, 0.5])


def recording(frames: int, bodies: int, line_end: str, rng: np.random.Generator) -> bytes:
    """A file of the published form, with coordinates and other fields of the published number of digits."""
    lines = [str(frames)]
    for _ in range(frames):
        lines.append(str(bodies))
        for body in range(bodies):
            lines += [f"7205759403793110{body} 0 1 1 1 1 0 0.02764709 0.05745083 2", "25"]
            lines += [JOINT_LINE.format(*fields) for fields in rng.normal(CENTRE, SPREAD, (25, len(CENTRE)))]
    return (line_end.join(lines) + line_end).encode()


def read_lines(data: bytes) -> np.ndarray:
    """The plain way: every line split at its blanks, three columns through float."""
    lines = iter(data.decode().splitlines())
    joints = []
    for _ in range(int(next(lines))):
        for _ in range(int(next(lines))):
            next(lines)
            for _ in range(int(next(lines))):
                fields = next(lines).split()
                joints.append((float(fields[0]), float(fields[1]), float(fields[2])))
    return np.array(joints).reshape(-1, 25, 3)


def read_columns(data: bytes) -> np.ndarray:
    """The reader of `maskel prepare`."""
    return parse_skeleton(data, "generated").joints


def seconds(read: Callable[[bytes], np.ndarray], files: list[bytes]) -> float:
    """Time to read all ``files`` once."""
    start = time.perf_counter()
    for data in files:
        read(data)
    return time.perf_counter() - start


def main() -> None:
    """Measures both readers in turn and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="times each reader reads all files")
    repeats = max(5, parser.parse_args().repeats)
    for name, line_end in (("LF", "\n"), ("CRLF", "\r\n")):
        rng = np.random.default_rng(0)
        files = [recording(frames, bodies, line_end, rng) for frames, bodies in RECORDINGS]
        for data in files:
            assert np.array_equal(read_columns(data), read_lines(data)), "the two readers differ"
        times = np.array([(seconds(read_lines, files), seconds(read_columns, files)) for _ in range(repeats)])
        megabytes = sum(map(len, files)) / 1e6
        plain, fast = (megabytes / statistics.median(column) for column in times.T)
        print(
            f"{name}: {len(files)} files of {megabytes / len(files):.2f} MB, {repeats} repeats: "
            f"line by line {plain:.0f} MB/s, maskel {fast:.0f} MB/s, ratio {fast / plain:.1f}"
        )


if __name__ == "__main__":
    main()
