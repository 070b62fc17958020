"""Moving clips without a browser: what the page holds is the clip, thinned as far as is said."""

import re
import time
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import own
import tiny
from elements import Elements, require_safe
from long import long_one, train
from maskel.commands.predict import predict
from maskel.commands.report import report
from maskel.commands.view import clips
from maskel.datasets.base import Split
from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import COCO17, NTU25
from maskel.pictures.animation import Moving, moving, of_clip, share_out
from maskel.pictures.gallery import thin_out
from maskel.pictures.mistakes import _nearest
from maskel.pictures.recordings import recordings_of
from maskel.sequence import Clip, SkeletonSequence
from maskel.training.classifiers import load_classifier


def decoded(figure: str) -> np.ndarray:
    """The joints of a figure (L, kept frames, V, C), by a plain reading of its attributes; NaN where missing."""
    about = dict(re.findall(r'data-([a-z]+)="([^"]*)"', figure))
    width, shape = int(about["width"]), tuple(map(int, about["shape"].split()))
    whole = np.frombuffer(b64decode(about["joints"]), f"<u{width}").reshape(shape)
    low = np.array([float(value) for value in about["low"].split()])
    joints = whole * float(about["step"]) + low
    joints[(whole == 256**width - 1).any(-1)] = np.nan
    return joints


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.just(17), st.integers(2, 3)),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 2**16),
)
def test_what_fits_keeps_all_frames_and_five_digits(shape: tuple[int, ...], scale: float, seed: int) -> None:
    draws = np.random.default_rng(seed)
    joints = scale * draws.normal(size=shape)
    joints[draws.random(shape[:3]) < 0.1] = np.nan
    found = decoded(moving(Moving(joints, COCO17), "x", room=10**9))
    assert found.shape == shape
    assert (np.isnan(found) == np.isnan(joints)).all()
    extent = np.nanmax(joints) - np.nanmin(joints) if np.isfinite(joints).any() else 0
    np.testing.assert_allclose(found, joints, atol=2e-5 * extent + 1e-12, rtol=2e-5)


@pytest.mark.parametrize("room", [2_000, 10_000])
def test_what_does_not_fit_is_thinned_evenly(room: int) -> None:
    joints = np.linspace(0, 1, 500)[:, None, None] + np.zeros((1, 500, 17, 3))
    figure = moving(Moving(joints, COCO17), "x", room)
    found = decoded(figure)
    assert 'data-frames="500"' in figure
    assert room / 2 < len(dict(re.findall(r'data-([a-z]+)="([^"]*)"', figure))["joints"]) <= room + 4
    np.testing.assert_allclose(found[0, :, 0, 0], np.linspace(0, 1, found.shape[1]), atol=0.006)


def test_nothing_at_all_is_drawn_as_nothing() -> None:
    assert np.isnan(decoded(moving(Moving(np.full((1, 3, 17, 2), np.nan), COCO17), "x"))).all()


def test_room_is_shared_so_that_it_is_used_up() -> None:
    made = [Moving(np.zeros((1, frames, 25, 3)), NTU25) for frames in (1, 20, 400, 30, 1000)]
    needs = [clip.size(clip.joints.shape[1], 2) for clip in made]
    rooms = share_out(made, 100_000)
    assert [room == need for room, need in zip(rooms, needs, strict=True)] == [True, True, False, True, False]
    assert rooms[2] == rooms[4]
    assert 99_000 < sum(rooms) <= 100_000
    assert share_out(made, 10**9) == needs


