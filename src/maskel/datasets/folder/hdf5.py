"""Tracks in HDF5 (``.h5``): SLEAP's analysis files, and DeepLabCut's tables. Needs the extra ``h5``.

* SLEAP: ``tracks`` (tracks, 2, nodes, frames), or (frames, tracks, nodes, 2) of a newer preset, with ``node_names``,
  ``track_names`` and ``point_scores``.
* DeepLabCut: the table ``df_with_missing`` of pandas, whose columns have the levels scorer, maybe individuals,
  bodyparts and coords.

Nothing outside the file is opened: no links to other files, and no data sets that lie elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice, pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from maskel.datasets.folder.columns import CHANNELS, JointNames, listed, squeeze
from maskel.datasets.folder.frames import frame_step, steps_note
from maskel.datasets.folder.lines import MAX_COLUMNS
from maskel.datasets.folder.pose import MAX_BYTES, MAX_VALUES, Form, Pose, check_numbers, check_size, read_bytes
from maskel.datasets.raw_file import bad_file
from maskel.errors import BadFileError, InputError
from maskel.layouts import Layout
from maskel.pickles import Allowed, interpret

TABLE = "df_with_missing"
_FORMS = "SLEAP's analysis (tracks, node_names) or DeepLabCut's table (df_with_missing)"
_MOST_NAMES = 1000


@dataclass(frozen=True)
class _Tracks:
    """Bodies (M, T, parts, 2) with scores (M, T, parts), names of parts and people, and number of each frame."""

    joints: Float64[np.ndarray, "m t p 2"]
    scores: Float64[np.ndarray, "m t p"] | None
    parts: Sequence[str]
    people: Sequence[str]
    frames: Sequence[int]


def read_h5(path: Path, form: Form) -> Pose:
    """Read the bodies of an HDF5 file of SLEAP or DeepLabCut.

    Raises:
        InputError: If h5py is not installed.
        BadFileError: If it is of another form, or its parts are not the joints of the layout.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f'{path}: reading HDF5 needs h5py; pip install "maskel[h5]"') from error
    content = BytesIO(read_bytes(path))
    with bad_file(path, _FORMS), h5py.File(content, "r") as file:
        if "tracks" in file and "node_names" in file:
            tracks = _sleap(path, file)
        elif TABLE in file:
            tracks = _deeplabcut(path, file)
        else:
            raise BadFileError(path, "not data", f"an HDF5 file with {listed(file) or 'nothing'}", _FORMS)
    return _pose(path, tracks, form.layout)


def _array(path: Path, group: Any, name: str) -> np.ndarray:
    """Read a data set of numbers or short texts, if it lies in the file and is not too large."""
    import h5py

    found = _inside(path, group, name)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise BadFileError(path, "not data", f"{name} that is no data set inside the file", "an array")
    for shape in (found.shape, found.chunks or ()):  # a chunk is unpacked as a whole
        if shape is None or prod(shape) * max(found.dtype.itemsize / 8, 1) > MAX_VALUES:
            expected = f"at most {MAX_VALUES} values of 8 bytes; cut the recording into clips"
            raise BadFileError(path, "wrong count", f"{name} of shape {shape}", expected)
    if found.dtype.hasobject:  # texts of any length, of which several may be the same bytes of the file
        places = islice(np.ndindex(found.shape), _MOST_NAMES + 1)
        return np.array([text if _is_short(text := found[place]) else None for place in places], object)
    array: np.ndarray = found[()]
    return array


