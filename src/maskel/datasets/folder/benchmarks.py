"""Benchmarks of own recordings: test subjects, folds of subjects, or a list of test clips."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskel.datasets.base import Split
from maskel.datasets.folder.labels import Facts
from maskel.datasets.folder.names import Finder, hint, meant, numerically
from maskel.draws import epoch_order
from maskel.errors import InputError
from maskel.files import read_lines
from maskel.sequence import UNLABELLED, Clip
from maskel.text import listed

_SHOWN = 5


@dataclass
class OwnBenchmarks:
    """Benchmarks that the options of `Folder` define, and ``all``.

    Args:
        test_subjects: Subjects that test in ``xsub``.
        folds: Number of folds, or ``subjects`` for a fold of each subject; 0 for none.
        seed: Seed of the draw of the folds.
        test_list: File that names the test clips of ``listed``.
    """

    test_subjects: Sequence[str]
    folds: int | str
    seed: int
    test_list: Path | None

    def __post_init__(self) -> None:
        self._tests: dict[str, frozenset[str]] = {}  # names of the test clips of each benchmark but `all`
        self._tested: dict[str, tuple[str, ...]] = {}  # test subjects of each benchmark
        self._held: dict[str, set[tuple[str, str]]] = {}  # test subjects and test recordings of each benchmark

    def choose(self, facts: Mapping[Path, Sequence[Facts]]) -> None:
        """Choose the test clips of each benchmark.

        Raises:
            InputError: If an option names a subject or clip that does not exist, or a benchmark has no training clip.
        """
        known = [about for several in facts.values() for about in several]
        self._tests = self._test_clips(facts, [about for about in known if about.label])
        self._held = {
            name: {origin for about in known if about.name in test for origin in _origins(about)}
            for name, test in self._tests.items()
        }

    def splits(self, clips: Sequence[Clip], untrimmed: Collection[str] = ()) -> dict[str, Split]:
        """Return ``all``, and the benchmarks that the options define.

        Args:
            clips: All clips.
            untrimmed: Names of the clips without a label that hold labelled ranges: they train and test.
        """
        has_label = [clip.label != UNLABELLED or clip.name in untrimmed for clip in clips]
        labelled = [i for i in range(len(clips)) if has_label[i]]
        unlabelled = [i for i in range(len(clips)) if not has_label[i]]
        return {"all": Split(tuple(labelled), (), tuple(unlabelled))} | {
            name: Split(
                tuple(i for i in labelled if clips[i].name not in test),
                tuple(i for i in labelled if clips[i].name in test),
                tuple(i for i in unlabelled if not _origins(clips[i]) & self._held[name]),
            )
            for name, test in self._tests.items()
        }

    def explain(self, benchmark: str) -> str:
        """Name the test subjects of a fold, or explain ``all``; empty for other benchmarks."""
        subjects = self._tested.get(benchmark, ())
        if benchmark.startswith("fold") and subjects:
            return f"tests subject{'s' * (len(subjects) > 1)} {listed(subjects, _SHOWN)}"
        if benchmark != "all":
            return ""
        if self._tests:
            return f"every clip, those that test in {listed(self._tests, _SHOWN)} too: for pre-training alone"
        return "every clip, for pre-training (--benchmark all); --test-subjects, --folds or --test-list make others"

    def _test_clips(
        self, facts: Mapping[Path, Sequence[Facts]], labelled: Sequence[Facts]
    ) -> dict[str, frozenset[str]]:
        """Return the names of the test clips of each benchmark but ``all``."""
        parts: dict[str, Sequence[str]] = {}
        subjects = sorted({about.subject for about in labelled})
        if (self.test_subjects or self.folds) and (not subjects or not all(subjects)):
            raise InputError(
                "a split by subject needs clips with labels, each with a subject: as CLASS/SUBJECT/clip, or in the "
                "columns label and subject of the table"
            )
        if self.test_subjects:
            found = {name: meant(name, subjects) for name in self.test_subjects}
            if unknown := sorted(name for name, subject in found.items() if subject is None):
                raise InputError(
                    f"--test-subjects: no clip with a label is of subject {unknown[0]!r}; {hint(unknown[0], subjects)}"
                )
            parts["xsub"] = [subject for subject in found.values() if subject is not None]
        if self.folds:
            parts |= {f"fold{number}": part for number, part in enumerate(self._divide(subjects), 1)}
        self._tested = {name: tuple(sorted(part, key=numerically)) for name, part in parts.items()}
        tests = {
            name: frozenset(about.name for about in labelled if about.subject in part) for name, part in parts.items()
        }
        if self.test_list:
            tests["listed"] = self._listed(facts, labelled)
        for name, test in tests.items():
            if len(test) == len(labelled):
                raise InputError(f"benchmark {name}: every clip is a test clip; leave some to train on")
        return tests

    def _divide(self, subjects: Sequence[str]) -> list[list[str]]:
        """Divide the subjects into the test subjects of each fold."""
        if len(subjects) == 1:
            raise InputError(f"--folds: {subjects[0]} is the only subject; folds need two or more, one to train on")
        if isinstance(self.folds, str):
            return [[subject] for subject in sorted(subjects, key=numerically)]
        if self.folds > len(subjects):
            raise InputError(
                f"--folds {self.folds}: there are only {len(subjects)} subjects; expected at most as many folds"
            )
        order = epoch_order(self.seed, 0, np.arange(len(subjects)))
        return [[subjects[i] for i in order[fold :: self.folds]] for fold in range(self.folds)]

    def _listed(self, facts: Mapping[Path, Sequence[Facts]], labelled: Sequence[Facts]) -> frozenset[str]:
        assert self.test_list is not None
        try:
            lines = [line.removeprefix("\ufeff").strip() for line in read_lines(self.test_list)]
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the list of test clips {self.test_list}: {error}") from error
        by_name = {about.name: about for about in labelled}
        files = {path: several for path, several in facts.items() if any(about.label for about in several)}
        stems = [several[0].recording or several[0].name for several in files.values()]
        clips = Finder(list(by_name), list(by_name))
        recordings = Finder([f"{stem}{path.suffix}" for stem, path in zip(stems, files, strict=True)], stems)
        chosen: set[str] = set()
        for number, line in enumerate(lines, start=1):
            where = f"{self.test_list}, line {number}"
            if line and (place := clips.find(line, where)) is not None:
                chosen.add(list(by_name)[place])
            elif line and (place := recordings.find(line, where)) is not None:
                chosen.update(about.name for about in [*files.values()][place] if about.label)
            elif line:
                near = hint(line, list(by_name))
                raise InputError(f"{where}: found {line!r}, expected the name of a labelled clip; {near}")
        if not chosen:
            raise InputError(f"{self.test_list} names no clip; benchmark listed would test on none")
        return frozenset(chosen)


def _origins(about: Facts | Clip) -> set[tuple[str, str]]:
    """Return subject and recording of a clip, as far as they are known."""
    return {(what, value) for what in ("subject", "recording") if (value := getattr(about, what))}
