"""``maskel prepare folder``: own recordings, labelled or not, in 2D or 3D, of any layout."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from maskel.datasets.base import (
    AS_RECORDED,
    HALF_LONGER,
    IN_THE_IMAGE,
    METRES,
    ON_THE_BODY,
    RawFile,
    Source,
    Split,
    upwards,
)
from maskel.datasets.folder.arrays import settled_axes
from maskel.datasets.folder.axes import parse_axes
from maskel.datasets.folder.benchmarks import OwnBenchmarks
from maskel.datasets.folder.clip_files import clips_in, no_clip
from maskel.datasets.folder.gaps import MAX_GAP
from maskel.datasets.folder.labels import Facts, default_table, facts_of, refuse_same, whole_recording
from maskel.datasets.folder.names import refuse_alike
from maskel.datasets.folder.pose import ArrayChannels, Missing, Pose
from maskel.datasets.folder.preparation import SUFFIXES, Preparation
from maskel.datasets.folder.ranges import OUTSIDE, OVERLAPPING
from maskel.datasets.folder.ultralytics import name_of
from maskel.datasets.raw_file import READ_FAULTS
from maskel.datasets.windows import Windows
from maskel.errors import BadFileError, InputError
from maskel.layouts import layout_named
from maskel.sequence import UNLABELLED, XYZ, Channels, Clip, LabelledRange, SkeletonSequence

NO_LABELS = "ranges without a label, taken for background"
EMPTY_RANGES = "ranges without a body"


class Folder(Source):
    """Own recordings: one file a clip (array, table, JSON, motion capture), or a file a frame (OpenPose, Ultralytics).

    Arrays and tables are (T, V, C) or (M, T, V, C); exports of MediaPipe, OpenPose, COCO and MMPose are recognised.
    Labels and subjects come from ``labels.csv`` or from the folders, CLASS/clip and CLASS/SUBJECT/clip. The table may
    also cut a long file into ranges, a clip each.

    Benchmark ``all`` trains on every clip and tests on none: pre-training needs no more. ``xsub``, ``fold1`` …, and
    ``listed`` are made on request. Clips without a label are for pre-training; a benchmark leaves out those of its test
    subjects and of the recordings of its test clips.

    Args:
        layout: Name of the joint layout of the files.
        labels: Table of labels; by default ``labels.csv`` in the folder, if it is there.
        test_subjects: Benchmark ``xsub``: test on these subjects, train on the others.
        folds: Benchmarks ``fold1`` to ``foldK``: test on each K-th part of the subjects in turn; ``subjects`` for each
            subject alone (leave one subject out), by name; 0 for none.
        seed: Seed of the draw of the folds, 0 or more.
        test_list: Benchmark ``listed``: test on the clips that this file names, one a line, train on the others.
        channels: Meaning of the last axis of an array, or of a table without heading; s is the score.
        axes: Order of an array's axes, from bodies M, frames T, joints V, numbers C: ``CTVM``; ``TMVC/VTC/`` if
            arrays with and without bodies differ. By default the order is inferred.
        untrimmed: Keep whole recordings with their labelled ranges, for ``maskel detect``.
        scores: Keep the detector's scores as a channel of the set.
        min_score: A joint of a lower score is missing.
        missing: Missing joints (0, NaN, (-1, -1), score 0 or low) are interpolated in time, or stay zero.
        bodies: Bodies of a clip to keep where several people were detected; >= 1.
        actor: Who comes first, and is kept: ``longest`` (seen in most frames), ``motion`` (moves most), ``central``
            (nearest to the middle), ``largest``, or what the files call a person, such as the number of a track.
        max_gap: Longest absence of a body that is filled in, in frames as they were recorded; 0 or more.
        fps: Frames a second of the set; by default those of the files.
        source_fps: Frames a second of the files; a column ``fps`` of the table comes first, a rate in the file last.
        scale: Factor from the files' unit to metres (0.001 for millimetres); 1 takes bodies of every size.
        image_size: Width and height of the image: positions in it become -1 to 1 along its longer side.
        centre: Move the origin to the middle of the trunk in the first frame; by default in 3D only.

    Raises:
        InputError: If options do not fit each other, or are out of range.

    Examples:
        >>> source = Folder(layout="coco17", test_subjects=["cy"])
        >>> files = source.find([Path("recordings")])
        >>> len(files), source.classes
        (6, ('bow', 'wave'))
        >>> clip = source.read(files[0])[0].clip
        >>> clip.name, clip.label, clip.subject
        ('bow/ann/take0', 0, 'ann')
    """

    name: ClassVar[str] = "folder"
    choosing = ("labels", "test_subjects", "folds", "seed", "test_list", "untrimmed")

    def __init__(
        self,
        layout: str,
        labels: Path | None = None,
        test_subjects: Sequence[str] = (),
        folds: int | str = 0,
        seed: int = 0,
        test_list: Path | None = None,
        channels: ArrayChannels = "auto",
        scores: bool = False,
        min_score: float = 0.0,
        missing: Missing = "interpolate",
        bodies: int = 2,
        fps: float | None = None,
        source_fps: float | None = None,
        scale: float | None = None,
        image_size: Sequence[int] = (),
        centre: bool | None = None,
        max_gap: int = MAX_GAP,
        actor: str = "longest",
        axes: str = "",
        untrimmed: bool = False,
    ) -> None:
        if max_gap < 0 or not actor:
            raise InputError("folder: expected --max-gap of 0 frames or more, and --actor with a name")
        if folds != "subjects" and (not isinstance(folds, int) or folds < 0 or folds == 1):
            raise InputError(f"folder: found --folds {folds}, expected 2 or more, or subjects: a fold for each subject")
        if bodies < 1 or seed < 0:
            raise InputError("folder: expected bodies of 1 or more, and a seed of 0 or more")
        if not all(0 < rate < 10_000 for rate in (fps, source_fps, scale) if rate is not None):
            raise InputError("folder: expected fps, source_fps and scale above 0")
        if len(image_size) not in (0, 2) or any(not 0 < side < 100_000 for side in image_size):
            raise InputError("folder: expected --image-size WIDTH HEIGHT in pixels")
        orders = tuple(parse_axes(order) for order in axes.split("/") if order)
        stated = bool(orders) and "/" not in axes
        self.layout = layout_named(layout)
        self.labels = labels
        self.test_subjects = tuple(test_subjects)
        self.folds = folds
        self.seed = seed
        self.test_list = test_list
        self.preparation = Preparation(
            self.layout,
            channels,
            tuple(image_size),
            max_gap,
            orders[0] if stated else "",
            () if stated else orders,
            scores,
            min_score,
            missing,
            bodies,
            fps,
            source_fps,
            scale,
            centre,
            actor,
        )
        self.untrimmed = untrimmed
        self.may_miss_joints = missing == "zero"
        self._facts: dict[Path, tuple[Facts, ...]] = {}
        self._benchmarks = OwnBenchmarks(self.test_subjects, folds, seed, test_list)
        self._ranges: dict[Path, tuple[Facts, ...]] = {}  # of untrimmed recordings
        self.passed: Counter[str] = Counter()

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the clips below ``roots``, sorted by name; reads the facts about them as well.

        Raises:
            InputError: If a root is no folder, holds no clip, or labels and splits do not fit the clips.
            BadFileError: If the table of labels is malformed.
        """
        files: list[RawFile] = []
        self.passed.clear()
        for root in roots:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder; give the folder that holds the recordings")
            table = self.labels or default_table(root)
            clips, passed = clips_in(root, (table, self.test_list))
            self.passed.update(passed)
            if root in map(name_of, clips):
                raise InputError(f"the files in {root} are the frames of one clip; give the folder above it")
            if not clips:
                raise InputError(no_clip(root, passed))
            facts, passed = facts_of(root, list(clips), table)
            self._facts |= dict(zip(clips, facts, strict=True))
            self.passed.update(passed)
            files += [RawFile(path, labels=table, parts=tuple(parts)) for path, parts in clips.items()]
        all_facts = [facts for several in self._facts.values() for facts in several]
        refuse_alike("classes", (facts.label for facts in all_facts))
        refuse_alike("subjects", (facts.subject for facts in all_facts))
        rate_is_used = self.preparation.fps or any(facts.range and facts.range.in_seconds for facts in all_facts)
        if self.preparation.source_fps is not None and not rate_is_used:
            raise InputError("folder: --source-fps is the rate that --fps is made from; give both")
        self.classes = tuple(sorted({facts.label for facts in all_facts if facts.label}))
        if self.untrimmed:
            self._ranges = {
                path: ranges for path, ranges in self._facts.items() if any(facts.label for facts in ranges)
            }
            self._facts = {path: (whole_recording(path, ranges),) for path, ranges in self._facts.items()}
            if not self._ranges:
                raise InputError("folder: --untrimmed needs ranges with labels, as labels.csv gives them")
        self._benchmarks.choose(self._facts)
        if not (self.preparation.axes or self.preparation.settled):
            arrays = [path for path in self._facts if path.suffix.lower() == ".npy"]
            self.preparation = replace(self.preparation, settled=settled_axes(arrays, self.preparation))
        self.channels = self._find_channels()
        return list(dict.fromkeys(files))

    def find_new(self, roots: Sequence[Path], channels: Channels) -> list[RawFile]:
        """Find new recordings to classify: files, folders of them, or the folder of one clip's frames.

        A folder's ``labels.csv`` is read for frame rates and ranges; it may lack files, and labels are not looked at.

        Raises:
            InputError: If a root does not exist, or holds no recording.
            BadFileError: If a table of labels is malformed.
        """
        found: dict[Path, tuple[Facts, ...]] = {}
        for root in roots:
            if not root.exists():
                raise InputError(f"{root} does not exist; expected a prepared set, recordings, or folders of them")
            table = default_table(root)
            clips, passed = ({root: ()}, {}) if root.is_file() else clips_in(root, (table,))
            self.passed.update(passed)
            if not clips or (root.is_file() and root.suffix.lower() not in SUFFIXES):
                raise InputError(no_clip(root, passed))
            alone = root.is_file() or list(clips) == [root]  # a file, or the frames of one clip
            facts, _ = facts_of(root.parent if alone else root, list(clips), table, strict=False)
            found |= dict(zip(clips, facts, strict=True))
        often = Counter(facts.name for several in found.values() for facts in several)
        self._facts = {
            path: tuple(
                replace(facts, name=str(path) + facts.name[len(facts.recording) or len(facts.name) :])
                if often[facts.name] > 1
                else facts
                for facts in several
            )
            for path, several in found.items()
        }
        self.classes, self.channels = (), channels
        return [RawFile(path) for path in self._facts]

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clips of one file (one, or one for each range in the table); none if no frame has a body.

        Raises:
            BadFileError: If the file is damaged or of another form, or a range does not lie in it.
        """
        path = file.path
        pose = self._pose(path)
        if self.untrimmed:
            return self._whole(file, pose)
        sequences: list[SkeletonSequence] = []
        spans = self._spans(path, pose)
        for facts, clip, (first, end) in zip(self._facts[path], self.clips(file), spans, strict=True):
            part = pose
            if facts.range:
                low, high = (pose.first_frame + place * pose.step for place in (first, end))
                part, clip = pose.cut(first, end), replace(clip, first_frame=low, end_frame=high)
            joints, counts = self.preparation.apply(path, part, facts.fps)
            shared = sum(first < other_end and start < end for start, other_end in spans) > 1
            if joints.any():
                counts = {**counts, OVERLAPPING: int(shared)}
                sequences.append(SkeletonSequence(clip, joints, self.layout, counts))
        if sequences and self._facts[path][0].range:  # counts of the whole recording are added once
            seen = np.zeros(pose.joints.shape[1], dtype=bool)
            for first, end in spans:
                seen[first:end] = True
            lost = {OUTSIDE: int((~seen).sum()), EMPTY_RANGES: len(self._facts[path]) - len(sequences)}
            counts = dict(Counter(dict(sequences[0].counts)) + Counter(dict(pose.counts)) + Counter(lost))
            sequences[0] = replace(sequences[0], counts=counts)
        return sequences

    def _whole(self, file: RawFile, pose: Pose) -> list[SkeletonSequence]:
        """Return a recording as one clip, all its frames kept; none if nobody is in it."""
        path = file.path
        labelled = self._ranges.get(path, ())
        (clip,) = self.clips(file)
        joints, counts = self.preparation.apply(path, pose, self._facts[path][0].fps, every_frame=True)
        if not joints.any():
            return []
        rate = self._facts[path][0].fps or self.preparation.source_fps or pose.fps
        share = self.preparation.fps * pose.step / rate if self.preparation.fps and rate else 1.0
        ranges = []
        for facts, span in zip(labelled, self._spans(path, pose, labelled), strict=True):
            if facts.label:
                first, end = (min(round(frame * share), joints.shape[1]) for frame in span)
                label = self.classes.index(facts.label)
                ranges.append(LabelledRange(label, min(first, max(end, 1) - 1), max(end, 1)))
        counts = {**counts, NO_LABELS: len(labelled) - len(ranges)}
        return [SkeletonSequence(clip, joints, self.layout, counts, tuple(ranges))]

    def read_windows(self, file: RawFile, windows: Windows) -> list[SkeletonSequence]:
        """Read the clip of one file, or those that the table cuts it into, in windows.

        A window of all people is what the table's ``start`` and ``end`` would cut out. For windows of each person
        people are found in the whole clip; ``subject`` is what the file calls them, or a number. ``first_frame`` and
        ``end_frame`` count frames as the file does.

        Raises:
            BadFileError: If the file is not what it should be.
            InputError: If the windows are in seconds and no frame rate is known, or leave frames out.
        """
        path = file.path
        pose = self._pose(path)
        found = []
        spans = self._spans(path, pose)
        for facts, clip, (first, end) in zip(self._facts[path], self.clips(file), spans, strict=True):
            number = pose.first_frame + first * pose.step
            part = replace(pose.cut(first, end), counts=pose.counts, first_frame=number)
            rate = facts.fps or self.preparation.source_fps or pose.fps or windows.rate
            about = replace(clip, recording=facts.name)
            found += self.preparation.windows(path, part, about, windows, rate, facts.fps)
        return found

    def frame_rates(self) -> Mapping[str, float]:
        """Return the frames a second that a table of labels or ``source_fps`` says."""
        all_facts = [facts for several in self._facts.values() for facts in several]
        rates = {facts.name: facts.fps or self.preparation.source_fps for facts in all_facts}
        return {name: rate for name, rate in rates.items() if rate}

    def _pose(self, path: Path) -> Pose:
        """Read a file, which must have the set's channels."""
        pose = self.preparation.read(path)
        if self.preparation.channels_of(pose) != self.channels:
            found, expected = ", ".join(self.preparation.channels_of(pose)), ", ".join(self.channels)
            raise BadFileError(path, "wrong count", f"channels {found}", f"{expected}, as in the first file")
        return pose

    def _spans(self, path: Path, pose: Pose, several: Sequence[Facts] | None = None) -> list[tuple[int, int]]:
        """Return first frame and end of each clip of a file, or of other ranges of it; no two may be equal."""
        count, spans = pose.joints.shape[1], list[tuple[int, int]]()
        several = self._facts[path] if several is None else several
        for facts in several:
            if facts.range is None:
                return [(0, count)]
            rate = facts.fps or self.preparation.source_fps or pose.fps
            span = facts.range.frames(path, count, rate, pose.first_frame, pose.step)
            if span in spans:
                refuse_same(facts.range.table, facts, several[spans.index(span)])
            spans.append(span)
        return spans

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the facts about a file's clips from table or folders."""
        labels = {} if self.untrimmed else {name: label for label, name in enumerate(self.classes)}
        return [facts.clip(labels.get(facts.label, UNLABELLED)) for facts in self._facts[file.path]]

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and up by the options; the unit of positions in 2D without an image size is unknown."""
        how = self.preparation
        flat = bool(how.image_size) or coordinates == 2
        centred = coordinates == 3 if how.centre is None else how.centre
        unit = {"unit": HALF_LONGER} if how.image_size else {} if flat else {"unit": METRES}
        origin = ON_THE_BODY if centred else IN_THE_IMAGE if how.image_size else AS_RECORDED
        return {"origin": origin, **unit, **({"up": "-y"} if flat else upwards(self.layout))}

    def recorded(self) -> dict[str, object]:
        """Return the options as given; `channels` are those of arrays."""
        how = {field.name: getattr(self.preparation, field.name) for field in fields(self.preparation)}
        settled = how.pop("settled")  # the orders decided by the arrays hold for new ones too
        how["axes"] = how["axes"] or "/".join((*settled, "")) * bool(settled)
        return super().recorded() | how | {"layout": self.layout.name}

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Return ``all``, and the benchmarks that the options define."""
        return self._benchmarks.splits(clips, {self._facts[path][0].name for path in self._ranges})

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """Name the test subjects, or explain ``all``."""
        return self._benchmarks.explain(benchmark)

    def _find_channels(self) -> Channels:
        for path in self._facts:
            try:
                return self.preparation.channels_of(self.preparation.read(path))
            except READ_FAULTS:
                continue  # reported later, when it is read
        return XYZ
