"""Clips as they are given in Python: positions in a prepared set, or arrays, which become a set."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.sequence import UNLABELLED, Channels, Clip, SkeletonSequence


def positions_in(given: Any, dataset: SkeletonSet) -> Int64[np.ndarray, " n"]:
    """Read positions in a set, (N,) or (N, 1).

    Raises:
        InputError: If they are no positions of its clips.
    """
    found = np.asarray(given)
    column = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if column.ndim != 1 or not len(column) or not np.issubdtype(column.dtype, np.integer):
        raise InputError(f"X: found {found.dtype} {found.shape}, expected positions in {dataset.path}, integers (N,)")
    if not 0 <= column.min() <= column.max() < len(dataset):
        raise InputError(f"X: found positions {column.min()} to {column.max()}, expected 0 to {len(dataset) - 1}")
    return column.astype(np.int64)


def write_arrays(given: Any, layout: Layout, channels: Channels, folder: Path) -> SkeletonSet:
    """Write arrays (T, V, C) or (M, T, V, C) as a set without labels.

    Raises:
        InputError: If one is no clip of this layout and these channels.
    """
    shape = f"(T, {len(layout)}, {len(channels)})"
    expected = f"{shape} or (M, {shape[1:]} of layout {layout.name} ({', '.join(channels)})"
    with SetWriter(folder, layout, ("none",), "arrays", {}, channels) as writer:
        for number, each in enumerate(given):
            try:
                array = np.asarray(each)
                numbers = np.issubdtype(array.dtype, np.number) and not np.iscomplexobj(array)
            except ValueError:  # lists of several lengths
                array, numbers = np.empty(0), False
            if not numbers or array.ndim not in (3, 4) or array.shape[-2:] != (len(layout), len(channels)):
                raise InputError(f"X[{number}]: found {array.dtype} {array.shape}, expected numbers {expected}")
            with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
                joints = np.array(array if array.ndim == 4 else array[None], dtype=np.float32)
            if not joints.any():
                raise InputError(f"X[{number}]: found nothing but zeros, which stand for absent bodies and frames")
            try:
                writer.add(SkeletonSequence(Clip(f"X[{number}]", UNLABELLED), joints, layout))
            except ValueError as fault:
                raise InputError(str(fault)) from fault
        if not writer.clips:
            raise InputError(f"X: found no clip, expected a list of arrays {expected}")
        writer.finish({})
    return SkeletonSet.open(folder)
