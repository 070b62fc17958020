import csv
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
import tiny
from elements import require_safe
from long import long_one, train
from maskel import load_classifier
from maskel.commands.predict import predict
from maskel.commands.prepare import prepare
from maskel.datasets.folder import Folder
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(tmp_path_factory.mktemp("trained"), scale=0.001, fps=15.0, source_fps=30.0)


def asked(run: RunFolder, data: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    given = {"device": "cpu", "source_fps": 30.0} | options
    return json.loads(predict(run.path, data, out, **given).read_text())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cut_out(folder: Path, joints: np.ndarray, places: list[tuple[int, int]]) -> Path:
    """A folder with the recording, and a table that cuts these windows out of it."""
    own.write_array(folder / "long.npy", joints)
    own.write(folder / "labels.csv", "file,start,end\n" + "".join(f"long,{low},{high}\n" for low, high in places))
    return folder


@pytest.mark.parametrize("people", [1, 5])
def test_windows_are_answered_as_when_cut_out_by_hand(people: int, trained: RunFolder, tmp_path: Path) -> None:
    joints = long_one(people)
    joints[0, 20:23] = 0  # a short gap, and single joints
    joints[:, 30:34, 5] = np.nan
    own.write_array(tmp_path / "long" / "long.npy", joints)
    found = asked(trained, tmp_path / "long", tmp_path / "w.json", window_length="20", step="7", top_k=2)
    places = [(entry["start_frame"], entry["end_frame"]) for entry in found]
    assert places == [(start, start + 20) for start in (*range(0, 81, 7), 80)]
    by_hand = asked(trained, cut_out(tmp_path / "cut", joints, places), tmp_path / "c.json", top_k=2)
    assert [entry["classes"] for entry in found] == [entry["classes"] for entry in by_hand]  # bit for bit
    for number, place in list(enumerate(places))[:3]:
        folder = cut_out(tmp_path / f"one{number}", joints, [place])
        (alone,) = asked(trained, folder, tmp_path / "a.json", top_k=2)
        assert [one["class"] for one in alone["classes"]] == [one["class"] for one in found[number]["classes"]]
        for one, other in zip(alone["classes"], found[number]["classes"], strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_each_person_is_answered_as_alone(trained: RunFolder, tmp_path: Path) -> None:
    joints = long_one(2)
    joints[1, :40] = 0  # comes later
    own.write_array(tmp_path / "long.npy", joints)
    options = {"window_length": "0.8s", "step": "8"}
    both = asked(trained, tmp_path / "long.npy", tmp_path / "w.json", per_body=True, **options)
    assert {entry["person"] for entry in both} == {"1", "2"}
    for person, body in (("1", 0), ("2", 1)):
        own.write_array(tmp_path / "alone" / f"{person}.npy", joints[body])
        alone = asked(trained, tmp_path / "alone" / f"{person}.npy", tmp_path / "a.json", **options)
        mine = [entry for entry in both if entry["person"] == person]
        names = ("start_frame", "end_frame", "start_seconds", "end_seconds")
        assert [[entry[name] for name in names] for entry in mine] == [
            [entry[name] for name in names] for entry in alone
        ]
        for entry, other in zip(mine, alone, strict=True):
            for one, two in zip(entry["classes"], other["classes"], strict=True):
                assert one["class"] == two["class"]
                assert one["probability"] == pytest.approx(two["probability"], abs=1e-6)
    later = [entry["start_frame"] for entry in both if entry["person"] == "2"]
    assert min(later) == 40  # no window where nobody is seen


def test_segments_are_smoothed_joined_and_marked(trained: RunFolder, tmp_path: Path, run: Run) -> None:
    own.write_array(tmp_path / "long.npy", long_one())
    given = (
        "predict", tmp_path / "long.npy", "--classifier", trained.path, "--source-fps=30", "--device=cpu",
        "--window-length=20", "--step=5", "--top-k=2", "--out", tmp_path / "w.csv",
    )  # fmt: skip
    code, said = run(*given, "--segments", tmp_path / "s.csv", "--page", tmp_path / "p.html")
    assert code == 0, said
    windows, segments = rows_of(tmp_path / "w.csv"), rows_of(tmp_path / "s.csv")
    assert segments[0]["start_frame"] == "0"
    assert segments[-1]["end_frame"] == "100"
    for one, other in pairwise(segments):
        assert one["end_frame"] == other["start_frame"]
        assert one["class"] != other["class"]
    assert f"{len(segments)} segments in 1 recordings" in said
    per_frame = np.zeros((100, 2))
    classes = load_classifier(trained.path).label_spec.classes
    for row in windows:
        here = slice(int(row["start_frame"]), int(row["end_frame"]))
        for place in ("1", "2"):
            per_frame[here, classes.index(row[f"class_{place}"])] += float(row[f"probability_{place}"])
    per_frame /= per_frame.sum(1, keepdims=True)
    for segment in segments:
        here = per_frame[int(segment["start_frame"]) : int(segment["end_frame"])]
        label = classes.index(segment["class"])
        assert (here.argmax(1) == label).all()
        assert float(segment["probability"]) == pytest.approx(here[:, label].mean())
        assert float(segment["end_seconds"]) == pytest.approx(int(segment["end_frame"]) / 30, abs=1e-5)
    limit = max(float(segment["probability"]) for segment in segments) + 1e-9
    code, said = run(*given, "--segments", tmp_path / "s.json", f"--min-probability={limit}")
    assert code == 0
    unsure = json.loads((tmp_path / "s.json").read_text())
    assert [segment["class"] for segment in unsure] == [None] * len(segments)
    assert [segment["most_probable"] for segment in unsure] == [segment["class"] for segment in segments]
    assert f"{len(segments)} are less probable than" in said


def test_windows_are_as_long_as_the_training_clips(trained: RunFolder, tmp_path: Path) -> None:
    label_spec = load_classifier(trained.path).label_spec
    clips = SkeletonSet.open(trained.path.parent / "set")
    assert label_spec.median == int(np.median(clips.valid_frames[clips.split("xsub", "train")]))
    own.write_array(tmp_path / "long.npy", long_one())
    found = asked(trained, tmp_path / "long.npy", tmp_path / "w.json", segments=tmp_path / "s.json")
    assert found[0]["end_frame"] == round(label_spec.median * 30 / 15)
    assert found[1]["start_frame"] == found[0]["end_frame"] // 4


def test_windows_of_a_set_are_those_of_its_recordings(trained: RunFolder, tmp_path: Path) -> None:
    own.write_array(tmp_path / "rec" / "long.npy", long_one())
    prepare(Folder("coco17", scale=0.001, fps=15.0, source_fps=30.0), [tmp_path / "rec"], tmp_path / "set", workers=1)
    options = {"window_length": "0.8s", "step": "0.4s"}
    raw = asked(trained, tmp_path / "rec", tmp_path / "r.json", **options)
    in_set = asked(trained, tmp_path / "set", tmp_path / "s.json", source_fps=None, **options)
    np.save(tmp_path / "long.npy", SkeletonSet.open(tmp_path / "set").sequence(0).joints)
    as_they_are = asked(
        trained, tmp_path / "long.npy", tmp_path / "a.json", source_fps=None, as_prepared=True, **options
    )
    assert len(raw) == len(in_set) == len(as_they_are) > 5
    assert [entry["end_frame"] for entry in raw[:-1]] == [2 * entry["end_frame"] for entry in in_set[:-1]]
    for entry, *others in zip(raw, in_set, as_they_are, strict=True):
        for other in others:
            assert other["start_seconds"] == entry["start_seconds"]
            found = {one["class"]: one["probability"] for one in other["classes"]}
            for one in entry["classes"]:
                assert found[one["class"]] == pytest.approx(one["probability"], abs=2e-6)


def test_windows_do_not_bridge_a_stretch_without_anybody(trained: RunFolder, tmp_path: Path) -> None:
    joints = long_one()
    joints[:, 40:70] = np.nan
    own.write_array(tmp_path / "long.npy", joints)
    found = asked(trained, tmp_path / "long.npy", tmp_path / "w.json", window_length="20", segments=tmp_path / "s.json")
    assert all(entry["end_frame"] <= 40 or entry["start_frame"] >= 70 for entry in found)
    segments = json.loads((tmp_path / "s.json").read_text())
    assert 40 in [segment["end_frame"] for segment in segments]
    assert 70 in [segment["start_frame"] for segment in segments]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_length": "none"}, "window_length: found 'none', expected frames or seconds, such as 64 or 2.5s"),
        ({"window_length": "0"}, "window_length: found '0', expected more than 0"),
        ({"step": "-3"}, "step: found '-3'"),
        ({"window_length": "10", "step": "11"}, "step: found 11 frames, expected at most the 10 of a window"),
        ({"min_probability": 1.5}, "min_probability: found 1.5, expected 0 to 1"),
        ({"min_probability": float("nan")}, "min_probability: found nan, expected 0 to 1"),
        ({"segments": "s.txt"}, "segments: found .*s.txt, expected a name that ends in .csv or .json"),
        ({"page": "p.csv"}, "page: found .*p.csv, expected a name that ends in .html"),
        ({"segments": "w.json"}, "is given as --out and as --segments"),
        ({"page": "file/p.html"}, "cannot be written .* choose another --page"),
    ],
)
def test_windows_that_make_no_sense_are_refused(
    options: dict[str, Any], message: str, trained: RunFolder, tmp_path: Path
) -> None:
    own.write(tmp_path / "file", "")
    own.write_array(tmp_path / "long.npy", long_one())
    paths = {name: tmp_path / options[name] for name in ("segments", "page") if name in options}
    with pytest.raises(InputError, match=message):
        asked(trained, tmp_path / "long.npy", tmp_path / "w.json", **{**options, **paths})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "long.npy"]


