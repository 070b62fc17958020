import hashlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from rich.console import Console

from maskel.commands.prepare import PrepareSummary, prepare, show
from maskel.datasets import SOURCES, reading
from maskel.datasets.base import RawFile
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import BadFileError, InputError
from maskel.layouts import KINECT20, NTU25
from maskel.sequence import SkeletonSequence


def raw_file(folder: Path, action: int, subject: int, view: int, seed: int) -> Path:
    """A file of one moving body; the same seed gives the same joints."""
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(rng.integers(2, 9), 20, 3)).round(4)
    path = folder / f"a{action:02}_s{subject:02}_e00_v{view:02}.json"
    path.write_text(json.dumps({"file_name": path.stem, "skeletons": joints.tolist(), "label": action}))
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """24 files: 2 actions, 4 subjects, 3 views; view 3 of action 2 equals view 2."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for action in (1, 2):
        for subject in (1, 2, 3, 4):
            for view in (1, 2, 3):
                raw_file(folder, action, subject, view, seed=100 * action + 10 * subject + min(view, 4 - action))
    return folder


def shown(summary: PrepareSummary) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(summary, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_raw_files_become_a_set_in_the_order_found(raw: Path, tmp_path: Path) -> None:
    summary = prepare(NwUcla(), [raw], tmp_path / "set", workers=1)
    prepared = SkeletonSet.open(tmp_path / "set")
    assert [clip.name for clip in prepared.clips] == sorted(path.stem for path in raw.iterdir())
    assert prepared.source == "nw_ucla"
    for position, file in enumerate(NwUcla().find([raw])):
        assert np.array_equal(prepared.sequence(position).joints, NwUcla().read(file)[0].joints)
    assert (summary.files, summary.clips, summary.bodies, summary.classes) == (24, 24, 24, 2)
    assert summary.frames == prepared.frames.sum()
    assert summary.raw_size == sum(path.stat().st_size for path in raw.iterdir())
    assert summary.size == sum(path.stat().st_size for path in (tmp_path / "set").iterdir())
    xview = summary.benchmarks["xview"]
    assert (xview.found, xview.published, xview.duplicates) == ((16, 8), (1020, 464), (0, 0))
    assert summary.benchmarks["xsub"].found == (12, 12)
    text = shown(summary)
    assert "24 of 2 classes, from 24 files" in text
    assert "1,020 / 464" in text
    assert "95 of the 464" in text


GOLDEN = Path(__file__).parents[1] / "golden" / "ntu"


@pytest.mark.parametrize(("name", "single_body"), [("ntu60", "zero"), ("ntu120", "copy")])
def test_a_batch_of_prepared_ntu_clips_is_the_published_array(
    tmp_path: Path, name: str, single_body: Literal["zero", "copy"]
) -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text())[name]
    raw = tmp_path / "raw"
    raw.mkdir()
    with zipfile.ZipFile(GOLDEN / "raw.zip") as archive:
        for clip, entry in expected["clips"].items():
            (raw / f"{clip}.skeleton").write_bytes(archive.read(f"{entry['raw']}.skeleton"))
    prepare(SOURCES[name](), [raw], tmp_path / "set", workers=1)
    prepared = SkeletonSet.open(tmp_path / "set")
    batch = prepared.gather(np.arange(len(prepared)), 2, single_body)
    published = batch.joints.transpose(1, 2).flatten(2).numpy()  # (B, T, M * V * C)
    assert published.shape == (51, 45, 150)
    digests = {
        clip.name: hashlib.sha256(joints.tobytes()).hexdigest()
        for clip, joints in zip(prepared.clips, published, strict=True)
    }
    assert digests == {clip: entry["sha256"] for clip, entry in expected["clips"].items()}


def test_the_set_is_the_same_for_any_number_of_workers(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 2)
    (raw / "a01_s01_e00_v01.json").write_text("{")
    summaries = [prepare(NwUcla(), [raw], tmp_path / f"set{workers}", workers) for workers in (1, 2)]
    for file in (tmp_path / "set1").iterdir():
        assert file.read_bytes() == (tmp_path / "set2" / file.name).read_bytes()
    assert summaries[0].first_faults == summaries[1].first_faults
    assert not multiprocessing.active_children()


def test_duplicates_are_dropped_and_counted_by_benchmark(raw: Path, tmp_path: Path) -> None:
    summary = prepare(NwUcla(), [raw], tmp_path / "set", workers=1, drop_duplicates=True)
    prepared = SkeletonSet.open(tmp_path / "set")
    assert prepared.options["drop_duplicates"] is True
    names = [clip.name for clip in prepared.clips]
    assert len(names) == summary.clips == 20
    assert not [name for name in names if name.startswith("a02") and name.endswith("v03")]
    assert summary.duplicates == 4
    assert summary.benchmarks["xview"].found == (16, 4)
    assert summary.benchmarks["xview"].duplicates == (0, 4)
    assert summary.benchmarks["xsub"].duplicates == (2, 2)
    assert "4 clips dropped" in shown(summary)


def test_bad_files_are_counted_and_the_rest_goes_on(raw: Path, tmp_path: Path) -> None:
    bad = sorted(raw.iterdir())[:12]
    for path in bad[1:]:
        path.write_text("")
    bad[0].write_text('{"skeletons": [], "label": 1}')
    (raw / "a02_s04_e00_v03.json").write_text(json.dumps({"skeletons": np.zeros((2, 20, 3)).tolist(), "label": 2}))
    summary = prepare(NwUcla(), [raw], tmp_path / "set", workers=1)
    assert (summary.clips, summary.left_out) == (11, 1)
    assert summary.faults == {"empty": 12}
    assert len(summary.first_faults) == 10
    text = shown(summary)
    assert "12 (empty 12)" in text
    assert f"{bad[0]}: empty: found no frame, expected [T][20][3] numbers" in text
    assert "and 2 more bad files" in text


def test_a_file_that_cannot_be_opened_is_a_bad_file(raw: Path, tmp_path: Path) -> None:
    class Unreadable(NwUcla):
        def read(self, file: RawFile) -> list[SkeletonSequence]:
            if "s01" in file.path.name:
                raise PermissionError(13, "Permission denied")
            return super().read(file)

    assert prepare(Unreadable(), [raw], tmp_path / "set", workers=1).faults == {"unreadable": 6}


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_stops_at_the_first_bad_file_with_nothing_written(raw: Path, tmp_path: Path, workers: int) -> None:
    for name in ("a01_s02_e00_v01.json", "a02_s02_e00_v01.json"):
        (raw / name).write_text("")
    with pytest.raises(BadFileError, match="a01_s02_e00_v01"):
        prepare(NwUcla(), [raw], tmp_path / "set", workers, strict=True)
    assert list(tmp_path.iterdir()) == [raw]
    assert not multiprocessing.active_children()


def test_nothing_is_written_when_no_file_gives_a_clip(raw: Path, tmp_path: Path) -> None:
    for path in raw.iterdir():
        path.write_text("")
    with pytest.raises(InputError, match=r"none of the 24 files gives a clip; 24 are bad.*a01_s01_e00_v01.*empty"):
        prepare(NwUcla(), [raw], tmp_path / "set", workers=1)
    for path in raw.iterdir():
        label = int(path.name[1:3])
        path.write_text(json.dumps({"skeletons": np.zeros((2, 20, 3)).tolist(), "label": label}))
    with pytest.raises(InputError, match="have no body in any frame"):
        prepare(NwUcla(), [raw], tmp_path / "set", workers=1)
    assert list(tmp_path.iterdir()) == [raw]


def test_nothing_found_is_refused(tmp_path: Path) -> None:
    class Nothing(NwUcla):
        def find(self, roots: Sequence[Path]) -> list[RawFile]:
            return []

    with pytest.raises(InputError, match="found no file of nw_ucla"):
        prepare(Nothing(), [tmp_path], tmp_path / "set")


def test_what_exists_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="exists already"):
        prepare(NwUcla(), [tmp_path / "nothing to read"], tmp_path / "set")
    with pytest.raises(InputError, match="0 workers, expected at least 1"):
        prepare(NwUcla(), [tmp_path], tmp_path / "other", workers=0)


def test_the_same_clip_in_two_folders_is_refused(raw: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    raw_file(again, 1, 1, 1, seed=0)
    with pytest.raises(InputError, match="two raw files give a clip called a01_s01_e00_v01"):
        prepare(NwUcla(), [raw, again], tmp_path / "set", workers=1)
    assert not (tmp_path / "set").exists()


def test_an_interruption_ends_the_workers_and_removes_everything(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: SetWriter, sequence: SkeletonSequence) -> None:
        assert multiprocessing.active_children()
        raise KeyboardInterrupt

    monkeypatch.setattr(SetWriter, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(NwUcla(), [raw], tmp_path / "set", workers=2)
    assert not multiprocessing.active_children()
    assert list(tmp_path.iterdir()) == [raw]


ENDLESS = """
import sys, time
from pathlib import Path
from maskel.commands.prepare import prepare
from maskel.datasets.nw_ucla import NwUcla

