"""New recordings made into a set as the clips were that a classifier learned from, whole or in windows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from maskel import distributed
from maskel.conversion import Conversion
from maskel.datasets.base import ON_THE_BODY, Provenance, Source
from maskel.datasets.contents import summed
from maskel.datasets.folder.ranges import read_moment
from maskel.datasets.provenance import build_source, conversion_to, describe
from maskel.datasets.reading import WindowReader, read_all
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.datasets.windows import Extent, Windows, cut_windows
from maskel.errors import BadFileError, InputError
from maskel.files import damaged_as, map_npy, one_line
from maskel.methods.classifier import Classifier, LabelSpec
from maskel.sequence import UNLABELLED, Clip, SkeletonSequence

_FEW_FILES = 64  # that one process reads before others would have started
_SHOWN_FAULTS = 10


@dataclass(frozen=True)
class Making:
    """A way to make recordings as the clips were that a classifier learned from.

    Args:
        source: Reads them.
        made: Provenance of the classifier's training clips.
    """

    source: Source
    made: Provenance

    @classmethod
    def of(cls, classifier: Path | str, model: Classifier, source_fps: float | None = None) -> "Making":
        """Preparation of new recordings like that of a classifier's training clips.

        Args:
            classifier: Its file, for messages.
            model: The classifier.
            source_fps: Frames a second of the recordings, where its clips were brought to a frame rate.

        Raises:
            InputError: If nothing says how they were made, or that cannot be done again.
        """
        made = model.label_spec.provenance
        if made is None:
            raise InputError(
                f"{classifier} does not record how its training joints were made (released and older files do not), so "
                "recordings cannot be prepared alike; give a set of maskel prepare, or add --as-prepared for .npy "
                "files in the unit and with the origin of the training set"
            )
        try:
            return cls(build_source(made, **({} if source_fps is None else {"source_fps": source_fps})), made)
        except InputError as fault:
            raise _other_than(classifier, made, fault) from fault

    @cached_property
    def converted(self) -> Conversion | None:
        """Conversion of the source's joints to the classifier's layout, once they are found; None where they have it.

        Raises:
            InputError: If joints do not convert.
        """
        return conversion_to(self.source, self.made.to_layout)

    def apply(self, sequence: SkeletonSequence) -> SkeletonSequence:
        """Convert a clip to the classifier's layout, without a label."""
        clip = replace(sequence.clip, label=UNLABELLED)
        if self.converted is None:
            return replace(sequence, clip=clip)
        joints, layout = self.converted.apply(sequence.joints), self.converted.target
        return replace(sequence, clip=clip, joints=joints, layout=layout)


def _other_than(classifier: Path | str, made: Provenance, fault: InputError) -> InputError:
    return InputError(
        f"{classifier} learned from clips of maskel prepare {made.source} and takes what that takes: {fault}; or hand "
        "over a prepared set"
    )


def prepared(
    classifier: Path,
    roots: Sequence[Path],
    model: Classifier,
    source_fps: float | None,
    folder: Path,
    workers: int,
    windows: Windows | None = None,
) -> tuple[SkeletonSet, Mapping[str, float]]:
    """Prepare the recordings below ``roots`` like the classifier's training clips.

    Args:
        classifier: Its file, for messages.
        roots: Recordings, and folders of them.
        model: The classifier.
        source_fps: Frames a second of the recordings, where its clips were brought to a frame rate.
        folder: Where the set is written.
        workers: Processes that read.
        windows: Windows that slide over each recording, a clip each; None for whole recordings.

    Returns:
        The set, and frames a second of the recordings that say it, by name.

    Raises:
        InputError: If that cannot be done, or no recording can be read.
    """
    making = Making.of(classifier, model, source_fps)
    source = making.source
    try:
        files = source.find_new(roots, model.encoder.channels)
        layout = making.converted.target if making.converted else source.layout
    except BadFileError:
        raise
    except InputError as fault:
        raise _other_than(classifier, making.made, fault) from fault
    distributed.notify(f"prepared as the clips that {classifier} learned from: {describe(making.made)}")
    encoder = model.encoder
    if (layout, source.channels) != (encoder.layout, encoder.channels):
        raise InputError(
            f"{roots[0]} holds {layout.name} ({', '.join(source.channels)}), but {classifier} reads "
            f"{encoder.layout.name} ({', '.join(encoder.channels)})"
        )
    faults: list[BadFileError] = []
    empty: list[str] = []
    workers = 1 if source.one_process or len(files) <= _FEW_FILES else workers
    reader = WindowReader(source, windows) if windows else source
    with SetWriter(folder, layout, model.label_spec.classes, source.name, {}, source.channels) as writer:
        for file, reading in zip(files, read_all(reader, files, workers), strict=True):
            if isinstance(reading, BadFileError):
                faults.append(reading)
                continue
            if not reading:
                empty.append(str(file))
            for sequence in map(making.apply, reading):
                writer.add(_numbered(sequence, len(writer.clips)) if windows else sequence)
        if not writer.clips:
            why = str(faults[0]) if faults else f"nobody is seen in {empty[0]}"
            raise InputError(f"none of the {len(files):,} recordings can be classified; the first: {why}")
        writer.finish({})
    _say_left_out(faults, empty)
    dataset = SkeletonSet.open(folder)
    for what, (number, clips) in summed(dataset.counts.values()).items():  # what was dropped, filled in or guessed
        distributed.notify(f"{what}: {number:,}, in {clips:,} clips")
    return dataset, source.frame_rates()


