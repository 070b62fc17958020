"""Readers of the tables and arrays of a prepared set; each refuses what is damaged by a ValueError or the like."""

import sys
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from maskel.datasets import store_writer as files
from maskel.datasets.base import Split
from maskel.files import map_npy, read_json, read_rows
from maskel.sequence import CHANNELS, XYZ, LabelledRange

MOST_CLIPS = 1_000_000
"""Clips, and labelled ranges, of a set; NTU RGB+D 120 has 114,000."""
MOST_SEGMENTS = 4_000_000
"""Runs of frames of a body, and lines of its table of counts."""
MOST_TEXT = 4096
"""Characters of a name, or any other field of a table of clips; no path is longer."""
_NUMBERS = ("label", "first_frame", "end_frame", "bodies", "frames")  # columns of the table of clips
_LINES_AT_ONCE = 4096  # columns of many lines are taken faster than cells, one by one
PARTS = tuple(field.name for field in fields(Split))


def require(holds: bool | np.bool_, name: str, found: str) -> None:
    """Refuse a damaged file: it holds what is ``found``.

    Raises:
        ValueError: Unless it ``holds``.
    """
    if not holds:
        raise ValueError(f"{name} holds {found}")


def read_meta(path: Path) -> dict[str, Any]:
    """Read what the set is, and check that this version of maskel can read it."""
    meta = read_json(path)
    require(isinstance(meta, dict) and meta.get("format") == files.FORMAT, path.name, "another format")
    version = meta.get("version")
    known = " or ".join(map(str, files.READABLE))
    require(version in files.READABLE, path.name, f"version {version} of the set's format, expected {known}")
    counts = [meta["counts"][name] for name in ("clips", "segments", "rows")]
    require(all(type(count) is int and count >= 1 for count in counts), path.name, "a count that is not one")
    require(counts[0] <= MOST_CLIPS, path.name, f"{counts[0]:,} clips, expected at most {MOST_CLIPS:,}")
    require(counts[1] <= MOST_SEGMENTS, path.name, f"{counts[1]:,} segments, expected at most {MOST_SEGMENTS:,}")
    require(tuple(meta.get("channels", XYZ)) in CHANNELS, path.name, "unknown channels")
    names = [meta["layout"], meta["source"], *meta["classes"]]
    require(all(isinstance(name, str) for name in names), path.name, "a name that is not text")
    require(isinstance(meta["classes"], list) and isinstance(meta["options"], dict), path.name, "a wrong type")
    return meta


def read_clips(path: Path, num_clips: int) -> dict[str, tuple[Any, ...]]:
    """Read the columns of the table of clips, texts and whole numbers."""
    lines = read_rows(path)
    require(tuple(next(lines, ())) == files.CLIP_COLUMNS, path.name, "other columns")
    columns: list[list[Any]] = [[] for _ in files.CLIP_COLUMNS]
    while chunk := list(islice(lines, _LINES_AT_ONCE)):
        for name, column, cells in zip(files.CLIP_COLUMNS, columns, zip(*chunk, strict=True), strict=True):
            longest = max(map(len, cells))
            require(longest <= MOST_TEXT, path.name, f"a text of {longest:,} characters")
            column += map(int, cells) if name in _NUMBERS else cells if name == "name" else map(sys.intern, cells)
        require(len(columns[0]) <= num_clips, path.name, f"more than {num_clips} clips")
    found = len(columns[0])
    require(found == num_clips, path.name, f"{found} clips, expected {num_clips}")
    named = dict(zip(files.CLIP_COLUMNS, map(tuple, columns), strict=True))
    require(len(set(named["name"])) == num_clips, path.name, "a clip twice")
    return named


def read_counts(path: Path, num_clips: int) -> dict[int, dict[str, int]]:
    """Read the table of counts: clip -> phrase -> number."""
    counts: dict[int, dict[str, int]] = {}
    lines = read_rows(path)
    require(tuple(next(lines, ())) == files.COUNT_COLUMNS, path.name, "other columns")
    for line, (clip, what, number) in enumerate(lines, 1):
        require(line <= MOST_SEGMENTS, path.name, f"more than {MOST_SEGMENTS:,} counts")
        require(0 <= int(clip) < num_clips, path.name, f"a clip outside 0 to {num_clips - 1}")
        require(0 <= int(number) < 2**63, path.name, "a count that is none")
        require(len(what) <= MOST_TEXT, path.name, f"a text of {len(what):,} characters")
        counts.setdefault(int(clip), {})[sys.intern(what)] = int(number)
    return counts


