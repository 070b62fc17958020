import errno
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskel.cli import main
from maskel.commands.prepare import PrepareSummary, prepare, show
from maskel.datasets import SOURCES, reading
from maskel.datasets.base import RawFile, Source
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import BadFileError, InputError, Stopped
from maskel.files import LOCK, locks
from maskel.layouts import KINECT20, NTU25
from maskel.sequence import Clip, SkeletonSequence
from maskel.training.run import RunFolder


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
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(output):
        patched.setenv("COLUMNS", "200")
        show(summary, {})
    return output.getvalue()


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
        prepare(Nothing(), [tmp_path / "raw"], tmp_path / "set")


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
        time.sleep(3)
        return super().read(file)

if __name__ == "__main__":
    prepare(Slow(), [Path(sys.argv[1])], Path(sys.argv[2]), workers=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal to the process group")
def test_ctrl_c_ends_every_process(raw: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(ENDLESS)
    out, reading_started = tmp_path / "set", tmp_path / "started"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
    process = subprocess.Popen(  # and a child would inherit that
        [sys.executable, *map(str, (script, raw, out, reading_started))],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not reading_started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "set.partial").is_dir()
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=60)[1]  # the pipe closes when the last worker has ended
    assert process.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "slow.py", "started"]


def test_a_worker_that_dies_is_reported_and_what_is_done_is_kept(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = SetWriter.add

    def end_workers(writer: SetWriter, sequence: SkeletonSequence) -> None:
        add(writer, sequence)
        for child in multiprocessing.active_children():
            child.kill()

    monkeypatch.setattr(reading, "CHUNK", 1)
    with monkeypatch.context() as patched:
        patched.setattr(SetWriter, "add", end_workers)
        with pytest.raises(
            InputError, match=r"use fewer workers; .*set\.partial keeps the finished files, and the same command"
        ):
            prepare(NwUcla(), [raw], tmp_path / "set", workers=2)
    assert prepare(NwUcla(), [raw], tmp_path / "set", workers=1).resumed >= 1


class Watched(NwUcla):
    """Counts what it reads, and is interrupted instead of reading a file."""

    def __init__(self, stop_at: str = "") -> None:
        self.stopping = stop_at
        self.seen: list[str] = []

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        if file.path.stem == self.stopping:
            raise KeyboardInterrupt
        self.seen.append(file.path.stem)
        return super().read(file)


def assert_same_files(one: Path, other: Path) -> None:
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.iterdir())
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_an_interrupted_preparation_goes_on_where_it_was(raw: Path, tmp_path: Path) -> None:
    (raw / "a01_s01_e00_v02.json").write_text("{")
    (raw / "a01_s02_e00_v01.json").write_text(json.dumps({"skeletons": np.zeros((2, 20, 3)).tolist(), "label": 1}))
    whole = prepare(NwUcla(), [raw], tmp_path / "whole", workers=1, drop_duplicates=True)
    out = tmp_path / "set"
    for stop_at, done in (("a01_s03_e00_v01", 6), ("a02_s01_e00_v03", 14), ("a02_s04_e00_v03", 23)):
        with pytest.raises(
            Stopped, match=rf"stopped after {done} of 24 files; .*set\.partial keeps them, and the same command"
        ):
            prepare(Watched(stop_at), [raw], out, workers=1, drop_duplicates=True)
        assert (tmp_path / "set.partial").is_dir()
        assert not out.exists()
    last = Watched()
    summary = prepare(last, [raw], out, workers=1, drop_duplicates=True)
    assert last.seen == ["a02_s04_e00_v03"]
    assert_same_files(tmp_path / "whole", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "set", "whole"]
    assert (whole.resumed, summary.resumed) == (0, 23)
    for name in ("files", "clips", "bodies", "frames", "raw_size", "left_out", "faults", "first_faults", "benchmarks"):
        assert getattr(summary, name) == getattr(whole, name), name
    assert whole.duplicates == summary.duplicates == 4
    assert "23 files had been read before" in shown(summary)


