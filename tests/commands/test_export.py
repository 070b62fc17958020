"""Sets written for other code: equal to the published arrays, and refused where that form cannot hold them."""

import hashlib
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tiny
from maskel.cli import main
from maskel.commands.export import export_npz
from maskel.commands.prepare import prepare
from maskel.datasets import SOURCES
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import COCO17
from released import GOLDEN

NTU = GOLDEN / "ntu"


@pytest.mark.parametrize("name", ["ntu60", "ntu120"])
def test_ntu_recordings_become_the_published_arrays_and_come_back(tmp_path: Path, name: str) -> None:
    expected = json.loads((NTU / "expected.json").read_text())[name]
    raw = tmp_path / "raw"
    raw.mkdir()
    with zipfile.ZipFile(NTU / "raw.zip") as archive:
        for clip, entry in expected["clips"].items():
            (raw / f"{clip}.skeleton").write_bytes(archive.read(f"{entry['raw']}.skeleton"))
    prepare(SOURCES[name](), [raw], tmp_path / "set", workers=1)
    for benchmark, split in expected["splits"].items():
        out = tmp_path / f"{name}_{benchmark}.npz"
        export_npz(tmp_path / "set", out, benchmark, max_frames=45)  # the longest: what the goldens are padded to
        with np.load(out) as arrays:
            assert set(arrays) == {"x_train", "y_train", "x_test", "y_test"}
            for part, clips in split.items():
                digests = [hashlib.sha256(joints.tobytes()).hexdigest() for joints in arrays[f"x_{part}"]]
                assert digests == [expected["clips"][clip]["sha256"] for clip in clips]
                one_hot = arrays[f"y_{part}"]
                assert (one_hot.dtype, one_hot.shape[1]) == (np.float64, {"ntu60": 60, "ntu120": 120}[name])
                assert [int(clip[-3:]) - 1 for clip in clips] == one_hot.argmax(1).tolist()
                assert (one_hot.sum(1) == 1).all()
        prepare(SOURCES["npz"](), [out], tmp_path / benchmark, workers=1)
        again = SkeletonSet.open(tmp_path / benchmark)
        assert again.options["single_body"] == {"ntu60": "zero", "ntu120": "copy"}[name]
        assert again.bodies.min() == 1
        export_npz(tmp_path / benchmark, tmp_path / "again.npz", benchmark)
        assert (tmp_path / "again.npz").read_bytes() == out.read_bytes()
        (tmp_path / "again.npz").unlink()


def test_clips_are_padded_to_300_frames_and_never_cut(prepared: Path, tmp_path: Path) -> None:
    export_npz(prepared, tmp_path / "out.npz", single_body="copy")
    with np.load(tmp_path / "out.npz") as arrays:
        joints = arrays["x_train"].reshape(tiny.TRAIN, 300, 2, 25, 3)
    clips = SkeletonSet.open(prepared)
    for row, position in zip(joints, clips.benchmarks["xsub"].train, strict=True):
        sequence = clips.sequence(position).joints
        assert np.array_equal(row[: sequence.shape[1], 0], sequence[0])
        assert np.array_equal(row[: sequence.shape[1], 1], sequence[-1])
        assert not row[sequence.shape[1] :].any()
    longest = int(clips.frames.max())
    with pytest.raises(InputError, match=f"the longest clip of xsub has {longest} frames; use --max-frames {longest}"):
        export_npz(prepared, tmp_path / "short.npz", max_frames=20)
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_the_command_line_writes_both_forms(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    npz, pkl = tmp_path / "new" / "tiny_xsub.npz", tmp_path / "tiny.pkl"
    assert main(["export", "npz", str(prepared), f"--out={npz}", "--single-body=zero", "--max-frames=64"]) == 0
    assert main(["export", "pyskl", str(prepared), f"--out={pkl}"]) == 0
    for source, path in (("npz", npz), ("pyskl", pkl)):
        assert main(["prepare", source, str(path), f"--out={tmp_path / source}"]) == 0
        clips = SkeletonSet.open(tmp_path / source)
        assert len(clips) == tiny.TRAIN + tiny.TEST
        assert len(clips.split("xsub", "train")) == tiny.TRAIN
    whole, other = SkeletonSet.open(prepared), SkeletonSet.open(tmp_path / "pyskl")
    for position in range(len(whole)):
        assert np.array_equal(whole.sequence(position).joints, other.sequence(position).joints)
    assert whole.benchmarks == other.benchmarks
    assert set(pickle.loads(pkl.read_bytes())["annotations"][0]) == {"frame_dir", "label", "total_frames", "keypoint"}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["csv"], "no format is called 'csv'; known are npz, onnx, pyskl, torch"),
        (["npz", "SET", "--out=FILE"], "exists already"),
        (["npz", "SET", "--out=NEW", "--benchmark=xview"], "no benchmark called 'xview'"),
        (["npz", "FLAT", "--out=NEW"], "holds x, y, score, but this npz format holds x, y, z"),
        (["npz", "nowhere", "--out=NEW"], "nowhere does not exist"),
        (["npz", "SET", "--out=NEW", "--colour=red"], "option"),
        (["npz", "SET"], "out"),
    ],
)
def test_what_cannot_be_written_is_refused(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    flat = tiny.write_set(tmp_path / "flat", COCO17, channels=("x", "y", "score"))
    (tmp_path / "file").write_text("mine")
    names = {"SET": prepared, "FLAT": flat, "FILE": tmp_path / "file", "NEW": tmp_path / "new.npz"}
    for name, path in names.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "new.npz").exists()


def test_usage_is_shown(capsys: pytest.CaptureFixture) -> None:
    assert main(["export"]) == 0
    assert "npz, onnx, pyskl, torch" in capsys.readouterr().out
