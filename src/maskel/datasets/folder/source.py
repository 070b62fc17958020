"""``maskel prepare folder``: own recordings, labelled or not, in 2D or 3D, of any layout."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from maskel.datasets.base import RawFile, Source, Split
from maskel.datasets.folder.arrays import ArrayChannels, settled_axes
from maskel.datasets.folder.axes import parse_axes
from maskel.datasets.folder.keypoints import FRAME_FILE
from maskel.datasets.folder.labels import TABLE, Facts, facts_of
from maskel.datasets.folder.preparation import Preparation
from maskel.draws import epoch_order
from maskel.errors import BadFileError, InputError
from maskel.layouts import layout_named
from maskel.sequence import XYZ, Channels, Clip, SkeletonSequence

UNLABELLED = "unlabelled"
"""Class of the clips without a label; it is the last one, and in no benchmark but ``all``."""
SUFFIXES = (".npy", ".npz", ".csv", ".json")


class Folder(Source):
    """Own recordings: one file a clip (``.npy``, ``.npz``, ``.csv``, ``.json``), or one of OpenPose's folders.

    Arrays and tables are (T, V, C) or (M, T, V, C); exports of MediaPipe, OpenPose, COCO and MMPose are recognised.
    Labels and subjects come from ``labels.csv`` or from the folders, CLASS/clip and CLASS/SUBJECT/clip.

    Benchmark ``all`` trains on every clip and tests on none: pre-training needs no more. ``xsub``, ``fold1`` …, and
    ``listed`` are made on request.

    Args:
        layout: Name of the joint layout of the files.
        labels: Table of labels; by default ``labels.csv`` in the folder, if it is there.
        test_subjects: Benchmark ``xsub``: test on these subjects, train on the others.
        folds: Benchmarks ``fold1`` to ``foldK``: test on each K-th part of the subjects in turn; 0 for none.
        seed: Of the draw of the folds, 0 or more.
        test_list: Benchmark ``listed``: test on the clips that this file names, one a line, train on the others.
        channels: What the last axis of an array, or of a table without heading, holds; s is the score.
        axes: Order of an array's axes, from bodies M, frames T, joints V, numbers C: ``CTVM``; by default it is found.
        scores: Keep the detector's scores as a channel of the set.
        min_score: A joint of a lower score is missing.
        missing: Missing joints (0, NaN, low score) are interpolated in time, or stay zero.
        bodies: Bodies of a clip to keep where several people were detected: those in most frames; >= 1.
        fps: Frames a second of the set; by default those of the files.
        source_fps: Frames a second of the files; a column ``fps`` of the table comes first.
        scale: Factor from the files' unit to metres (0.001 for millimetres).
        image_size: Width and height of the image: positions in it become -1 to 1 along its longer side.
        centre: Move the origin to the middle of the trunk in the first frame; by default in 3D only.

    Raises:
        InputError: If options do not fit each other, or are out of range.
    """

    name: ClassVar[str] = "folder"

    def __init__(
        self,
        layout: str,
        labels: Path | None = None,
        test_subjects: Sequence[str] = (),
        folds: int = 0,
        seed: int = 0,
        test_list: Path | None = None,
        channels: ArrayChannels = "auto",
        scores: bool = False,
        min_score: float = 0.0,
        missing: Literal["interpolate", "zero"] = "interpolate",
        bodies: int = 2,
        fps: float | None = None,
        source_fps: float | None = None,
        scale: float = 1.0,
        image_size: Sequence[int] = (),
        centre: bool | None = None,
        axes: str = "",
    ) -> None:
        if bodies < 1 or folds < 0 or folds == 1 or seed < 0:
            raise InputError("folder: expected bodies of 1 or more, folds of 2 or more, and a seed of 0 or more")
        if not all(0 < rate < 10_000 for rate in (fps, source_fps, scale) if rate is not None):
            raise InputError("folder: expected fps, source_fps and scale above 0")
        if len(image_size) not in (0, 2) or any(not 0 < side < 100_000 for side in image_size):
            raise InputError("folder: expected --image-size WIDTH HEIGHT in pixels")
        if source_fps is not None and fps is None:
            raise InputError("folder: --source-fps says what --fps is to be made from; give both")
        self.layout = layout_named(layout)
        self.labels = labels
        self.test_subjects = tuple(test_subjects)
        self.folds = folds
        self.seed = seed
        self.test_list = test_list
        self.preparation = Preparation(
            self.layout,
            channels,
            scores,
            min_score,
            missing,
            bodies,
            fps,
            source_fps,
            scale,
            tuple(image_size),
            centre,
            parse_axes(axes) if axes else "",
        )
        self.may_miss_joints = missing == "zero"
        self._facts: dict[Path, Facts] = {}
        self._labelled: frozenset[str] = frozenset()
        self._tests: dict[str, frozenset[str]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """The clips below ``roots``, by name; what is known of them is read as well.

        Raises:
            InputError: If a root is no folder, holds no clip, or labels and splits do not fit the clips.
            BadFileError: If the table of labels is not what it should be.
        """
        files: list[RawFile] = []
        for root in roots:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder; hand over the folder that holds the recordings")
            table = self.labels or (root / TABLE if (root / TABLE).is_file() else None)
            clips = _clips_in(root, table)
            if not clips:
                raise InputError(f"{root} holds no recording; expected files {', '.join(SUFFIXES)}, one a clip")
            self._facts |= dict(zip(clips, facts_of(root, clips, table), strict=True))
            files += [RawFile(path, labels=table) for path in clips]
        known = self._facts.values()
        labels = sorted({facts.label for facts in known if facts.label})
        if UNLABELLED in labels:
            raise InputError(f"a class is called {UNLABELLED}; leave its label empty instead")
        self.classes = (*labels, *([UNLABELLED] if any(not facts.label for facts in known) else []))
        self._labelled = frozenset(facts.name for facts in known if facts.label)
        self._tests = self._test_clips([facts for facts in known if facts.label])
        if not self.preparation.axes:
            arrays = [path for path in self._facts if path.suffix == ".npy"]
            found = settled_axes(arrays, self.layout, self.preparation.channels)
            self.preparation = replace(self.preparation, settled=found)
        self.channels = self._find_channels()
        return list(dict.fromkeys(files))

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """The clip of one file; none if no body is in any frame.

        Raises:
            BadFileError: If the file is not what it should be.
        """
        path = file.path
        pose = self.preparation.read(path)
        if self.preparation.channels_of(pose) != self.channels:
            found, expected = ", ".join(self.preparation.channels_of(pose)), ", ".join(self.channels)
            raise BadFileError(path, "wrong count", f"channels {found}", f"{expected}, as in the first file")
        joints, counts = self.preparation.apply(path, pose, self._facts[path].fps)
        if not joints.any():
            return []
        return [SkeletonSequence(clip, joints, self.layout, counts) for clip in self.clips(file)]

    def clips(self, file: RawFile) -> list[Clip]:
        """What table or folders say of a file's clip."""
        facts = self._facts[file.path]
        label = self.classes.index(facts.label or UNLABELLED)
        return [Clip(facts.name, label, facts.subject, facts.camera, facts.setup, facts.replication)]

    def recorded(self) -> dict[str, object]:
        """The options as given; `channels` are those of arrays."""
        how = {field.name: getattr(self.preparation, field.name) for field in fields(self.preparation)}
        return super().recorded() | how | {"layout": self.layout.name}

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """``all``, and what was asked for; clips without a label are in ``all`` only."""
        everything = tuple(range(len(clips)))
        labelled = [i for i in everything if clips[i].name in self._labelled]
        return {"all": Split(everything, ())} | {
            name: Split(
                tuple(i for i in labelled if clips[i].name not in test),
                tuple(i for i in labelled if clips[i].name in test),
            )
            for name, test in self._tests.items()
        }

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """What ``all`` is for."""
        if benchmark != "all":
            return ""
        return "every clip, for pre-training (--benchmark all); --test-subjects, --folds or --test-list make others"

    def _test_clips(self, labelled: Sequence[Facts]) -> dict[str, frozenset[str]]:
        """For each benchmark but ``all`` the names of its test clips."""
        parts: dict[str, Sequence[str]] = {}
        subjects = sorted({facts.subject for facts in labelled})
        if (self.test_subjects or self.folds) and (not subjects or not all(subjects)):
            raise InputError(
                "a split by subject needs clips with labels, each with a subject: as CLASS/SUBJECT/clip, or in the "
                "columns label and subject of the table"
            )
        if self.test_subjects:
            if unknown := set(self.test_subjects) - set(subjects):
                raise InputError(
                    f"--test-subjects: no clip is of subject {min(unknown)!r}; known: {', '.join(subjects)}"
                )
            parts["xsub"] = self.test_subjects
        if self.folds:
            if self.folds > len(subjects):
                raise InputError(f"--folds {self.folds}: there are only {len(subjects)} subjects")
            order = epoch_order(self.seed, 0, np.arange(len(subjects)))
            for fold in range(self.folds):
                parts[f"fold{fold + 1}"] = [subjects[i] for i in order[fold :: self.folds]]
        tests = {
            name: frozenset(facts.name for facts in labelled if facts.subject in part) for name, part in parts.items()
        }
        if self.test_list:
            tests["listed"] = self._listed(labelled)
        for name, test in tests.items():
            if len(test) == len(labelled):
                raise InputError(f"benchmark {name}: every clip is a test clip; leave some to train on")
        return tests

    def _listed(self, labelled: Sequence[Facts]) -> frozenset[str]:
        assert self.test_list is not None
        try:
            lines = [line.strip() for line in self.test_list.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the list of test clips {self.test_list}: {error}") from error
        names = {facts.name for facts in labelled}
        known = {str(name): name for name in names} | {f"{name}{suffix}": name for name in names for suffix in SUFFIXES}
        for number, line in enumerate(lines, start=1):
            if line and line not in known:
                raise InputError(
                    f"{self.test_list}, line {number}: found {line!r}, expected the name of a labelled clip"
                )
        return frozenset(known[line] for line in lines if line)

    def _find_channels(self) -> Channels:
        """The channels of the first file that can be read."""
        for path in self._facts:
            try:
                return self.preparation.channels_of(self.preparation.read(path))
            except (BadFileError, OSError):
                continue  # it is reported when its turn comes
        return XYZ


def _clips_in(root: Path, table: Path | None) -> list[Path]:
    """Files and folders below ``root`` that are a clip each, by name."""
    frames = {file.parent for file in root.rglob(FRAME_FILE)}
    files = {path for path in root.rglob("*") if path.suffix in SUFFIXES and path.is_file()}
    files = {path for path in files if path.parent not in frames and path.name != TABLE and path != table}
    hidden = {path for path in frames | files if any(part.startswith(".") for part in path.relative_to(root).parts)}
    return sorted((frames | files) - hidden)
