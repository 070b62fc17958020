"""Own recordings as they come, generated."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskel.datasets.base import RawFile
from maskel.datasets.folder import Folder
from maskel.errors import BadFileError
from maskel.sequence import SkeletonSequence


def motion(frames: int = 12, joints: int = 17, coordinates: int = 3, seed: int = 0) -> np.ndarray:
    """A body (T, V, C) of about a metre that sways; rounded, so that text holds it exactly."""
    draws = np.random.default_rng(seed)
    rest = draws.uniform(0.2, 0.8, (joints, coordinates))
    return (rest + 0.05 * np.sin(0.3 * np.arange(frames)[:, None, None] + draws.uniform(0, 6, rest.shape))).round(4)


def read(path: Path, layout: str = "coco17", **options: Any) -> SkeletonSequence:
    """The one clip of a file or of OpenPose's folder, as `Folder` reads it."""
    (sequence,) = found(path, layout, **options).read(RawFile(path))
    return sequence


def found(path: Path, layout: str = "coco17", **options: Any) -> Folder:
    """The source, once it has found the clip and what else lies beside it."""
    source = Folder(layout, **options)
    source.find([path.parent])
    return source


def raw(path: Path, layout: str = "coco17", **options: Any) -> np.ndarray:
    """The joints of a clip (M, T, V, C) without centring."""
    return read(path, layout, centre=False, **options).joints


def write(path: Path, content: object) -> Path:
    """A file of text, bytes or JSON, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def write_array(path: Path, array: np.ndarray) -> Path:
    """A ``.npy`` file, its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def table(rows: Sequence[Sequence[object]], delimiter: str = ",") -> str:
    """Lines of text."""
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows)


def flat(person: np.ndarray, score: float = 0.9) -> list[float]:
    """x, y, score of each joint in turn."""
    return np.column_stack((person, np.full(len(person), score))).ravel().tolist()


def landmarks(body: np.ndarray) -> list[dict[str, float]]:
    """MediaPipe's list of a body (V, 3)."""
    return [{"x": x, "y": y, "z": z, "visibility": 0.9} for x, y, z in body.tolist()]


def clip(folder: Path, rows: Any, layout: str = "coco17", delimiter: str = ",", **options: Any) -> SkeletonSequence:
    """The clip of a table of these rows, or of this text, without centring."""
    text = rows if isinstance(rows, str) else table(rows, delimiter)
    return read(write(folder / "a.csv", text), layout, centre=False, **options)


def holds(sequence: SkeletonSequence, *bodies: np.ndarray) -> bool:
    """Whether a clip consists of these bodies (T, V, C)."""
    expected = np.stack(bodies)
    return sequence.joints.shape == expected.shape and np.allclose(sequence.joints, expected, atol=1e-6)


def refuses(folder: Path, message: str, rows: Any, layout: str = "coco17") -> None:
    """Makes sure that a table of these rows is refused in one line that matches ``message``."""
    with pytest.raises(BadFileError, match=message) as caught:
        clip(folder, rows, layout)
    assert "\n" not in str(caught.value)
