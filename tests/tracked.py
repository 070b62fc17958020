"""HDF5 files of SLEAP and DeepLabCut, written as these programs do; needs h5py."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskel.layouts import COCO17

PARTS = COCO17.joints


def sleap(file: Path, people: Mapping[str, np.ndarray], standard: bool = False, **others: Any) -> Path:
    """SLEAP's analysis file of bodies (T, 17, 2): axes as MATLAB has them, or as its newer preset does."""
    import h5py

    tracks = np.stack(list(people.values()))  # (M, T, V, 2)
    scores = np.full(tracks.shape[:3], 0.9)
    content = {
        "tracks": tracks.transpose(1, 0, 2, 3) if standard else tracks.transpose(0, 3, 2, 1),
        "point_scores": scores.transpose(1, 0, 2) if standard else scores.transpose(0, 2, 1),
        "track_occupancy": np.ones(tracks.shape[:2]),
        "node_names": np.array(PARTS, "S"),
        "track_names": np.array(list(people), "S"),
        "edge_names": np.array([["nose", "left_eye"]], "S"),
        **others,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as out:
        for name, value in content.items():
            out[name] = value
    return file


def deeplabcut(file: Path, people: Mapping[str, np.ndarray], fixed: bool = False, first: int = 0) -> Path:
    """DeepLabCut's table of bodies (T, 17, 2), as pandas' ``table`` or ``fixed``; one ``""`` is nobody."""
    import h5py

    individuals = [] if list(people) == [""] else [list(people)]
    names = ["DLC_resnet50_walk", *(part for part in PARTS)]
    columns = [
        ("DLC_resnet50_walk", *([who] if who else []), part, coord)
        for who in people
        for part in PARTS
        for coord in ("x", "y", "likelihood")
    ]
    frames = len(next(iter(people.values())))
    values = np.concatenate(
        [
            np.concatenate((body, np.full((*body.shape[:2], 1), 0.9)), -1).reshape(frames, -1)
            for body in people.values()
        ],
        1,
    )
    index = np.arange(first, first + frames)
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as out:
        group = out.create_group("df_with_missing")
        if fixed:
            levels = [names[:1], *individuals, list(PARTS), ["x", "y", "likelihood"]]
            for number, level in enumerate(levels):
                group[f"block0_items_level{number}"] = np.array(level, "S")
                codes = [level.index(column[number]) for column in columns]
                group[f"block0_items_label{number}"] = np.array(codes, "i1")
            group["block0_values"], group["axis1"] = values, index
            return file
        table = np.zeros(frames, [("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
        table["index"], table["values_block_0"] = index, values
        group["table"] = table
        group["table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(columns, 0))
    return file
