"""Work that grows with the size of what is there, and ends where that is too large; refusals before the work."""

import itertools
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import own
import tiny
from maskel.console import MOST_ROWS, print_table, standard_output
from maskel.datasets import duplicates, pickled, reading
from maskel.datasets.base import RawFile, Split
from maskel.datasets.checks import examine
from maskel.datasets.duplicates import Fingerprints
from maskel.datasets.folder import Folder
from maskel.datasets.ntu import NTU60
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.datasets.synthetic import synthesize
from maskel.errors import BadFileError, InputError
from maskel.layouts import NTU25
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import Clip, SkeletonSequence
from maskel.training import features
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


def a_set(out: Path, clips: np.ndarray) -> SkeletonSet:
    """A set of clips (N, T, V, 3) of one body."""
    with SetWriter(out, NTU25, ("a",), "generated", {}) as writer:
        for number, joints in enumerate(clips):
            writer.add(SkeletonSequence(Clip(f"clip{number}", 0), joints[None].astype(np.float32), NTU25))
        half = len(clips) // 2
        writer.finish({"xsub": Split(tuple(range(half)), tuple(range(half, len(clips))))})
    return SkeletonSet.open(out)


def searched(dataset: SkeletonSet) -> duplicates.Duplicates:
    prints = Fingerprints(dataset)
    prints.add(dataset.body_frames(0, len(dataset)))
    return prints.duplicates()


def test_near_duplicates_are_those_of_a_comparison_of_all_pairs(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    bases = draws.normal(size=(12, 1, 25, 3)) * 0.3
    clips = (
        bases[draws.integers(12, size=60)]
        + draws.normal(size=(60, 3, 25, 3)) * draws.choice([1e-4, 7e-4], 60)[:, None, None, None]
    )
    found = searched(a_set(tmp_path / "set", clips))
    centred = clips.astype(np.float32).astype(np.float64)
    expected = set()
    for one, other in itertools.combinations(range(60), 2):
        apart = centred[one] - centred[other]
        if np.linalg.norm(apart - apart.mean(axis=(0, 1)), axis=2).mean() < duplicates.NEAR_METRES:
            expected.add((one, other))
    assert set(found.near) == expected
    assert len(expected) > 20
    assert found.complete


def test_the_search_does_not_grow_with_the_number_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = np.random.default_rng(0).normal(size=(400, 1, 25, 3)) * 0.3
    clips[:, :, :, 0] = np.random.default_rng(1).normal(size=(25,)) * 0.3  # so that some sums are alike
    dataset = a_set(tmp_path / "set", clips)
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 14 * 2 * (duplicates._STEP_COST + 400))
    assert searched(dataset).complete
    assert not searched(a_set(tmp_path / "alike", clips[:1] + np.linspace(0, 1e-5, 400)[:, None, None, None])).complete


def test_long_clips_that_are_alike_are_compared_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = np.random.default_rng(0).normal(size=(1, 50, 25, 3))
    dataset = a_set(tmp_path / "set", base + np.random.default_rng(1).normal(size=(5, 50, 25, 3)) * 1e-5)
    assert len(searched(dataset).near) == 10
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 100)
    monkeypatch.setattr(duplicates, "_STEP_COST", 1)
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 320)
    found = searched(dataset)
    assert (len(found.near), found.complete) == (6, False)


def test_a_table_of_very_many_columns_is_refused_by_their_number(tmp_path: Path) -> None:
    file = own.write(tmp_path / "rec" / "wave" / "a.csv", ",".join(map(str, range(50_001))) + "\n" + "1,2\n")
    with pytest.raises(BadFileError, match="50,001 columns, expected at most 50,000"):
        Folder("coco17").read(RawFile(file))


def test_a_long_table_is_shown_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(standard_output(), ("name",), [(f"row{number}",) for number in range(MOST_ROWS + 5)])
    text = capsys.readouterr().out
    assert f"row{MOST_ROWS - 1}" in text
    assert f"row{MOST_ROWS}" not in text
    assert "and 5 more rows" in text


