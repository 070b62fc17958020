"""Which bodies of a clip are kept, and who comes first, in the forms of other toolboxes."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
from maskel.commands.prepare import prepare
from maskel.datasets.counts import BODIES, BODY_FRAMES
from maskel.datasets.npz import Npz
from maskel.datasets.pyskl import Pyskl
from maskel.datasets.stgcn import StGcn
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError

FRAMES = 30
SEEN = ((0, 4), (6, 30), (20, 25), (0, 30))
"""Frames of the people of a clip: two passers-by, the second person, and last the main actor."""
WHERE = ((60.0, 0.0), (6.0, 0.0), (-60.0, 0.0), (0.0, 0.0))


def people(count: int = 4, joints: int = 25, coordinates: int = 3) -> np.ndarray:
    """(M, T, V, C): far enough from each other that nobody is linked; zero where absent."""
    made = np.zeros((count, FRAMES, joints, coordinates), "f4")
    for place in range(count):
        first, end = SEEN[place - count]
        body = own.motion(FRAMES, joints, coordinates, seed=place) * (1 + 0.1 * place)
        made[place, first:end] = (body + (*WHERE[place - count], 0.0)[:coordinates])[first:end]
    return made


def as_pyskl(folder: Path, bodies: np.ndarray) -> Path:
    clips = [{"frame_dir": f"v{at}", "label": at % 2, "total_frames": FRAMES, "keypoint": bodies} for at in range(4)]
    split = {"train": ["v0", "v1"], "val": ["v2", "v3"]}
    folder.mkdir()
    (folder / "a.pkl").write_bytes(pickle.dumps({"split": split, "annotations": clips}, 4))
    return folder / "a.pkl"


def as_stgcn(folder: Path, bodies: np.ndarray) -> Path:
    folder.mkdir()
    for part in ("train", "val"):
        np.save(folder / f"{part}_data.npy", bodies.transpose(3, 1, 2, 0)[np.newaxis].repeat(2, 0))
        (folder / f"{part}_label.pkl").write_bytes(pickle.dumps(([f"{part}{at}" for at in (0, 1)], [0, 1]), 4))
    return folder


def as_npz(folder: Path, bodies: np.ndarray) -> Path:
    folder.mkdir()
    clip = bodies.swapaxes(0, 1).reshape(1, FRAMES, -1)
    parts = {f"x_{part}": clip.repeat(2, 0) for part in ("train", "test")}
    np.savez(folder / "own_xsub.npz", **parts, y_train=np.eye(2), y_test=np.eye(2))
    return folder / "own_xsub.npz"


WRITERS: dict[Any, Callable[[Path, np.ndarray], Path]] = {Pyskl: as_pyskl, StGcn: as_stgcn, Npz: as_npz}


def read(source: Any, tmp_path: Path, made: np.ndarray, **options: Any) -> tuple[np.ndarray, dict[str, int]]:
    """The first clip's joints, and its counts."""
    root = WRITERS[source](tmp_path / "in", made)
    prepare(source(**options), [root], tmp_path / "set", workers=1, strict=True)
    clips = SkeletonSet.open(tmp_path / "set")
    assert (clips.options["bodies"], clips.options["actor"]) == (options.get("bodies", 2), options.get("actor", ""))
    return clips.sequence(0).joints, dict(clips.counts.get(0, {}))


@pytest.mark.parametrize("source", [Pyskl, StGcn])
def test_of_a_crowd_the_main_actor_comes_first_and_the_others_are_counted(source: Any, tmp_path: Path) -> None:
    made = people()
    joints, counts = read(source, tmp_path, made)
    assert np.array_equal(joints, made[[3, 1]])
    assert counts == {BODIES: 2, BODY_FRAMES: 4 + 5}
    gathered = SkeletonSet.open(tmp_path / "set").gather(np.array([0]), 1)
    assert np.array_equal(gathered.joints[0, 0].numpy(), made[3])


@pytest.mark.parametrize("source", [Pyskl, StGcn, Npz])
def test_two_bodies_stay_in_the_file_s_order_unless_an_actor_is_chosen(source: Any, tmp_path: Path) -> None:
    made = people()[[1, 3]]
    joints, counts = read(source, tmp_path, made)
    assert np.array_equal(joints, made)
    assert counts == {}
    (tmp_path / "again").mkdir()
    joints, _ = read(source, tmp_path / "again", made, actor="longest")
    assert np.array_equal(joints, made[::-1])


@pytest.mark.parametrize("source", [Pyskl, StGcn, Npz])
@pytest.mark.parametrize(("actor", "who"), [("", 1), ("largest", 1), ("longest", 1), ("motion", 0)])
def test_one_body_is_chosen(source: Any, actor: str, who: int, tmp_path: Path) -> None:
    made = people()[[1, 3]]
    made[0] += np.linspace(0, 3, FRAMES)[:, None, None].astype("f4") * made[0].any((1, 2))[:, None, None]
    made[0, :, :, 0] += 9 * made[0].any((1, 2))[:, None]
    joints, counts = read(source, tmp_path, made, bodies=1, actor=actor)
    assert np.array_equal(joints, made[who][np.newaxis])
    assert counts == {BODIES: 1, BODY_FRAMES: (30, 24)[who]}


@pytest.mark.parametrize("source", [Pyskl, StGcn])
def test_the_most_central_of_a_crowd(source: Any, tmp_path: Path) -> None:
    made = people()
    joints, _ = read(source, tmp_path, made, bodies=3, actor="central")
    assert np.array_equal(joints[:2], made[[3, 1]])


def test_the_middle_of_the_image_counts_in_pixels(tmp_path: Path) -> None:
    bodies = people(2, 17, 2) * 50
    bodies[0] += (1800, 300) * bodies[0].any((1, 2))[:, None, None]
    bodies[1] += (960, 500)
    folder = tmp_path / "in"
    folder.mkdir()
    clip = {"total_frames": FRAMES, "keypoint": bodies.astype("f4"), "img_shape": (1080, 1920)}
    content = {
        "split": {"train": ["a"], "val": ["b"]},
        "annotations": [{**clip, "frame_dir": "a", "label": 0}, {**clip, "frame_dir": "b", "label": 1}],
    }
    (folder / "a.pkl").write_bytes(pickle.dumps(content, 4))
    prepare(Pyskl(bodies=1, actor="central"), [folder / "a.pkl"], tmp_path / "set", workers=1, strict=True)
    (joints,) = SkeletonSet.open(tmp_path / "set").sequence(0).joints
    np.testing.assert_allclose(joints, (bodies[1] - (960, 540)) / (960, 540), atol=1e-6)


def test_a_slot_that_is_empty_is_no_body(tmp_path: Path) -> None:
    made = people()[[1, 3]]
    made[0] = 0
    joints, counts = read(Pyskl, tmp_path, made)
    assert np.array_equal(joints, made[1:])
    assert counts == {}


@pytest.mark.parametrize("source", [Pyskl, StGcn, Npz])
@pytest.mark.parametrize("options", [{"bodies": 0}, {"actor": "7"}])
def test_a_person_has_no_name_in_these_forms(source: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected 1 body or more, and longest, motion, central, largest"):
        source(**options)