def test_what_was_read_to_the_end_needs_no_reading(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SetWriter, "finish", interrupt)
        with pytest.raises(Stopped, match="stopped after 24 of 24 files"):
            prepare(NwUcla(), [raw], tmp_path / "set", workers=1)
    assert prepare(NwUcla(), [raw], tmp_path / "set", workers=2).resumed == 24
    prepare(NwUcla(), [raw], tmp_path / "whole", workers=1)
    assert_same_files(tmp_path / "whole", tmp_path / "set")


def test_from_the_command_line(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    given = ["prepare", "nw_ucla", str(raw), "--out", str(tmp_path / "set"), "--workers=1"]
    with monkeypatch.context() as patched:
        read = NwUcla.read

        def terminate(source: NwUcla, file: RawFile) -> list[SkeletonSequence]:
            if file.path.stem == "a01_s02_e00_v01":
                os.kill(os.getpid(), signal.SIGTERM)
            return read(source, file)

        patched.setattr(NwUcla, "read", terminate)
        assert main(given) == 130
    assert "maskel prepare: stopped after 3 of 24 files" in capsys.readouterr().err
    assert main([*given, "--drop-duplicates"]) == 2
    assert "holds an unfinished set, but with other drop_duplicates; give" in capsys.readouterr().err
    assert main(given) == 0
    assert "3 files had been read before" in capsys.readouterr().out


KILLED = """
import os, signal, sys
from pathlib import Path
from maskel.commands.prepare import prepare
from maskel.datasets.nw_ucla import NwUcla
from maskel.datasets.store_writer import SetWriter

raw, out, workers, where = sys.argv[1:]

def kill(writer, note):
    if writer.recorded == 7:
        if where == "joints":
            writer._file.flush()  # the joints are written, their line is not
        elif where == "line":
            writer._file.flush()
            writer._journal.write(b'[[["a01_s03')
        os.kill(os.getpid(), signal.SIGKILL)
    record(writer, note)

if __name__ == "__main__":
    record, SetWriter.record = SetWriter.record, kill
    prepare(NwUcla(), [Path(raw)], Path(out), int(workers))
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a POSIX signal")
@pytest.mark.parametrize(("workers", "where"), [(1, "line"), (2, "joints")])
def test_a_killed_preparation_goes_on(raw: Path, tmp_path: Path, workers: int, where: str) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    process = subprocess.run(
        [sys.executable, *map(str, (script, raw, tmp_path / "set", workers, where))],
        stderr=subprocess.PIPE,  # run returns when its last holder has ended: no worker is left behind
        timeout=60,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    source = Watched()
    assert prepare(source, [raw], tmp_path / "set", workers=1).resumed == 7
    assert len(source.seen) == 17
    prepare(NwUcla(), [raw], tmp_path / "whole", workers=1)
    assert_same_files(tmp_path / "whole", tmp_path / "set")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with raw files, the unfinished set and the whole one."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "raw").mkdir()
    for subject in range(1, 9):
        raw_file(folder / "raw", 1, subject, 1, seed=subject)
    with pytest.raises(Stopped):
        prepare(Watched("a01_s07_e00_v01"), [folder / "raw"], folder / "set", workers=1)
    prepare(NwUcla(), [folder / "raw"], folder / "whole", workers=1)
    return folder


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_was_torn_is_done_again(interrupted: Path, data: st.DataObject) -> None:
    with TemporaryDirectory(dir=interrupted) as temporary:
        out = Path(temporary) / "set"
        partial = shutil.copytree(interrupted / "set.partial", out.with_name("set.partial"))
        torn = partial / data.draw(st.sampled_from(["journal.jsonl", "set/joints.npy"]))
        content = bytearray(torn.read_bytes())
        begin = len(content) if torn.suffix == ".npy" else content.index(b"\n") + 1
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()) or (torn.suffix == ".jsonl" and place < begin):
            content = content[:place]
        else:
            content[place] ^= data.draw(st.integers(1, 255))
        torn.write_bytes(content)
        prepare(NwUcla(), [interrupted / "raw"], out, workers=1)
        assert_same_files(interrupted / "whole", out)
        assert not partial.exists()


def test_another_job_does_not_go_on(interrupted: Path, tmp_path: Path) -> None:
    partial = shutil.copytree(interrupted / "set.partial", tmp_path / "set.partial")
    before = sorted((path, path.stat().st_mtime_ns) for path in partial.rglob("*"))
    out, raw = tmp_path / "set", shutil.copytree(interrupted / "raw", tmp_path / "raw")
    for options, differing in (
        ({"drop_duplicates": True}, "drop_duplicates, files"),
        ({"classes": ["1"]}, "classes, files"),
        ({"strict": True, "max_clips": 5}, "files, max_clips, strict"),
        ({}, "files"),
    ):
        with pytest.raises(
            InputError, match=f"but with other {differing}; give the options and files it was begun with"
        ):
            prepare(NwUcla(), [raw], out, workers=1, **options)  # type: ignore[arg-type]
    (partial / "journal.jsonl").write_bytes(b"[]\n")
    with pytest.raises(InputError, match="holds an unfinished set, but with other"):
        prepare(NwUcla(), [raw], out, workers=1)
    (partial / "journal.jsonl").unlink()
    with pytest.raises(InputError, match="is in the way and is no unfinished set; move or remove it"):
        prepare(NwUcla(), [raw], out, workers=1)
    assert len(before) == 3
    assert (partial / "set" / "joints.npy").is_file()


@pytest.mark.skipif(os.name != "posix", reason="POSIX's call is replaced")
def test_a_file_system_without_locks_is_named_once(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def without(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", without)
    monkeypatch.setattr(locks, "_told", [])
    for name in ("one", "two"):
        assert prepare(NwUcla(), [raw], tmp_path / name, workers=1).clips == 24
    RunFolder.create(tmp_path / "run", "pretrain", {})
    said = capsys.readouterr().err
    assert said.count("has no locks") == said.count("\n") == 1, said
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "one", "two", "run"}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("out", ["raw/set", "raw/deep/set", "link/set", "raw/../raw/set"])
def test_a_set_is_not_written_below_what_it_is_read_from(raw: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "link").symlink_to(raw)
    before = sorted(raw.rglob("*"))
    with pytest.raises(InputError, match=r"lies in .*raw, which is read with all that is below it; choose another"):
        prepare(NwUcla(), [raw], tmp_path / out, workers=1)
    assert sorted(raw.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix", reason="a killed process leaves its lock's file behind elsewhere")
def test_what_a_kill_leaves_before_the_first_file_is_taken_over(raw: Path, tmp_path: Path) -> None:
    for left in ([], [LOCK]):
        partial = tmp_path / "set.partial"
        partial.mkdir()
        for name in left:
            (partial / name).touch()
        assert prepare(NwUcla(), [raw], tmp_path / "set", workers=1).clips == 24
        assert not partial.exists()
        shutil.rmtree(tmp_path / "set")


@pytest.mark.skipif(os.name != "posix", reason="files are locked on POSIX only")
def test_two_processes_do_not_write_one_set(raw: Path, tmp_path: Path) -> None:
    class Nested(NwUcla):
        def read(self, file: RawFile) -> list[SkeletonSequence]:
            with pytest.raises(InputError, match=r"another process is writing .*set\.partial"):
                prepare(NwUcla(), [raw], tmp_path / "set", workers=1)
            return super().read(file)

    assert prepare(Nested(), [raw], tmp_path / "set", workers=1).clips == 24


def test_classes_are_chosen_by_name_or_number(raw: Path, tmp_path: Path) -> None:
    raw_file(raw, 5, 1, 1, seed=1)
    source = Watched()
    summary = prepare(source, [raw], tmp_path / "set", workers=1, classes=["5", "Pick up with two HANDS"])
    prepared = SkeletonSet.open(tmp_path / "set")
    assert prepared.classes == ("pick up with two hands", "sit down")
    assert np.bincount(prepared.labels).tolist() == [12, 1]
    assert prepared.options["classes"] == ["pick up with two hands", "sit down"]
    assert prepared.clips[-1].name == "a05_s01_e00_v01"
    assert len(source.seen) == summary.files == 13
    assert summary.benchmarks["xview"].published is None
    text = shown(summary)
    assert "1,020" not in text
    assert "95 of the 464" not in text
    assert "trial set" in text


def test_few_clips_are_spread_over_classes_and_sides(raw: Path, tmp_path: Path) -> None:
    names: set[str] = set()
    for most in (1, 4, 8, 100):
        source = Watched()
        prepare(source, [raw], tmp_path / f"set{most}", workers=1, max_clips=most)
        prepared = SkeletonSet.open(tmp_path / f"set{most}")
        chosen = {clip.name for clip in prepared.clips}
        assert len(source.seen) == len(chosen) == min(most, 24)
        assert [clip.name for clip in prepared.clips] == sorted(chosen)
        assert names <= chosen
        names = chosen
        assert prepared.options["max_clips"] == most
        assert len(prepared.classes) == 10
        if most >= 4:
            assert np.bincount(prepared.labels).min() >= 1
            assert all(split.train and split.test for split in prepared.benchmarks.values())
        if most == 8:  # 2 classes x odd or even subject x view 3 or not
            assert len({(clip.label, int(clip.subject) % 2, clip.camera == "3") for clip in prepared.clips}) == 8


def test_a_bad_file_is_reported_in_a_trial_set_too(raw: Path, tmp_path: Path) -> None:
    class Renamed(NwUcla):
        def clips(self, file: RawFile) -> list[Clip]:
            if "s04" in file.path.name:
                raise BadFileError(file.path, "bad name", "s04", "another")
            return super().clips(file)

        def read(self, file: RawFile) -> list[SkeletonSequence]:
            return super().read(file) if self.clips(file) else []

    assert prepare(Renamed(), [raw], tmp_path / "set", workers=1, max_clips=3).faults == {"bad name": 6}


def test_a_source_that_knows_no_clips_beforehand_is_read(raw: Path, tmp_path: Path) -> None:
    class Unknowing(NwUcla):
        clips = Source.clips

    prepare(NwUcla(), [raw], tmp_path / "known", workers=1, max_clips=5)
    prepare(Unknowing(), [raw], tmp_path / "unknown", workers=1, max_clips=5)
    assert_same_files(tmp_path / "known", tmp_path / "unknown")


def test_benchmarks_are_chosen(raw: Path, tmp_path: Path) -> None:
    summary = prepare(NwUcla(), [raw], tmp_path / "set", workers=1, benchmarks=["xview"])
    assert summary.benchmarks.keys() == SkeletonSet.open(tmp_path / "set").benchmarks.keys() == {"xview"}
    assert summary.benchmarks["xview"].published == (1020, 464)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["11"]}, "nw_ucla has no class 11; its classes are 1 to 10"),
        ({"classes": ["0"]}, "has no class 0"),
        ({"classes": ["stand-up"]}, "no class called 'stand-up'; did you mean 'stand up'"),
        ({"classes": ["carry"]}, "no clip of nw_ucla is of the classes carry; choose others"),
        ({"max_clips": 0}, "found max_clips 0, expected at least 1"),
        ({"benchmarks": ["xset"]}, "nw_ucla has no benchmark called 'xset'; it has: xsub, xview"),
    ],
)
def test_impossible_trial_sets_are_refused(raw: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(NwUcla(), [raw], tmp_path / "set", workers=1, **options)
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


def test_trial_options_from_the_command_line(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trial = ["--classes", "1", "pick up with two hands", "--max-clips=6", "--benchmarks", "xsub", "--workers=1"]
    assert main(["prepare", "nw_ucla", str(raw), "--out", str(tmp_path / "set"), *trial]) == 0
    options = SkeletonSet.open(tmp_path / "set").options
    assert options["classes"] == ["pick up with one hand", "pick up with two hands"]
    assert (options["max_clips"], options["benchmarks"]) == (6, ["xsub"])
