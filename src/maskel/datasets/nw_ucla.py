"""Northwestern-UCLA Multiview Action3D: 1,484 clips of ten actions, ten subjects and three Kinect v1 views.

Wang, Nie, Xia, Wu, Zhu: Cross-view Action Modeling, Learning and Recognition, CVPR 2014. The files read here are the
JSON skeletons ``aAA_sSS_eEE_vVV.json`` that Shift-GCN and CTR-GCN link to, in a folder or as ``all_sqe.zip``.
"""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, Float64

from maskel.datasets.base import RawFile, Source, Split
from maskel.datasets.raw_file import bad_file, parse_json, read_member, read_raw
from maskel.errors import BadFileError, InputError
from maskel.files import damaged_as, described, one_line, open_archive
from maskel.layouts import KINECT20, Layout
from maskel.sequence import Clip, SkeletonSequence

NAME = re.compile(r"a(\d{2})_s(\d{2})_e(\d{2})_v(\d{2})\.json")
ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
"""Action numbers in use; the position in this list, from 1, is the label in the file."""
MAX_BYTES = 16 * 2**20
"""More than a hundred times the largest published file (127 KB); nothing larger is read into memory."""


class NwUcla(Source):
    """Northwestern-UCLA Multiview Action3D.

    One body, 20 joints, metres. The origin is the spine in the first frame in which the body has any non-zero
    coordinate, as in NTU RGB+D. A frame whose joints are all (0, 0, 0) is absent and stays zero; a single joint at
    (0, 0, 0), of which two published frames have six, is moved with the others, as published.

    Benchmarks: ``xsub`` trains on subjects with odd numbers; ``xview``, the customary one, trains on views 1 and 2 and
    tests on view 3.

    Note:
        For actions 2 and 3 every published file of view 3 equals that of view 2, so that in ``xview`` 95 of the 464
        test clips are also in training. Dropping duplicates leaves 674 and 715 clips in ``xsub``.

    Examples:
        >>> NwUcla().layout.name, NwUcla.classes[:2]
        ('kinect20', ('pick up with one hand', 'pick up with two hands'))
    """

    name: ClassVar[str] = "nw_ucla"
    layout: Layout = KINECT20
    classes: tuple[str, ...] = (
        *("pick up with one hand", "pick up with two hands", "drop trash", "walk around", "sit down", "stand up"),
        *("donning", "doffing", "throw", "carry"),
    )
    published: Mapping[str, tuple[int, int]] = {"xview": (1020, 464)}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the skeleton files below ``roots`` (folders, or zip archives), sorted by name.

        Raises:
            InputError: If a root does not exist, is neither, or none holds a file of this data set.
        """
        found = {file for root in roots for file in _files_in(root)}
        if not found:
            where = ", ".join(map(str, roots))
            raise InputError(f"no file called like a01_s01_e00_v01.json is in {where}; give all_sqe or all_sqe.zip")
        return sorted(found, key=lambda file: (_base_name(file), str(file)))

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clip of one file; none if all coordinates are zero."""
        clip = _clip(file)
        centred = _centre(_joints(file, _content(file), clip.label), self.layout.index("spine"))
        if not np.isfinite(centred).all():
            raise BadFileError(str(file), "not a number", "a coordinate that is no finite float32", "metres")
        return [SkeletonSequence(clip, centred[np.newaxis], self.layout)] if centred.any() else []

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clip that a file's name describes."""
        return [_clip(file)]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide the clips: ``xsub`` by odd and even subjects, ``xview`` by views 1 and 2 against view 3."""
        return {
            "xsub": Split.of(int(clip.subject) % 2 == 1 for clip in clips),
            "xview": Split.of(clip.camera != "3" for clip in clips),
        }

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """Explain the sizes of ``xview``."""
        if benchmark != "xview":
            return ""
        leak = "for actions 2 and 3 the files of view 3 equal those of view 2, coordinate for coordinate: "
        if found == (1020, 369):
            return leak + "without these 95 duplicates 369 of the published 464 test clips are left"
        return leak + "95 of the 464 published test clips stand in training too; dropping duplicates removes them"


def _base_name(file: RawFile) -> str:
    return (file.member or str(file.path)).replace("\\", "/").rpartition("/")[2]


def _files_in(root: Path) -> list[RawFile]:
    if root.is_dir():
        return [RawFile(path) for path in root.rglob("*.json") if NAME.fullmatch(path.name)]
    if not root.exists():
        raise InputError(f"{root} does not exist; give the folder all_sqe or all_sqe.zip")
    what = f"{root} is neither a folder nor a zip archive that can be read"
    with damaged_as(lambda fault: InputError(f"{what} ({one_line(fault)})")), open_archive(root) as archive:
        files = [RawFile(root, member) for member in archive.namelist()]
    return [file for file in files if NAME.fullmatch(_base_name(file))]


def _clip(file: RawFile) -> Clip:
    name = _base_name(file)
    match = NAME.fullmatch(name)
    action, subject, replication, view = map(int, match.groups()) if match else (0, 0, 0, 0)
    if action not in ACTIONS or not 1 <= subject <= 10 or not 1 <= view <= 3:
        expected = "aAA_sSS_eEE_vVV.json with action 1-6, 8, 9, 11 or 12, subject 1-10 and view 1-3"
        raise BadFileError(str(file), "bad name", name, expected)
    label = ACTIONS.index(action)
    return Clip(Path(name).stem, label, subject=str(subject), camera=str(view), replication=str(replication))


@lru_cache(maxsize=1)
def _archive(path: Path, modified: int) -> zipfile.ZipFile:
    """Open the archive once: reading its directory per member is slow. ``modified`` distinguishes versions."""
    return open_archive(path)


def _content(file: RawFile) -> bytes:
    """Read a file or member of at most `MAX_BYTES` bytes."""
    expected = "JSON with skeletons and label"
    if not file.member:
        return read_raw(file.path, MAX_BYTES, expected)
    with bad_file(str(file), "a readable archive"):
        archive = _archive(file.path, file.path.stat().st_mtime_ns)
        return read_member(archive, file.member, str(file), MAX_BYTES, expected)


def _joints(file: RawFile, content: bytes, label: int) -> Float64[np.ndarray, "t v c"]:
    """Read the file's coordinates; its label must match the action in its name."""
    document = parse_json(content, str(file))
    if not isinstance(document, dict) or not {"skeletons", "label"} <= document.keys():
        raise BadFileError(str(file), "not text", "JSON of another form", "an object with skeletons and label")
    if type(document["label"]) is not int or document["label"] != label + 1:
        given = document["label"]
        found = f"label {described(given) if isinstance(given, list | dict) else json.dumps(given)[:40]}"
        raise BadFileError(str(file), "bad name", found, f"label {label + 1}, as the file's name says")
    return _array(file, document["skeletons"])