def read_ranges(path: Path, frames: Int64[np.ndarray, " n"], classes: int) -> tuple[tuple[LabelledRange, ...], ...]:
    """Read the labelled ranges of each recording."""
    found: list[list[LabelledRange]] = [[] for _ in frames]
    lines = read_rows(path)
    require(tuple(next(lines, ())) == files.RANGE_COLUMNS, path.name, "other columns")
    for number, line in enumerate(lines, 1):
        require(number <= MOST_CLIPS, path.name, f"more than {MOST_CLIPS:,} ranges")
        clip, label, first, end = map(int, line)
        require(0 <= clip < len(frames), path.name, f"a clip outside 0 to {len(frames) - 1}")
        require(0 <= label < classes, path.name, f"a label outside 0 to {classes - 1}")
        require(0 <= first < end <= int(frames[clip]), path.name, "a range outside its recording")
        found[clip].append(LabelledRange(label, first, end))
    return tuple(map(tuple, found))


def map_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Map the array in ``path`` into memory; it must have this type and shape, and nothing may follow it."""
    mapped = map_npy(path)
    fits = mapped.dtype == dtype and mapped.shape == shape and mapped.flags.c_contiguous
    require(fits, path.name, f"{mapped.dtype} {mapped.shape}, expected {dtype} {shape}")
    return mapped


def check_segments(
    segments: Int64[np.ndarray, "s 4"], bodies: Int64[np.ndarray, " n"], frames: Int64[np.ndarray, " n"], rows: int
) -> None:
    """Check that runs of frames lie inside their clips, in order, and have all rows of joints among them."""
    clip, body, first, length = segments.T
    require((clip >= 0).all() and (clip < len(bodies)).all(), files.SEGMENTS, "a clip that is not in the set")
    inside = (body >= 0) & (body < bodies[clip]) & (first >= 0) & (length >= 1) & (first + length <= frames[clip])
    require(inside.all(), files.SEGMENTS, "a body or frame outside its clip")
    require(int(length.sum()) == rows, files.SEGMENTS, f"{length.sum()} body-frames, expected {rows}")
    same_body = (np.diff(clip) == 0) & (np.diff(body) == 0)
    later = (np.diff(clip) > 0) | ((np.diff(clip) == 0) & (np.diff(body) > 0))
    apart = same_body & (first[1:] >= first[:-1] + length[:-1])
    require((later | apart).all(), files.SEGMENTS, "segments out of order")


def count_valid_frames(segments: Int64[np.ndarray, "s 4"], frames: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Count, for each clip, the frames that any of its segments covers."""
    clip, _, first, length = segments.T
    start = first + (np.cumsum(frames) - frames)[clip]  # on one time line through all clips
    order = np.argsort(start, kind="stable")
    start, end = start[order], (start + length)[order]
    covered_to = np.maximum.accumulate(end)
    covered_before = np.concatenate(([0], covered_to[:-1]))
    fresh = np.maximum(end - np.maximum(start, covered_before), 0)
    return np.bincount(clip[order], weights=fresh, minlength=len(frames)).astype(np.int64)


def read_splits(path: Path, has_label: Bool[np.ndarray, " n"]) -> dict[str, Split]:
    """Read the clips of each benchmark; those that train or test have a label, the others have none."""
    splits = {}
    for benchmark, parts in read_json(path).items():
        complete = {"train", "test"} <= set(parts) <= set(PARTS)
        require(complete, path.name, f"other parts than {', '.join(PARTS)} in {benchmark}")
        for part, given in parts.items():
            fits = isinstance(given, list) and set(map(type, given)) <= {int}
            require(fits, path.name, f"something else than positions in {benchmark} {part}")
            positions = np.array(given, dtype=np.int64)
            inside = positions.size == 0 or 0 <= positions.min() <= positions.max() < len(has_label)
            require(inside, path.name, f"a position outside 0 to {len(has_label) - 1} in {benchmark} {part}")
            known = has_label[positions]
            consistent = (~known if part == "unlabelled" else known).all()
            require(consistent, path.name, f"clips with and without a label mixed up in {benchmark} {part}")
        splits[benchmark] = Split(**{part: tuple(given) for part, given in parts.items()})
    return splits