def _inside(path: Path, group: Any, name: str) -> Any:
    """Return what is called so, if it lies in the file itself; nothing behind a link is opened."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise BadFileError(path, "not data", f"{name} that lies elsewhere, behind a link", "the data itself")
    return group[name]


def _is_short(text: object) -> bool:
    return isinstance(text, bytes | str) and len(text) < 200


def _texts(path: Path, group: Any, name: str) -> list[str]:
    texts = np.ravel(_array(path, group, name)).tolist()
    if len(texts) > _MOST_NAMES or not all(map(_is_short, texts)):
        raise BadFileError(path, "not text", f"{name} of {len(texts)} entries", f"at most {_MOST_NAMES} short names")
    return [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts]


def _numbers(path: Path, group: Any, name: str) -> Float64[np.ndarray, "..."]:
    array = _array(path, group, name)
    if array.dtype.kind not in "fiu":
        raise BadFileError(path, "not a number", f"{name} of type {array.dtype}", "numbers")
    return array.astype(np.float64, copy=False)


def _sleap(path: Path, file: Any) -> _Tracks:
    parts = _texts(path, file, "node_names")
    tracks = _numbers(path, file, "tracks")
    fits = []
    for order in ("MCVT", "TMVC"):
        size = dict(zip(order, tracks.shape, strict=False)) if tracks.ndim == 4 else {"C": 0}
        if size["C"] == 2 and size["V"] == len(parts) and size["M"] <= size["T"]:  # never more bodies than frames
            fits.append(order)
    if len(fits) != 1:
        expected = f"(tracks, 2, {len(parts)}, frames) or (frames, tracks, {len(parts)}, 2), and one that fits alone"
        raise BadFileError(path, "wrong count", f"tracks of shape {tracks.shape}", expected)
    (order,) = fits
    joints = tracks.transpose([order.index(letter) for letter in "MTVC"])
    scores = None
    if "point_scores" in file:
        raw, letters = _numbers(path, file, "point_scores"), order.replace("C", "")
        if raw.ndim != 3 or raw.transpose([letters.index(letter) for letter in "MTV"]).shape != joints.shape[:3]:
            raise BadFileError(
                path, "wrong count", f"point_scores of shape {raw.shape}", "that of tracks, without x, y"
            )
        scores = raw.transpose([letters.index(letter) for letter in "MTV"])
    people = _texts(path, file, "track_names") if "track_names" in file else []
    if people and len(people) != len(joints):
        raise BadFileError(path, "wrong count", f"{len(people)} track_names", f"{len(joints)}, as tracks has")
    return _Tracks(joints, scores, parts, people, range(joints.shape[1]))


def _deeplabcut(path: Path, file: Any) -> _Tracks:
    group = _inside(path, file, TABLE)
    if "table" in group:  # pandas' format "table"
        table = _array(path, group, "table")
        blocks = sorted(name for name in table.dtype.names or () if name.startswith("values_block_"))
        columns = [column for name in blocks for column in _column_names(path, group["table"].attrs, name)]
        index = table["index"] if "index" in (table.dtype.names or ()) else np.zeros(0)
        values = np.concatenate([table[name].reshape(len(table), -1) for name in blocks], 1) if blocks else index
    elif "block0_values" in group:  # pandas' format "fixed"
        levels = [name for name in sorted(group) if name.startswith("block0_items_level")]
        codes = [np.ravel(_array(path, group, name.replace("level", "label"))) for name in levels]
        names = [_texts(path, group, name) for name in levels]
        if any(len(column) > MAX_COLUMNS for column in codes):
            raise BadFileError(path, "wrong count", "too many columns", f"at most {MAX_COLUMNS:,}")
        columns = [
            tuple(level[int(code)] for level, code in zip(names, column, strict=True))
            for column in zip(*codes, strict=True)
        ]
        values, index = _array(path, group, "block0_values"), _array(path, group, "axis1")
    else:
        raise BadFileError(path, "not data", f"{TABLE} with {listed(group) or 'nothing'}", "a table of pandas")
    if index.dtype.kind not in "iu" or values.dtype.kind not in "fiu":
        expected = "numbers of frames, and positions; names of images stand in CollectedData, whose csv is read"
        raise BadFileError(path, "not a number", f"an index of type {index.dtype}", expected)
    if values.ndim != 2 or values.shape != (len(index), len(columns)) or not all(len(c) in (3, 4) for c in columns):
        found = f"a table of shape {values.shape} with {len(columns)} columns"
        raise BadFileError(path, "wrong count", found, "columns of scorer, maybe individuals, bodyparts and coords")
    parts = list(dict.fromkeys(column[-2] for column in columns))
    people = list(dict.fromkeys(column[1] if len(column) == 4 else "" for column in columns))
    check_size(path, len(people), len(index), len(parts))
    found_at = np.full((len(people), len(index), len(parts), 3), np.nan)
    seen: set[tuple[int, int, int]] = set()
    for column, numbers in zip(columns, values.T, strict=True):
        channel = {"x": 0, "y": 1, "score": 2}.get(CHANNELS.get(column[-1].lower(), ""))
        who = people.index(column[1] if len(column) == 4 else "")
        if channel is None or (place := (who, parts.index(column[-2]), channel)) in seen:
            expected = "x, y and likelihood of each, once"
            raise BadFileError(path, "wrong count", f"a column {column[-1][:20]} of {column[-2][:20]}", expected)
        seen.add(place)
        found_at[who, :, place[1], channel] = numbers
    scored = any(channel == 2 for _, _, channel in seen)
    frames = [int(number) for number in index]
    return _Tracks(
        found_at[..., :2], found_at[..., 2] if scored else None, parts, people if people != [""] else [], frames
    )


def _column_names(path: Path, attributes: Any, block: str) -> list[tuple[str, ...]]:
    """Return the names of a block's columns, which PyTables pickles; nothing that the pickle names is run."""
    about = attributes.get_id(f"{block}_kind") if f"{block}_kind" in attributes else None
    if about is None or about.shape != ():
        raise BadFileError(path, "not data", f"a table without the names of {block}", "a table of pandas")
    raw = attributes[f"{block}_kind"]
    content = bytes(raw) if isinstance(raw, bytes) else str(raw).encode()
    if len(content) > MAX_BYTES:
        raise BadFileError(path, "wrong count", f"names of {len(content)} bytes", f"at most {MAX_BYTES}")
    names = interpret(BytesIO(content), len(content), Allowed({}, {}))
    if not isinstance(names, list) or not all(
        isinstance(name, tuple) and all(isinstance(level, str) and level.isprintable() for level in name)
        for name in names
    ):
        expected = "scorer, bodypart and coord of each column"
        raise BadFileError(path, "not data", f"columns of {block} without several levels", expected)
    return names