def test_missing_joints_and_absent_bodies_are_gone(tmp_path: Path) -> None:
    with SetWriter(tmp_path / "set", NTU25, ("one",), "generated", {"missing": "zero"}) as writer:
        joints = np.random.default_rng(0).normal(size=(2, 6, 25, 3)).astype(np.float32)
        joints[1, :3] = 0
        joints[0, 2, 5] = 0
        writer.add(SkeletonSequence(Clip("a", 0), joints, NTU25))
        writer.finish({"all": Split((0,), ())})
    data = SkeletonSet.open(tmp_path / "set")
    shown = of_clip(data, 0, upward(data)).joints
    gone = np.isnan(shown).all(-1)
    expected = np.zeros((2, 6, 25), bool)
    expected[1, :3] = expected[0, 2, 5] = True
    assert (gone == expected).all()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,200 clips of 60 to 119 frames with two bodies, in three very unequal classes."""
    path = tmp_path_factory.mktemp("large") / "set"
    draws = np.random.default_rng(0)
    with SetWriter(path, NTU25, ("rare", "some", "many"), "generated", {}) as writer:
        for number in range(1200):
            label = 0 if number < 5 else 1 if number < 200 else 2
            joints = draws.random((2, 60 + number % 60, 25, 3), dtype=np.float32)
            writer.add(SkeletonSequence(Clip(f"clip{number:04d}", label), joints, NTU25))
        writer.finish({"all": Split(tuple(range(1200)), ())})
    return path


def test_a_page_of_a_thousand_clips_stays_small(large: Path, tmp_path: Path) -> None:
    page = clips(large, out=tmp_path / "clips.html").read_text()
    assert len(page.encode()) < 5_000_000
    assert Elements(page).classes["moving"] == 1000
    assert "The page shows 1,000 of 1,200 clips, of all classes by turns" in page
    assert "are left out to keep it small" in page
    require_safe(page)


def test_classes_take_turns(large: Path) -> None:
    data = SkeletonSet.open(large)
    chosen = thin_out(data, np.arange(1200), 100)
    assert sorted(np.bincount(data.labels[chosen]).tolist()) == [5, 47, 48]
    assert (np.diff(chosen) > 0).all()
    assert thin_out(data, np.arange(7), 7).tolist() == list(range(7))


def test_some_clips_are_chosen(prepared: Path, tmp_path: Path) -> None:
    def shown(**wish: list[str]) -> list[str]:
        page = clips(prepared, out=tmp_path / "clips.html", **wish).read_text()
        return re.findall(r'data-name="([^"]*)"', page)

    data = SkeletonSet.open(prepared)
    assert shown() == [clip.name for clip in data.clips]
    assert shown(classes=["wave"]) == [clip.name for clip in data.clips if clip.label == 0]
    assert shown(subjects=["1", "2"]) == [clip.name for clip in data.clips if clip.subject in ("1", "2")]
    assert shown(names=["clip03", "clip1"], classes=["wave"]) == ["clip03", "clip12", "clip15", "clip18"]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"classes": ["waving"]}, "classes: no clip has 'waving'; the set has clap, kick, wave"),
        ({"subjects": ["9"]}, "subjects: no clip has '9'; the set has 0, 1, 2, 3"),
        ({"names": ["nothing"]}, "has no clip of these classes, subjects and names"),
        ({"most": 0}, "most: found 0, expected 1 to 1000"),
        ({"most": 1001}, "most: found 1001, expected 1 to 1000"),
    ],
)
def test_clips_that_are_not_there_are_refused(prepared: Path, tmp_path: Path, wish: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        clips(prepared, out=tmp_path / "clips.html", **wish)
    assert not (tmp_path / "clips.html").exists()


def test_windows_join_to_the_recording_that_they_were_cut_from(tmp_path: Path) -> None:
    whole = np.cumsum(np.random.default_rng(0).normal(size=(2, 100, 25, 3)), axis=1).astype(np.float32)
    whole[1, :30] = 0
    with SetWriter(tmp_path / "set", NTU25, ("one",), "generated", {}) as writer:
        for number, start in enumerate((*range(0, 80, 7), 80)):
            window = whole[:, start : start + 20].copy()
            there = window.any((2, 3))
            window[there] -= whole[0, start, 1]  # an origin of its own
            clip = Clip(str(number), 0, recording="long", first_frame=start, end_frame=start + 20)
            writer.add(SkeletonSequence(clip, window, NTU25))
        writer.finish({})
    data = SkeletonSet.open(tmp_path / "set")
    (shown,) = recordings_of(data, {"long": 25.0}, None).values()
    assert (shown.rate, shown.seconds, shown.first) == (25.0, True, 0)
    expected = upward(data).turn(np.where(whole.any((2, 3), keepdims=True), whole, np.nan))
    np.testing.assert_allclose(shown.joints - shown.joints[0, 0, 0], expected - expected[0, 0, 0], atol=1e-3)


def test_the_timeline_has_the_skeletons_of_its_people(tmp_path: Path) -> None:
    run = train(tmp_path / "trained", scale=0.001, fps=15.0, source_fps=30.0)
    joints = long_one(2)
    joints[1, :, 4] = np.nan
    own.write_array(tmp_path / "long.npy", joints)
    page = tmp_path / "t.html"
    given = {"window_length": "20", "step": "5", "source_fps": 30.0, "device": "cpu", "per_body": True}
    predict(run.path, tmp_path / "long.npy", tmp_path / "w.csv", page=page, **given)
    figures = re.findall(r'<figure class="moving".*?</figure>|<figure.*?class="moving".*?</figure>', page.read_text())
    assert len(figures) == 2
    for body, figure in enumerate(figures):
        shown = decoded(figure)
        assert shown.shape == (1, 100, 17, 3)
        moved, truth = np.diff(shown[0, ::2], axis=0), np.diff(joints[body, ::2], axis=0) / 1000  # kept at 15 a second
        if body == 0:
            width, true_width = (np.nanmax(one) - np.nanmin(one) for one in (moved, truth))
            assert 0.5 < width / true_width < 2


def test_mistakes_stand_beside_what_is_most_like_them(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_finetune(prepared, tmp_path / "run")
    data, model = SkeletonSet.open(prepared), load_classifier(run.path)
    train_part, test = data.split("xsub", "train"), data.split("xsub", "test")
    found = _nearest(model, data, test, train_part)
    for position, nearest in zip(test.tolist(), found, strict=True):
        rows = []
        for other in (position, *train_part.tolist()):
            batch = data.gather(np.array([other]), model.label_spec.num_bodies, model.label_spec.single_body)
            from maskel.transforms import test_view

            row = model.features(test_view(batch, model.encoder.config.window))[0].detach().double().numpy()
            rows.append(row / np.linalg.norm(row))
        cosines = np.array(rows[1:]) @ rows[0]
        assert [at for at, _ in nearest] == train_part[np.argsort(-cosines)[:2]].tolist()
        assert [cosine for _, cosine in nearest] == pytest.approx(sorted(cosines)[:-3:-1], abs=1e-5)
    page = report([run.path], tmp_path / "page.html", clips=2).read_text()
    wrong = [row for row in tiny.predictions(run) if row["class"] != row["predicted"]]
    assert f"{min(2, len(wrong))} of {len(wrong)} clips that are taken for another class" in page
    shown = re.findall(r"(\w+), taken for (\w+)<span>test clip (\w+)</span>", page)
    assert len(shown) == min(2, len(wrong)) > 0
    assert {(row["class"], row["predicted"], row["name"]) for row in wrong} >= set(shown)
    (run.path / "predictions.csv").unlink()
    assert "has no predictions.csv" in report([run.path], tmp_path / "page.html", clips=2).read_text()


def test_equal_runs_give_equal_pages(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_finetune(prepared, tmp_path / "run")
    first = report([run.path], tmp_path / "a.html", clips=1).read_bytes()
    time.sleep(0.01)
    assert report([run.path], tmp_path / "b.html", clips=1).read_bytes() == first
