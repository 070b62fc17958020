"""Kinetics-Skeleton: OpenPose's people in the videos of Kinetics-400, as published with ST-GCN.

Yan, Xiong, Lin: Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition, AAAI 2018. The
files read here are ``kinetics_train/NAME.json`` and ``kinetics_val/NAME.json``, whose form
`maskel.datasets.folder.translation` describes, and ``kinetics_train_label.json``, ``kinetics_val_label.json``: for each
name ``has_skeleton``, ``label`` and ``label_index``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from maskel.datasets.base import IN_IMAGES, RawFile, Source, Split
from maskel.datasets.folder.pose import Missing, read_bytes
from maskel.datasets.folder.preparation import Preparation
from maskel.datasets.folder.translation import LABELS
from maskel.datasets.folder.units import READ_AS_FRACTIONS
from maskel.datasets.raw_file import parse_json
from maskel.errors import BadFileError, InputError
from maskel.files import described
from maskel.layouts import OPENPOSE18, Layout
from maskel.sequence import SCORE, XYZ, Channels, Clip, SkeletonSequence

ENDING = "_label.json"
PARTS = ("train", "val")
EMPTY = "clips without a skeleton, by the label file"
MISSING = "clips of the label file without a file"
CLASSES = 1000
"""Most classes; Kinetics has 400 to 700."""


class KineticsSkeleton(Source):
    """Kinetics-Skeleton.

    18 joints in 2D: x and y from -1 to 1 over the image, as in ST-GCN's arrays. People are followed through the clip.

    Benchmark ``val`` trains on the training part and tests on the validation part; ``all`` is for pre-training, if the
    folders hold one part only.

    Args:
        scores: Keep the detector's scores as a channel of the set.
        min_score: A joint of a lower score is missing.
        missing: Missing joints (score 0 or low) are interpolated in time, or stay zero.
        bodies: Bodies of a clip to keep; >= 1.
        actor: Who comes first, and is kept: ``longest``, ``motion``, ``central`` or ``largest``.

    Raises:
        InputError: If an option is out of range.
    """

    name: ClassVar[str] = "kinetics"
    layout: Layout = OPENPOSE18

    def __init__(
        self,
        scores: bool = False,
        min_score: float = 0.0,
        missing: Missing = "interpolate",
        bodies: int = 2,
        actor: Literal["longest", "motion", "central", "largest"] = "longest",
    ) -> None:
        if bodies < 1:
            raise InputError(f"kinetics: found --bodies {bodies}, expected 1 or more")
        self.scores, self.min_score, self.missing, self.bodies, self.actor = scores, min_score, missing, bodies, actor
        self.preparation = Preparation(
            self.layout,
            scores=scores,
            min_score=min_score,
            missing=missing,
            bodies=bodies,
            actor=actor,
            image_size=(1, 1),  # fractions of the image become -1 to 1
        )
        self.may_miss_joints = missing == "zero"
        self.classes: tuple[str, ...] = ()
        self.channels: Channels = (*XYZ[:2], *([SCORE] if scores else []))
        self._clips: dict[Path, tuple[Clip, str]] = {}
        self.passed: Counter[str] = Counter()

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the clips that the label files below ``roots`` name, in their order.

        Raises:
            InputError: If there is no label file, or two name one clip or class differently.
            BadFileError: If a label file is of another form.
        """
        tables = sorted({path for root in roots for path in root.rglob(f"*{ENDING}") if path.is_file()})
        if not tables:
            raise InputError(
                f"no file called like kinetics_train{ENDING} is in {', '.join(map(str, roots))}; give the folder "
                "with it, kinetics_train and kinetics_val (own recordings of this form: maskel prepare folder)"
            )
        names: dict[int, str] = {}
        self._clips, self.passed = {}, Counter()
        taken: set[str] = set()
        for table in tables:
            part = next((part for part in PARTS if part in table.name.removesuffix(ENDING).casefold()), "")
            if not part:
                raise InputError(f"{table} names neither train nor val; expected kinetics_train{ENDING} or the like")
            folder = table.with_name(table.name.removesuffix(ENDING))
            for name, (label, number, seen) in _read_labels(table).items():
                file = folder / f"{name}.json"
                if names.setdefault(number, label) != label:
                    raise InputError(f"{table}: class {number} is {label!r} and {names[number]!r}")
                if not seen or not file.is_file():
                    self.passed[MISSING if seen else EMPTY] += 1
                elif name in taken:
                    raise InputError(f"{table}: clip {name} is in another label file too")
                else:
                    taken.add(name)
                    self._clips[file] = Clip(name, number), part
        if not self._clips:
            raise InputError(f"{tables[0]} names no file that is beside it, in {tables[0].name.removesuffix(ENDING)}")
        self.classes = tuple(names.get(number, f"class {number}") for number in range(max(names) + 1))
        return [RawFile(path) for path in self._clips]

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one clip; none if no frame has a person."""
        (clip,) = self.clips(file)
        joints, counts = self.preparation.apply(file.path, self.preparation.read(file.path))
        counts = {what: number for what, number in counts.items() if what not in (LABELS, READ_AS_FRACTIONS)}
        return [SkeletonSequence(clip, joints, self.layout, counts)] if joints.any() else []

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clip that a label file describes."""
        return [self._clips[file.path][0]]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide the clips as the folders do."""
        parts = {clip.name: part for clip, part in self._clips.values()}
        if len(set(parts.values())) < len(PARTS):
            return {"all": Split(tuple(range(len(clips))), ())}
        return {"val": Split.of(parts[clip.name] == "train" for clip in clips)}

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and up of positions in the image."""
        return IN_IMAGES


def _read_labels(path: Path) -> dict[str, tuple[str, int, bool]]:
    """Return label, its number, and whether there is a skeleton, for each name."""
    document: Any = parse_json(read_bytes(path), path)
    expected = "an object with has_skeleton, label and label_index for each name"
    found: dict[str, tuple[str, int, bool]] = {}
    for name, entry in (document if isinstance(document, dict) else {"": document}).items():
        facts = entry if isinstance(entry, dict) else {}
        label, number, seen = (facts.get(key) for key in ("label", "label_index", "has_skeleton"))
        if not isinstance(label, str) or not isinstance(number, int) or not isinstance(seen, bool):
            raise BadFileError(path, "not text", f"{name[:40]!r}: {described(entry)}", expected)
        if not label or not 0 <= number < CLASSES or not name.isprintable() or Path(name).name != name:
            raise BadFileError(path, "bad name", f"{name[:40]!r} of class {number}, {label[:40]!r}", expected)
        found[name] = (label, number, seen)
    return found
