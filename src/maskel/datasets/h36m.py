"""Human3.6M in the form of VideoPose3D: ``data_3d_h36m.npz``, or ``data_2d_h36m_….npz`` with four cameras.

Ionescu, Papava, Olaru, Sminchisescu: Human3.6M, TPAMI 2014. Pavllo, Feichtenhofer, Grangier, Auli: 3D Human Pose
Estimation in Video with Temporal Convolutions, CVPR 2019, whose scripts write the archives: an array of one object,
``positions_3d`` = {subject: {action: (T, 32, 3)}} in metres, z up; or ``positions_2d`` = {subject: {action: [(T, 17, 2)
for each camera]}} in pixels, with ``metadata``. `pickled` reads them without running what a pickle names.
"""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

from maskel.datasets.base import HALF_LONGER, IN_THE_IMAGE, METRES, ON_THE_BODY, RawFile, Source, Split
from maskel.datasets.folder.arrays import to_pose
from maskel.datasets.folder.pose import Missing
from maskel.datasets.folder.preparation import Preparation
from maskel.datasets.pickled import PickledArray, read_objects
from maskel.datasets.raw_file import bad_file, read_member
from maskel.errors import BadFileError, InputError
from maskel.files import described, npy_header, open_archive
from maskel.layouts import COCO17, H36M17, Layout
from maskel.sequence import XYZ, Channels, Clip, SkeletonSequence

KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Joints of ``h36m17`` among the 32 of the motion capture; the others stand still or repeat one."""
CAMERAS = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
"""Cameras in the archives' order, with width and height of their images."""
TRAINING = ("S1", "S5", "S6", "S7", "S8")
SPELLED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
MAX_BYTES = 2**29
"""Most bytes of an archive's arrays of objects, unpacked; the published ones have up to 300 MB."""
_READ = ("positions_3d", "positions_2d", "metadata")