def _array(file: RawFile, skeletons: object) -> Float64[np.ndarray, "t v c"]:
    shape = f"[T][{len(KINECT20)}][3] numbers"
    if not isinstance(skeletons, list):
        raise BadFileError(str(file), "wrong count", "skeletons that are no list", shape)
    if not skeletons:
        raise BadFileError(str(file), "empty", "no frame", shape)
    # one long text among many short ones would take its length for each
    other = _leaves(skeletons) - {int, float}
    if other:
        found = f"a coordinate of type {min(kind.__name__ for kind in other)}"
        raise BadFileError(str(file), "not a number", found, "metres")
    try:
        array = np.array(skeletons)
    except ValueError as error:
        raise BadFileError(str(file), "wrong count", "lists of differing lengths", shape) from error
    if array.ndim != 3 or array.shape[1:] != (len(KINECT20), 3):
        raise BadFileError(str(file), "wrong count", f"skeletons of shape {array.shape}", shape)
    if array.dtype == object:
        raise BadFileError(str(file), "not a number", "a coordinate of more than 64 bits", "metres")
    return array.astype(np.float64)


def _leaves(values: list[Any]) -> set[type]:
    """The types of what is in lists within lists."""
    found: set[type] = set()
    while values:
        found |= set(map(type, values)) - {list}
        values = [entry for value in values if isinstance(value, list) for entry in value]
    return found


def _centre(joints: Float64[np.ndarray, "t v c"], origin: int) -> Float32[np.ndarray, "t v c"]:
    """Move the origin to joint ``origin`` of the first existing frame; absent frames stay zero."""
    exists = joints.any(axis=(1, 2))  # (T,)
    centred = joints - joints[exists.argmax(), origin]
    centred[~exists] = 0
    with np.errstate(over="ignore", invalid="ignore"):
        return centred.astype(np.float32)