def test_seconds_need_a_frame_rate_and_length_the_training_clips(tmp_path: Path, prepared: Path) -> None:
    run = tiny.tiny_finetune(prepared, tmp_path / "run")
    with pytest.raises(
        InputError, match="no frame rate is known, and windows are in seconds; say it with --source-fps"
    ):
        asked(run, prepared, tmp_path / "w.json", window_length="1s", source_fps=None)
    assert asked(run, prepared, tmp_path / "w.json", window_length="1s")[0]["start_seconds"] == 0.0
    model = load_classifier(run.path)
    model.label_spec = replace(model.label_spec, longest=None, median=None)
    model.save(tmp_path / "old.safetensors")
    with pytest.raises(InputError, match="does not say how long its training clips were"):
        predict(tmp_path / "old.safetensors", prepared, tmp_path / "w.csv", per_body=True, device="cpu")


def test_the_page_draws_every_segment_and_escapes_names(trained: RunFolder, tmp_path: Path) -> None:
    model = load_classifier(trained.path)
    model.label_spec = replace(model.label_spec, classes=("<script>alert(1)</script>", "bow & <b>"))
    model.save(tmp_path / "odd.safetensors")
    own.write_array(tmp_path / "<i>long.npy", long_one(2))
    out, page = tmp_path / "w.json", tmp_path / "p.html"
    options = {"window_length": "20", "segments": tmp_path / "s.json", "page": page, "per_body": True}
    predict(tmp_path / "odd.safetensors", tmp_path / "<i>long.npy", out, source_fps=30.0, device="cpu", **options)
    text = page.read_text()
    segments = json.loads((tmp_path / "s.json").read_text())
    require_safe(text)
    assert "<i>" not in text
    assert "<b>" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<rect") - text.count('class="track"') == len(segments)
    for person in ("1", "2"):
        assert f"<h3>Person {person}</h3>" in text
