"""The pickles of PYSKL and MMAction2: annotations of clips in 2D or 3D, and the names of each split's clips.

Duan, Wang, Chen, Lin: PYSKL: Towards Good Practices for Skeleton Action Recognition, 2022. A file holds
``dict(split={name: [frame_dir, …]}, annotations=[…])``; an annotation has ``frame_dir``, ``total_frames``, ``label``,
``keypoint`` (M, T, V, C) and, in 2D, ``keypoint_score`` (M, T, V) and ``img_shape`` (height, width) in pixels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from maskel.datasets import interchange
from maskel.datasets.base import AS_RECORDED, IN_IMAGES, METRES, RawFile, Split, upwards
from maskel.datasets.counts import Counts
from maskel.datasets.folder.gaps import body_exists
from maskel.datasets.folder.pose import Missing, Pose
from maskel.datasets.interchange import GivenChannels, Toolbox
from maskel.datasets.pickled import one_number, read_pickle, refuse_repeated
from maskel.datasets.pyskl_annotation import (
    Annotation,
    Image,
    check_pixels,
    image_of,
    normalised,
    outside,
    read_keypoints,
    shape_of,
)
from maskel.errors import BadFileError, InputError
from maskel.files import described
from maskel.layouts import COCO17, KINECT20, NTU25, OPENPOSE18
from maskel.sequence import Clip, SkeletonSequence
from maskel.text import listed

LAYOUTS = {"xy": (COCO17, OPENPOSE18), "xys": (COCO17, OPENPOSE18), "xyz": (NTU25, KINECT20)}
"""Default layouts, by channels; the number of joints chooses one of them."""
LOOKED_AT = 64
"""Clips of a file whose units and order of image sizes are checked."""
MAX_CLIPS, MAX_NAMES = 1_000_000, 5_000_000
"""Most annotations of a file, and most names in its splits together."""
SPELLINGS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
"""Other spellings of the parts in splits' names."""