class H36M(Source):
    """Human3.6M as VideoPose3D stores it, in 3D or in 2D.

    A clip is one take of an action, in 2D seen by one camera. 3D: metres, z up, the origin in the middle of the trunk
    in the first frame. 2D: -1 to 1 along the image's longer side.

    Benchmark ``xsub`` trains on subjects 1, 5, 6, 7 and 8, and tests on 9 and 11.

    Args:
        missing: Missing joints (NaN) are interpolated in time, or stay zero.

    Examples:
        >>> len(H36M.classes), H36M.layout.name
        (15, 'h36m17')
    """

    name: ClassVar[str] = "h36m"
    layout: Layout = H36M17
    classes: tuple[str, ...] = tuple(
        "Directions Discussion Eating Greeting Phoning Photo Posing Purchases Sitting SittingDown Smoking Waiting "
        "WalkDog WalkTogether Walking".split()
    )
    one_process: ClassVar[bool] = True

    def __init__(self, missing: Missing = "interpolate") -> None:
        self.missing = missing
        self.may_miss_joints = missing == "zero"
        self.channels: Channels = XYZ
        self._takes: dict[RawFile, tuple[Clip, PickledArray]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Read the archive ``roots``, one file, and find its takes.

        Raises:
            InputError: If it is not one archive of VideoPose3D.
            BadFileError: If it is damaged, or of another form.
        """
        if len(roots) != 1 or not roots[0].is_file():
            raise InputError(f"found {', '.join(map(str, roots))}, expected one file such as data_3d_h36m.npz")
        path = roots[0]
        arrays = _objects(path)
        key = next((key for key in ("positions_3d", "positions_2d") if key in arrays), "")
        if not key:
            found = f"arrays {', '.join(name[:40] for name in arrays) or 'none'}"
            raise BadFileError(path, "not data", found, "positions_3d or positions_2d, as VideoPose3D writes them")
        self.channels = XYZ if key == "positions_3d" else XYZ[:2]
        self.layout = H36M17 if key == "positions_3d" else _layout(path, arrays.get("metadata"))
        self._takes = {RawFile(path, clip.name): (clip, array) for clip, array in self._clips(path, arrays[key])}
        if not self._takes:
            raise BadFileError(path, "empty", "no take", "takes of Human3.6M's actions")
        return list(self._takes)

    def _clips(self, path: Path, positions: Any) -> list[tuple[Clip, PickledArray]]:
        found = []
        for subject, action, value in _actions(path, positions):
            name, _, take = action.partition(" ")
            name = SPELLED.get(name, name)
            if name not in self.classes or not re.fullmatch(r"S\d{1,2}", subject):
                expected = f"subjects such as S1, and actions such as {self.classes[0]} 1"
                raise BadFileError(path, "bad name", f"action {action[:40]!r} of {subject[:20]!r}", expected)
            several = isinstance(value, list | tuple)
            views = list(value) if several else [value]
            cameras = list(CAMERAS) if several else [""]
            if several == (len(self.channels) == 3) or len(views) != len(cameras):
                what = f"{_shown(value)} for {action} of {subject}"
                raise BadFileError(path, "wrong count", what, f"{'an array' if len(cameras) == 1 else 'four cameras'}")
            for camera, view in zip(cameras, views, strict=True):
                if not isinstance(view, PickledArray):
                    raise BadFileError(path, "not data", f"{_shown(view)} for {action}", "an array of positions")
                words = (subject, action.replace(" ", "_"), *filter(None, (camera,)))
                about = Clip("_".join(words), self.classes.index(name), subject, camera, replication=take)
                found.append((about, view))
        return found

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one take.

        Raises:
            BadFileError: If its array is of another shape or unit.
        """
        clip, stored = self._takes[file]
        array, where = stored.read(file.path), file.path / file.member
        flat = len(self.channels) == 2
        if not flat and array.ndim == 3 and array.shape[1] == 32:
            array = array[:, KEPT]
        image = CAMERAS[clip.camera] if flat else ()
        how = Preparation(self.layout, "xy" if flat else "xyz", missing=self.missing, bodies=1, image_size=image)
        joints, counts = how.apply(where, to_pose(where, array, self.layout, "xy" if flat else "xyz"))
        return [SkeletonSequence(clip, joints, self.layout, counts)] if joints.any() else []

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clip of a take."""
        return [self._takes[file][0]]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide the takes by subjects."""
        return {"xsub": Split.of(clip.subject in TRAINING for clip in clips)}

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and up of the archive."""
        if coordinates == 2:
            return {"origin": IN_THE_IMAGE, "unit": HALF_LONGER, "up": "-y"}
        return {"origin": ON_THE_BODY, "unit": METRES, "up": "z"}


def _objects(path: Path) -> dict[str, Any]:
    """Return the object of each array in the archive that is read; None for others."""
    with bad_file(path, "an archive of VideoPose3D"), open_archive(path) as archive:
        found = dict.fromkeys(name.removesuffix(".npy") for name in archive.namelist()[:12])
        room = MAX_BYTES
        for name in (name for name in _READ if f"{name}.npy" in archive.namelist()):
            member = read_member(archive, f"{name}.npy", path, room, "positions", "bytes unpacked")
            room -= len(member)
            content = BytesIO(member)
            shape, _, dtype = npy_header(content)
            if shape != () or not dtype.hasobject:
                raise BadFileError(path, "not data", f"an array of shape {shape} in {name}", "a dictionary of arrays")
            found[name] = read_objects(path, content)
    return found


def _layout(path: Path, metadata: Any) -> Layout:
    """Return the layout of key points in 2D; ground truth and detectors trained on Human3.6M have its own."""
    facts = metadata if isinstance(metadata, dict) else {}
    name, count = facts.get("layout_name", "h36m"), facts.get("num_joints", 17)
    if name not in ("h36m", "coco") or count != 17:
        found = f"metadata of layout {described(name)} with {described(count)} joints"
        raise BadFileError(path, "wrong count", found, "h36m or coco, 17 joints")
    return COCO17 if name == "coco" else H36M17


def _actions(path: Path, positions: Any) -> list[tuple[str, str, Any]]:
    """Return subject, action and positions of each take, in the order of their names."""
    found = []
    for subject, actions in sorted(positions.items()) if _named(positions) else [("", positions)]:
        if not subject or not _named(actions):
            raise BadFileError(path, "not data", f"{_shown(actions)} for {subject[:20]!r}", "{subject: {action: …}}")
        found += [(subject, action, value) for action, value in sorted(actions.items())]
    return found


def _shown(value: Any) -> str:
    return "an array" if isinstance(value, PickledArray) else described(value)


def _named(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)
