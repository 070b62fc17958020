"""Sizes of a set's benchmarks, and refusal of those that lost a part."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maskel.datasets.base import Source, Split
from maskel.datasets.raw_file import READ_FAULTS
from maskel.datasets.set_checks import TESTS_NONE
from maskel.datasets.trial import Choice
from maskel.errors import InputError
from maskel.sequence import Clip


@dataclass(frozen=True)
class BenchmarkSummary:
    """Sizes of one benchmark, as (train, test).

    Args:
        found: Clips in the prepared set.
        published: Clips as published; None where no size is, and for trial sets.
        duplicates: Clips that were dropped because an earlier clip has the same joints.
        note: The source's explanation of the sizes; may be empty.
        unlabelled: Clips without a label that pre-training may see.
    """

    found: tuple[int, int]
    published: tuple[int, int] | None
    duplicates: tuple[int, int]
    note: str
    unlabelled: int = 0


def benchmark_summaries(
    source: Source,
    classes: Sequence[str],
    clips: Sequence[Clip],
    splits: Mapping[str, Split],
    duplicates: Sequence[Clip],
    trial: bool,
) -> dict[str, BenchmarkSummary]:
    """Return the sizes of each benchmark, with notes.

    Args:
        source: The data set.
        classes: Class names of the set; label i is ``classes[i]``.
        clips: The clips of the set.
        splits: The benchmarks, by position among ``clips``.
        duplicates: Clips that were dropped because an earlier one has the same joints.
        trial: The set was limited to some classes or clips.
    """
    dropped = source.all_benchmarks(duplicates) if duplicates else {}
    summaries = {}
    for name, split in splits.items():
        found = _sizes(split)
        published = None if trial else source.published.get(name)
        notes = [
            "" if trial else source.explain(name, found),
            *_about_parts(name, split),
            *_about_labels(classes, clips, split, exemplars=name in source.exemplars),
        ]
        duplicated = _sizes(dropped[name]) if name in dropped else (0, 0)
        note = "; ".join(filter(None, notes))
        summaries[name] = BenchmarkSummary(found, published, duplicated, note, len(split.unlabelled))
    return summaries


def refuse_emptied(source: Source, choice: Choice, splits: Mapping[str, Split], why: str) -> None:
    """Refuse a set in which a benchmark lost all clips of a part, because none of them could be read.

    The summary names a part that is empty otherwise, as when only some files of a data set are there.

    Args:
        source: The data set.
        choice: Files and clips chosen of the source.
        splits: The benchmarks of the clips that are left.
        why: Reasons why files gave no clip, as text.

    Raises:
        InputError: If there is such a benchmark; it names the first.
    """
    if all(split.train and split.test for split in splits.values()):
        return
    planned: list[Clip] = []
    for file in choice.files:
        try:
            clips = source.clips(file)
        except READ_FAULTS:
            continue  # nothing is known of it
        planned += [clip for clip in clips if clip.label in choice.labels and choice.keeps(clip)]
    intended = source.all_benchmarks(planned)
    for name, split in splits.items():
        for part in ("train", "test"):
            lost = len(getattr(intended[name], part))
            pretrains = name == TESTS_NONE and bool(split.unlabelled)
            if lost and not getattr(split, part) and not pretrains:
                raise InputError(
                    f"benchmark {name}: none of its {lost:,} {part} clips can be used ({why}); mend the files, or make "
                    "the set without that benchmark (--benchmarks names those to make)"
                )


def _about_parts(name: str, split: Split) -> Iterator[str]:
    """Name the parts without a clip, and the consequence."""
    if not split.train and not split.unlabelled:
        yield "no clip trains, so that nothing can learn on it"
    if not split.test and name != TESTS_NONE:
        yield "no clip tests, so that nothing can be counted on it"


def _about_labels(classes: Sequence[str], clips: Sequence[Clip], split: Split, exemplars: bool) -> Iterator[str]:
    """Say what missing labels and subjects mean for a benchmark, which may test classes by ``exemplars``."""
    learnt = {clips[position].label for position in split.train}
    tested = Counter(clips[position].label for position in split.test)
    if split.train and not exemplars and (unknown := sorted(tested.keys() - learnt)):
        names = [f"{classes[label]} ({tested[label]:,} clips)" for label in unknown]
        more = f" and {len(names) - 5:,} more classes" if len(names) > 5 else ""
        yield f"tested, but without a training clip: {', '.join(names[:5])}{more}"
    nobodys = sum(not clips[position].subject for position in split.unlabelled)
    if nobodys and split.test:
        yield (
            f"of its {len(split.unlabelled):,} clips without a label {nobodys:,} name no subject: nothing says that a "
            "test subject is not in them"
        )


def _sizes(split: Split) -> tuple[int, int]:
    return len(split.train), len(split.test)