def test_every_benchmark_of_very_many_is_examined_once(prepared: Path) -> None:
    dataset = SkeletonSet.open(prepared)
    split = dataset.benchmarks["xsub"]
    dataset.benchmarks = {f"b{number}": split for number in range(300)}
    empty = next(finding for finding in examine(dataset) if finding.check == "empty")
    assert not empty.faults


@pytest.mark.parametrize(
    ("train", "said"),
    [(1, "found 1 training clip, expected 2 or more"), (2, "tests classes without any training clip")],
)
def test_reproduce_refuses_a_set_that_is_too_small_before_it_trains(
    train: int, said: str, run: Run, tmp_path: Path
) -> None:
    tiny.write_set(tmp_path / "set", train=train, test=4)
    code, text = run("reproduce", "mamp", "ntu60_xsub", "--data", tmp_path / "set", "--out", tmp_path / "out")
    assert (code, said in text) == (2, True), text
    assert not (tmp_path / "out").exists()


def test_clips_in_flight_are_bounded_by_what_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [RawFile(path) for path in synthesize(tmp_path / "raw", performers=1, replications=1, cameras=1)]
    whole = list(reading.read_all(NTU60(), files, 1))
    monkeypatch.setattr(reading, "_worker_source", [NTU60()])
    monkeypatch.setattr(reading, "MOST_IN_FLIGHT", 1)
    found, left = [], files
    while left:
        readings, left = reading._read_chunk(left)
        assert len(readings) == 1
        found += readings
    names = [[clip.clip.name for clip in clips] for clips in whole if isinstance(clips, list)]
    assert [[clip.clip.name for clip in clips] for clips in found if isinstance(clips, list)] == names


def test_one_array_that_very_many_clips_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = np.random.default_rng(0).normal(size=(1, 40, 25, 3)).astype("f4")
    clips = [{"frame_dir": f"c{number}", "label": 0, "total_frames": 40, "keypoint": joints} for number in range(10)]
    names = [clip["frame_dir"] for clip in clips]
    content = {"split": {"xsub_train": names[:5], "xsub_val": names[5:]}, "annotations": clips}
    file = own.write(tmp_path / "x.pkl", pickle.dumps(content, 3))
    assert len(Pyskl().find([file])) == 10
    monkeypatch.setattr(pickled, "MOST_REPEATED", 100_000)
    with pytest.raises(BadFileError, match="10 clips of 1 arrays, which would take 0 MiB more"):
        Pyskl().find([file])


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"window": 65_536}, "a window of 65,536 frames makes 409,600 tokens of each body, expected at most 65,536"),
        ({"dim": 16_384, "num_heads": 8, "depth": 1000}, "1000 blocks of width 16,384 take .* GiB, more than this"),
    ],
)
def test_an_encoder_without_room_is_refused_before_it_is_made(sizes: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Encoder(NTU25, EncoderConfig(**sizes))


def test_long_windows_are_read_by_fewer_clips_with_the_same_features(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, encoder = SkeletonSet.open(prepared), Encoder(NTU25, tiny.ENCODER)
    positions = np.arange(len(dataset))
    whole = features.extract(encoder, dataset, positions, tiny.ALONE, "zero")
    monkeypatch.setattr(features, "_MOST_FRAMES", 1)
    one_by_one = features.extract(encoder, dataset, positions, tiny.ALONE, "zero")
    torch.testing.assert_close(whole, one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("words", ["knn --k 1 --out OUT", "embed --out OUT.npz", "retrieval --out OUT"])
def test_features_that_are_not_finite_are_refused_by_name(
    words: str, run: Run, pretrained: RunFolder, tmp_path: Path
) -> None:
    clips = np.random.default_rng(0).normal(size=(12, 6, 25, 3))
    clips[5] *= 1e30
    a_set(tmp_path / "set", clips)
    place = words.replace("OUT", str(tmp_path / "out"))
    code, text = run(*place.split(), "--encoder", pretrained.path, "--data", tmp_path / "set", "--device", "cpu")
    assert (code, "clip clip5 gives features or scores that are not finite" in text) == (2, True), text
    assert not list(tmp_path.glob("out*"))