def in_windows(
    dataset: SkeletonSet,
    windows: Windows,
    made: Provenance | None,
    folder: Path,
    positions: Sequence[int] | None = None,
) -> SkeletonSet:
    """Make a set of windows over each clip of a set.

    Args:
        dataset: The set.
        windows: Length and step of the windows.
        made: Provenance of its clips, which tells if each has an origin of its own; None where that is unknown.
        folder: Where the new set is written.
        positions: Clips to cut; all by default.

    Raises:
        InputError: If the windows are in seconds and no frame rate is known, or leave frames out.
    """
    origin = None if made is None else build_source(made).conventions(dataset.coordinates).get("origin")
    if origin is None:
        distributed.notify(
            "windows keep the origin of the clip that they are cut from: it is not recorded how that origin was chosen"
        )
    may_miss = dataset.coordinates == 2 or dataset.options.get("missing") == "zero"
    with SetWriter(folder, dataset.layout, dataset.classes, dataset.source, {}, dataset.channels) as writer:
        for position in range(len(dataset)) if positions is None else positions:
            sequence, centred = dataset.sequence(position), origin == ON_THE_BODY
            for window in cut_windows(sequence, windows, dataset.coordinates, centred, may_miss):
                writer.add(_numbered(window, len(writer.clips)))
        writer.finish({})
    return SkeletonSet.open(folder)


def read_extent(option: str, text: str | None) -> Extent | None:
    """Read a length of time as it is typed: ``64`` frames, ``2.5s``; None where nothing is.

    Args:
        option: Name of the option, for messages.
        text: Text as typed.

    Raises:
        InputError: If it is neither.
    """
    if text is None:
        return None
    try:
        moment = read_moment(text.strip(), "")
    except ValueError as fault:
        raise InputError(f"{option}: found {text!r}, expected frames or seconds, such as 64 or 2.5s") from fault
    if moment is None or moment.value <= 0:
        raise InputError(f"{option}: found {text!r}, expected more than 0, such as 64 or 2.5s")
    return moment


def usual_windows(
    label_spec: LabelSpec, length: Extent | None, step: Extent | None, per_body: bool, rate: float | None
) -> Windows:
    """Return windows as a user wants them, as long as the median training clip where no length is given.

    Args:
        label_spec: Classes, body slots and lengths of the classifier's training clips.
        length: Length of a window; None for that of the training clips.
        step: See `Windows`.
        per_body: See `Windows`.
        rate: See `Windows`.

    Raises:
        InputError: If no length is given, and the classifier does not know any.
    """
    if length is None:
        frames = label_spec.median or label_spec.longest
        if frames is None:
            raise InputError(
                "the classifier does not say how long its training clips were (a release's, or older); give "
                "--window-length, in frames or in seconds, such as 60 or 2.5s"
            )
        fps = label_spec.provenance and label_spec.provenance.options.get("fps")
        length = Extent(frames / fps, seconds=True) if fps else Extent(float(frames))
    return Windows(length, step, per_body, rate)


def _numbered(window: SkeletonSequence, number: int) -> SkeletonSequence:
    """Give a window a name of its own; which it is stands in the clip's other fields."""
    return replace(window, clip=replace(window.clip, name=str(number)))


def _say_left_out(faults: Sequence[BadFileError], empty: Sequence[str]) -> None:
    left_out = [*map(str, faults), *(f"{name}: nobody is seen in it" for name in empty)]
    for line in left_out[:_SHOWN_FAULTS]:
        distributed.notify(f"left out: {line}")
    if len(left_out) > _SHOWN_FAULTS:
        distributed.notify(f"left out: {len(left_out) - _SHOWN_FAULTS:,} more recordings")


def as_they_are(paths: Sequence[Path], model: Classifier, folder: Path) -> SkeletonSet:
    """Make a set that holds the joints of ``.npy`` files as they stand there.

    Args:
        paths: The files.
        model: The classifier that is to read them.
        folder: Where the set is written.

    Raises:
        InputError: If a file does not hold joints of the classifier's layout.
    """
    stems = Counter(path.stem for path in paths)
    layout, channels = model.encoder.layout, model.encoder.channels
    with SetWriter(folder, layout, model.label_spec.classes, "clip", {}, channels) as writer:
        for path in dict.fromkeys(paths):
            joints = _read_joints(path, model)
            try:
                name = path.stem if stems[path.stem] == 1 else str(path)
                writer.add(SkeletonSequence(Clip(name, UNLABELLED), joints, layout))
            except ValueError as fault:
                raise InputError(f"{path}: {fault}") from fault
        writer.finish({})
    return SkeletonSet.open(folder)


def _read_joints(file: Path, model: Classifier) -> Float[np.ndarray, "m t v c"]:
    layout, channels = model.encoder.layout, model.encoder.channels
    expected = f"a .npy file of floats (T, {len(layout)}, {len(channels)}) or (M, T, {len(layout)}, {len(channels)})"
    with damaged_as(lambda fault: InputError(f"{file}: expected {expected} ({one_line(fault)})")):
        array = map_npy(file)
    fits = array.ndim in (3, 4) and np.issubdtype(array.dtype, np.floating)
    if not fits or array.shape[-2:] != (len(layout), len(channels)):
        raise InputError(f"{file}: found {array.dtype} {array.shape}, expected {expected} of layout {layout.name}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
        return np.array(array if array.ndim == 4 else array[None], dtype=np.float32)
