from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.sequence import Clip, SkeletonSequence
from maskel.training.labelled import choose_labelled, draw_labels, read_label_list

COUNTS = (60, 25, 10, 4, 1)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> SkeletonSet:
    """A set whose 100 training clips are of five classes and seven subjects, and one test clip of each class."""
    labels = [label for label, count in enumerate(COUNTS) for _ in range(count)] + list(range(5))
    order = tuple(int(position) for position in np.random.default_rng(0).permutation(100))
    out = tmp_path_factory.mktemp("uneven") / "set"
    with SetWriter(out, NTU25, tuple("abcde"), "generated", {}) as writer:
        for number, label in enumerate(labels):
            clip = Clip(f"clip{number:03d}", label, subject=f"s{number % 7}")
            writer.add(SkeletonSequence(clip, np.ones((1, 2, 25, 3), np.float32), NTU25))
        writer.finish({"xsub": Split(order, tuple(range(100, 105)))})
    return SkeletonSet.open(out)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.001, 0.999), seed=st.integers(0, 2**40), stratified=st.booleans())
def test_a_subset_is_its_share_of_the_part(uneven: SkeletonSet, share: float, seed: int, stratified: bool) -> None:
    part = uneven.split("xsub", "train")
    chosen = draw_labels(uneven, part, share, stratified, seed)
    assert len(set(chosen.tolist())) == len(chosen)
    kept = set(chosen.tolist())
    assert [position for position in part.tolist() if position in kept] == chosen.tolist()  # in the part's order
    assert np.array_equal(draw_labels(uneven, part, share, stratified, seed), chosen)
    if not stratified:
        assert len(chosen) == max(int(share * 100), 1)
        return
    found = Counter(uneven.labels[chosen].tolist())
    for label, size in enumerate(COUNTS):
        assert max(int(share * size), 1) <= found[label] <= max(int(share * size), 1) + 1
    assert len(chosen) == max(int(share * 100), sum(max(int(share * size), 1) for size in COUNTS))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_a_smaller_draw_is_part_of_a_larger_one(uneven: SkeletonSet, seed: int) -> None:
    part = uneven.split("xsub", "train")
    one, ten = (set(draw_labels(uneven, part, share, False, seed).tolist()) for share in (0.05, 0.4))
    assert one < ten


def test_another_seed_draws_others_and_every_clip_has_its_chance(uneven: SkeletonSet) -> None:
    part = uneven.split("xsub", "train")
    drawn = Counter(
        position for seed in range(400) for position in draw_labels(uneven, part, 0.1, False, seed).tolist()
    )
    assert len(drawn) == 100
    assert 15 < min(drawn.values()) <= max(drawn.values()) < 75  # 40 each on average, standard deviation 6


def test_a_written_list_gives_the_same_clips(uneven: SkeletonSet, tmp_path: Path) -> None:
    labelled = choose_labelled(uneven, "xsub", labels=0.2, seed=3)
    labelled.write(tmp_path)
    again = choose_labelled(uneven, "xsub", label_list=tmp_path / "labels.csv", seed=9)
    assert np.array_equal(again.train, labelled.train)
    assert not again.whole
    whole = choose_labelled(uneven, "xsub")
    assert whole.whole
    assert whole.describe()["labels"] == {"size": 100, "hash": uneven.split_hash("xsub", "train")}
    (tmp_path / "other").mkdir()
    whole.write(tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name\nclip000\nclip100\n", r"line 3: found clip 'clip100', which is not in the training part"),
        ("clip\nclip000\n", "expected a table of clips with a column name"),
        ("name\n", "names no clip"),
        ("", "names no clip"),
        ("name\n\xff", "not in the training part"),
        (None, "expected a table of clips"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(
    content: str | None, message: str, uneven: SkeletonSet, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_label_list(tmp_path / "labels.csv", uneven, uneven.split("xsub", "train"))


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.01, 0.95), seed=st.integers(0, 2**40), labels=st.sampled_from([1.0, 0.5]))
def test_whole_subjects_are_held_out(uneven: SkeletonSet, share: float, seed: int, labels: float) -> None:
    found = choose_labelled(uneven, "xsub", labels=labels, validation=share, seed=seed)
    owners = [{uneven.clips[p].subject for p in part.tolist()} for part in (found.train, found.validation)]
    assert not owners[0] & owners[1]
    assert owners[1] == set(found.subjects)
    assert len(found.subjects) == min(max(round(share * 7), 1), 6)
    assert sorted([*found.train.tolist(), *found.validation.tolist()]) == sorted(found.labelled.tolist())
    assert np.array_equal(choose_labelled(uneven, "xsub", labels=labels, seed=seed).train, found.labelled)
    assert found.describe()["validation"]["subjects"] == sorted(found.subjects)
    assert set(found.eval_positions) == {"test", "validation"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 0.0}, "labels: found 0.0"),
        ({"labels": 1.5}, "labels: found 1.5"),
        ({"labels": float("nan")}, "labels: found nan"),
        ({"validation": 1.0}, "validation: found 1.0"),
        ({"validation": -0.1}, "validation: found -0.1"),
        ({"labels": 0.5, "label_list": Path("labels.csv")}, "leave out --labels"),
    ],
)
def test_impossible_shares_are_refused(options: dict, message: str, uneven: SkeletonSet) -> None:
    with pytest.raises(InputError, match=message):
        choose_labelled(uneven, "xsub", **options)


def test_clips_of_one_subject_cannot_be_held_out(tmp_path: Path) -> None:
    with SetWriter(tmp_path / "set", NTU25, tiny.CLASSES, "generated", {}) as writer:
        for number in range(4):
            sequence = tiny.generated_clip(number, NTU25)
            writer.add(SkeletonSequence(Clip(f"c{number}", 0), sequence.joints, NTU25))
        writer.finish({"xsub": Split((0, 1, 2), (3,))})
    with pytest.raises(InputError, match=r"validation: needs training clips of two subjects or more; .*without a subj"):
        choose_labelled(SkeletonSet.open(tmp_path / "set"), "xsub", validation=0.1)