class Pyskl(Toolbox):
    """A pickle in the form of PYSKL and MMAction2; its code is never run.

    Joints in 2D are in pixels; they become (x - w/2)/(w/2) and (y - h/2)/(h/2), as PYSKL normalises them, so that the
    image spans [-1, 1] and y points down. Joints in 3D are kept unchanged. Bodies of zeros are left out. Splits
    ``xsub_train`` and ``xsub_val`` become benchmark ``xsub``, ``train`` and ``val`` become ``val``, ``train1`` and
    ``test1`` become ``split1``; without a split to test on, the benchmark is ``all``. Older versions of MMAction2 write
    one list of annotations per file; each of these files is one split: ``xsub_train.pkl``, ….

    Args:
        layout: Joint layout; by default from the number of joints (17 in 2D: coco17, 25 in 3D: ntu25, …).
        scores: Keep the detector's scores as a third channel.
        channels: Meaning of the numbers in ``keypoint``; by default xy or xyz. xys if the third is a score.
        missing: Missing joints (0, NaN, score 0) are interpolated in time, or are zero, as in PYSKL.
        min_score: A joint with a lower score is missing; PYSKL uses 0.01.
        image_size: Width and height of every image in pixels, instead of the sizes in the file.
        scale: Factor from the file's unit to metres, in 3D.
        first_label: Label of the first class, 0 or 1, if the file leaves it open.
        bodies: Bodies of a clip to keep, 1 or more.
        actor: Who comes first, and is kept: ``longest`` (seen in most frames), ``motion`` (moves most), ``central``
            (nearest to the middle), ``largest``; by default the file's order, and of more bodies than are kept the
            longest.

    Raises:
        InputError: If there is no such layout, or options are out of range.
    """

    name: ClassVar[str] = "pyskl"
    one_process: ClassVar[bool] = True

    def __init__(
        self,
        layout: str = "",
        scores: bool = False,
        channels: GivenChannels = "auto",
        missing: Missing = "interpolate",
        min_score: float = 0.0,
        image_size: Sequence[int] = (),
        scale: float = 1.0,
        first_label: int | None = None,
        bodies: int = 2,
        actor: str = "",
    ) -> None:
        super().__init__(layout, channels, scores, missing, scale, first_label, bodies, actor)
        if len(image_size) not in (0, 2) or any(not 0 < side < 100_000 for side in image_size):
            raise InputError("pyskl: expected --image-size WIDTH HEIGHT in pixels")
        self.min_score = min_score
        self.image_size = tuple(image_size)
        self.image: Image | None = None
        self.annotations: Mapping[RawFile, Annotation] = {}
        self.labels: Mapping[RawFile, int] = {}
        self.splits: Mapping[str, Sequence[str]] = {}
        self.pairs: Mapping[str, tuple[str, str]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Return the clips of the file in ``roots``, in its order, or of several files or folders of one part each.

        A folder holds pickles of one annotation each, as MMAction2's script for own videos writes them.

        Raises:
            InputError: If there is no file, several have splits, labels may count from 0 or 1, or a benchmark is empty.
            BadFileError: If it holds anything but such annotations and splits.
        """
        if not roots or not all(root.exists() for root in roots):
            raise InputError(f"found {', '.join(map(str, roots))}, expected one pickle of PYSKL or MMAction2")
        path = roots[0]
        contents = {root: _in_folder(root) if root.is_dir() else _in_file(root) for root in roots}
        splits, _ = contents[path]
        self.annotations = {file: clip for _, clips in contents.values() for file, clip in clips.items()}
        if len(contents) > 1:
            if named := [root for root, (given, _) in contents.items() if given]:
                raise InputError(f"{named[0]} has splits of its own; give it alone")
            splits = {root.stem: list(map(_name, clips.values())) for root, (_, clips) in contents.items()}
        for root, (_, clips) in contents.items():
            refuse_repeated(root, [clip.get("keypoint") for clip in clips.values()])
        labels = [
            interchange.label_of(str(file), one_number(file.path, clip.get("label")))
            for file, clip in self.annotations.items()
        ]
        names = list(map(_name, self.annotations.values()))
        if twice := interchange.repeated([name for name in names if name]):
            raise BadFileError(path, "bad name", f"{len(twice)} frame_dir that repeat ({twice[0][:80]})", "one a clip")
        self.labels = dict(zip(self.annotations, self.settle_classes(path, names, labels), strict=True))
        self.splits, self.pairs = _matched(path, splits, names, self.passed)
        self._channels(path)
        images = {self._image(file)[0] for file in self.annotations}
        self.image = images.pop() if len(images) == 1 else None
        self._question(list(self.annotations))
        return list(self.annotations)

    def _channels(self, path: Path) -> None:
        """Set layout and channels from the first clip's shape."""
        shapes = {file: shape_of(clip) for file, clip in self.annotations.items()}
        file = next((file for file, shape in shapes.items() if len(shape) > 2), next(iter(shapes)))
        shape = shapes[file]
        read_as = {2: "xy", 3: "xyz"}
        if len(shape) not in (3, 4) or shape[-1] not in read_as:
            expected = "keypoint of shape (bodies, frames, joints, 2 or 3)"
            keys = ", ".join(str(key)[:30] for key in list(self.annotations[file])[:12])
            raise BadFileError(str(file), "wrong count", f"shape {shape} under the keys {keys}", expected)
        joints, numbers = shape[-2:]
        self.settle_channels(read_as[numbers] if self.given_channels == "auto" else self.given_channels)
        layouts = [layout for layout in LAYOUTS[self.read_as] if len(layout) == joints]
        if not self.given_layout and not layouts:
            third = "; if the third number is a score, add --channels xys" if self.read_as == "xyz" else ""
            dimensions = "2D" if self.read_as == "xy" else "3D"
            raise InputError(
                f"{path} has {joints} joints in {dimensions}; say which they are with --layout NAME{third}"
            )
        self.layout = self.given_layout or layouts[0]

    def _image(self, file: RawFile) -> tuple[Image | None, Counts]:
        if self.image_size:
            width, height = self.image_size
            return (height, width), {}
        return image_of(file, self.annotations[file])

    def _question(self, files: Sequence[RawFile]) -> None:
        """Refuse a file whose height and width seem swapped, or that seems to have a score in the place of z."""
        beyond, swapped, seen, scores = 0, 0, 0, []
        for at in np.unique(np.linspace(0, len(files) - 1, LOOKED_AT).astype(int)).tolist():
            try:
                joints = self._pose(files[at]).joints
            except BadFileError:
                continue  # `read` reports it
            image, _ = self._image(files[at])
            if not self.flat and np.isfinite(joints).any():
                scores.append(interchange.is_score(joints[..., 2]) and float(np.nanmax(joints[..., :2])) > 2)
            elif self.flat and image and not self.image_size:
                beyond += outside(joints, image)
                swapped += outside(joints, image[::-1])
                seen += int(np.isfinite(joints).all(-1).sum())
        self.refuse_scores(files[0].path, scores)
        if seen and not swapped and beyond > 0.003 * seen:
            found = f"{beyond} of {seen} joints outside of img_shape, and none with its sides swapped"
            expected = "(height, width); --image-size WIDTH HEIGHT says which"
            raise BadFileError(files[0].path, "wrong unit", found, expected)

    def _pose(self, file: RawFile) -> Pose:
        """Read an annotation's bodies; NaN where a joint is missing."""
        pose = read_keypoints(file, self.annotations[file], self.layout, self.read_as)
        return replace(pose, joints=interchange.with_gaps(pose.joints, pose.scores, self.min_score))

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one clip; none if its joints are all missing."""
        (clip,) = self.clips(file)
        pose = self._pose(file)
        if self.scores and pose.scores is None:
            raise BadFileError(str(file), "wrong count", "no keypoint_score", "scores, as --scores needs them")
        if not body_exists(pose.joints).any():
            return []
        if self.flat:
            image, guessed = self._image(file)
            if image is None:
                found = f"no img_shape (height, width) but {described(self.annotations[file].get('img_shape'))}"
                raise BadFileError(str(file), "wrong count", found, "the size of the image; --image-size WIDTH HEIGHT")
            check_pixels(file, pose.joints, image)
            pose = replace(pose, counts={**pose.counts, **guessed})
            pose = interchange.main_bodies(str(file), pose, self.bodies, self.actor, np.array(image[::-1]) / 2)
            pose = replace(pose, joints=normalised(pose.joints, image))
        else:
            pose = replace(pose, joints=pose.joints * self.scale)
            interchange.check_metres(str(file), pose.joints, "--scale 0.001 for millimetres")
            pose = interchange.main_bodies(str(file), pose, self.bodies, self.actor)
        return [self.completed(clip, pose)]

    def clips(self, file: RawFile) -> list[Clip]:
        """Return name, label and origin of an annotation's clip."""
        name = self.annotations[file].get("frame_dir")
        if not isinstance(name, str) or len(name.splitlines()) != 1:
            raise BadFileError(str(file), "bad name", f"frame_dir {described(name)!r}", "a name of one line")
        return [interchange.clip_named(name, self.labels[file])]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Return one benchmark for each pair of a training and a test split, without left-out clips."""
        positions = {clip.name: position for position, clip in enumerate(clips)}
        found = {
            name: tuple(positions[clip] for clip in names if clip in positions) for name, names in self.splits.items()
        }
        if not self.pairs:
            (every,) = found.values()
            return {"all": Split(every, ())}
        return {benchmark: Split(found[train], found[test]) for benchmark, (train, test) in self.pairs.items()}

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and up: as recorded in 3D, halves of the image in 2D."""
        if coordinates == 2:
            return IN_IMAGES
        return {"origin": AS_RECORDED, "unit": METRES, **(upwards(self.given_layout) if self.given_layout else {})}

    def recorded(self) -> dict[str, object]:
        """Return the options, and the images' height and width if all clips share them."""
        return super().recorded() | {"img_shape": self.image}


def _matched(
    path: Path, splits: Mapping[str, Sequence[str]], names: Sequence[str], notes: Counter[str]
) -> tuple[dict[str, list[str]], dict[str, tuple[str, str]]]:
    """Match the names in splits with those of the annotations, and pair the splits to benchmarks.

    Names that differ in case, Unicode form, folders or ending match if only one clip fits.

    Returns:
        The splits with matched names, and the (training, test) splits of each benchmark.

    Raises:
        InputError: If splits form no benchmark, or a part of a benchmark has no clip.
    """
    if not splits:
        return {"all": [name for name in names if name]}, {}
    pairs = _benchmarks(tuple(splits))
    paired = {part for pair in pairs.values() for part in pair}
    unpaired = [name for name in splits if name not in paired]
    if not pairs and (len(splits) > 1 or _canonical(unpaired[0]) in ("val", "test")):
        found = listed(splits)
        raise InputError(f"{path} has the splits {found}; expected train and val (or test), xsub_train and xsub_val, …")
    names_there = set(names)
    keys = [interchange.key_of(name) for name in names]
    alone = {key: name for key, name in zip(keys, names, strict=True)} if len(set(keys)) == len(keys) else {}
    matched: dict[str, list[str]] = {}
    for split, wanted in splits.items():
        matched[split] = [name if name in names_there else alone.get(interchange.key_of(name), "") for name in wanted]
        notes["names in splits that no clip has"] += matched[split].count("")
        respelled = sum(name not in ("", written) for name, written in zip(matched[split], wanted, strict=True))
        notes["names in splits spelled otherwise (case, ending, folder)"] += respelled
        matched[split] = list(dict.fromkeys(filter(None, matched[split])))
        if not matched[split] and (split not in unpaired or not pairs):
            like = f", as {wanted[0][:80]!r}; the clips are called like {names[0][:80]!r}" if wanted else ""
            raise InputError(f"{path}: split {split} has {len(wanted)} names, and no clip has one of them{like}")
    if pairs:
        notes.update({f"names in split {split}, which is in no benchmark": len(splits[split]) for split in unpaired})
    everywhere = {name for split in matched.values() for name in split}
    notes["clips in no split"] = sum(name not in everywhere for name in names)
    return matched, pairs


def _canonical(split: str) -> str:
    name = split.casefold()
    for spelling, usual in SPELLINGS.items():
        name = name.replace(spelling, usual)
    return name


def _benchmarks(splits: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the training and the test split of each benchmark."""
    found = {}
    written = {_canonical(split): split for split in splits}
    for train in written:
        for part in ("val", "test"):
            test = train.replace("train", part)
            if "train" in train and test in written:
                rest = train.replace("train", "").strip("_")
                both = all(train.replace("train", other) in written for other in ("val", "test"))
                name = "_".join(filter(None, (rest, part if both or not rest else "")))
                found[f"split{rest}" if rest.isdigit() else name] = (written[train], written[test])
    return found


def _name(annotation: Annotation) -> str:
    name = annotation.get("frame_dir")
    return name if isinstance(name, str) else ""


_Clips = dict[RawFile, Annotation]


def _in_file(path: Path) -> tuple[dict[str, Sequence[str]], _Clips]:
    """Return the splits and annotations of a pickle; one annotation alone is a clip without splits."""
    content = read_pickle(path)
    if isinstance(content, dict) and "keypoint" in content:
        return {}, {RawFile(path): content}
    splits, clips = _content(path, content)
    return splits, {RawFile(path, f"annotations[{at}]"): clip for at, clip in enumerate(clips)}


def _in_folder(folder: Path) -> tuple[dict[str, Sequence[str]], _Clips]:
    """Return the annotations of a folder of pickles with one each."""
    found: _Clips = {}
    for path in sorted(folder.rglob("*.pkl")):
        _, clips = _in_file(path)
        if RawFile(path) not in clips:
            raise InputError(f"{path} holds {len(clips)} annotations; give the file, not the folder around it")
        found |= clips
    if not found:
        raise InputError(f"{folder} holds no .pkl, expected pickles of PYSKL or MMAction2")
    return {}, found


def _content(path: Path, content: Any) -> tuple[dict[str, Sequence[str]], list[Annotation]]:
    """Return splits and annotations; a list of annotations has no splits."""
    expected = "dict(split={name: [frame_dir, …]}, annotations=[{…}, …]) as PYSKL writes it, or a list of annotations"
    clips = content.get("annotations") if isinstance(content, dict) else content
    splits = content.get("split", {}) if isinstance(content, dict) else {}
    if not isinstance(splits, dict) or not isinstance(clips, list):
        listed = ", ".join(str(key)[:30] for key in list(content)[:12]) if isinstance(content, dict) else ""
        keys = f" with the keys {listed}" if isinstance(content, dict) else ""
        labels = "; the labels of ST-GCN's arrays are read with them, by prepare stgcn FOLDER"
        hint = labels if isinstance(content, tuple) and len(content) == 2 else ""
        raise BadFileError(path, "not data", f"a {type(content).__name__}{keys}", expected + hint)
    named = sum(len(names) for names in splits.values() if isinstance(names, list | tuple))
    if len(clips) > MAX_CLIPS or named > MAX_NAMES:
        most = f"at most {MAX_CLIPS:,} clips, and {MAX_NAMES:,} names in all splits"
        raise BadFileError(path, "wrong count", f"{len(clips):,} clips in {len(splits):,} splits", most)
    if not clips or not all(isinstance(clip, dict) for clip in clips):
        raise BadFileError(path, "empty" if not clips else "not data", "no clip or one that is no dictionary", expected)
    for name, names in splits.items():
        if not isinstance(names, list | tuple) or not all(isinstance(text, str) for text in (name, *names)):
            raise BadFileError(path, "not data", f"a split {described(name)!r} that is no list of names", expected)
    return splits, clips