def _pose(path: Path, tracks: _Tracks, layout: Layout) -> Pose:
    """Bring parts to the layout's order, and frames to their numbers."""
    known = JointNames(layout)
    places = {part: known.place(squeeze(part)) for part in tracks.parts}
    lacking = [joint for number, joint in enumerate(layout.joints) if number not in places.values()]
    beyond = [part for part, place in places.items() if place is None]
    if lacking or beyond or len(set(places.values())) < len(tracks.parts):
        what = f"no part for {listed(lacking)}" if lacking else f"parts {listed(beyond)}, which the layout lacks"
        expected = f"the {len(layout)} joints of layout {layout.name}, each once"
        raise BadFileError(path, "wrong count", f"{what}, among {listed(tracks.parts)}", expected)
    order = sorted(range(len(tracks.parts)), key=lambda part: places[tracks.parts[part]] or 0)
    numbers = list(map(int, tracks.frames))
    if not numbers or any(after <= before for before, after in pairwise(numbers)):
        raise BadFileError(path, "wrong count", "frames whose numbers do not increase", "each frame once, in order")
    step, first = frame_step(numbers), numbers[0]
    length = (numbers[-1] - first) // step + 1
    check_size(path, len(tracks.joints), length, len(layout))
    check_numbers(path, tracks.joints)
    joints = np.full((len(tracks.joints), length, len(layout), 2), np.nan)
    scores = np.full(joints.shape[:3], np.nan)
    at = [(number - first) // step for number in numbers]
    joints[:, at] = tracks.joints[:, :, order]
    if tracks.scores is not None:
        scores[:, at] = tracks.scores[:, :, order]
    counts = {steps_note(step): length} if step > 1 else {}
    names = tuple((who,) for who in tracks.people)
    return Pose(joints, None if tracks.scores is None else scores, counts, names, first, step)