class Slow(NwUcla):
    def read(self, file):
        Path(sys.argv[3]).touch()
        time.sleep(0.2)
        return super().read(file)

if __name__ == "__main__":
    prepare(Slow(), [Path(sys.argv[1])], Path(sys.argv[2]), workers=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal to the process group")
def test_ctrl_c_ends_every_process(raw: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(ENDLESS)
    out, reading_started = tmp_path / "set", tmp_path / "started"
    process = subprocess.Popen(
        [sys.executable, *map(str, (script, raw, out, reading_started))],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not reading_started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.glob(".set.*.partial"))
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=60)[1]  # the pipe closes when the last worker has ended
    assert process.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "slow.py", "started"]


def test_a_worker_that_dies_is_reported(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end_workers(sequence: SkeletonSequence) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    monkeypatch.setattr(reading, "CHUNK", 1)
    monkeypatch.setattr(SetWriter, "add", lambda _, sequence: end_workers(sequence))
    with pytest.raises(InputError, match="use fewer workers"):
        prepare(NwUcla(), [raw], tmp_path / "set", workers=2)
    assert list(tmp_path.iterdir()) == [raw]


def test_another_layout_on_the_way(raw: Path, tmp_path: Path) -> None:
    summary = prepare(NwUcla(), [raw], tmp_path / "set", workers=1, to_layout="ntu25")
    prepared = SkeletonSet.open(tmp_path / "set")
    assert prepared.layout == NTU25
    assert prepared.options["to_layout"] == "ntu25"
    (original,) = NwUcla().read(NwUcla().find([raw])[0])
    neck = prepared.sequence(0).joints[:, :, NTU25.index("neck")]
    middle = original.joints[:, :, [KINECT20.index("shoulder_centre"), KINECT20.index("head")]].mean(2)
    assert np.allclose(neck, middle, atol=1e-6)
    assert "invented: left_hand_tip (at left_hand)" in shown(summary)
    assert prepare(NwUcla(), [raw], tmp_path / "same", workers=1, to_layout="kinect20").conversion == ""
    with pytest.raises(InputError, match="no joint layout is called 'ntu26'"):
        prepare(NwUcla(), [raw], tmp_path / "other", workers=1, to_layout="ntu26")
    assert not (tmp_path / "other").exists()


def test_joints_that_may_be_missing_are_not_converted(raw: Path, tmp_path: Path) -> None:
    class Gaps(NwUcla):
        may_miss_joints = True

    with pytest.raises(InputError, match="fill the gaps"):
        prepare(Gaps(), [raw], tmp_path / "set", workers=1, to_layout="ntu25")
    prepare(Gaps(), [raw], tmp_path / "set", workers=1, to_layout="kinect20")
