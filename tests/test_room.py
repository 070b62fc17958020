"""What plainly does not fit on the disk or in memory is refused before the work."""

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import own
from maskel.datasets import estimate, reading
from maskel.files import free_disk, free_memory, machine_memory, require_disk, room
from maskel.training import fitting

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the bytes that are free on every disk."""

    def set_free(size: int) -> None:
        monkeypatch.setattr(room.shutil, "disk_usage", lambda place: SimpleNamespace(total=10**12, free=size))

    return set_free


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for number in range(30):
        own.write_array(tmp_path / "rec" / "wave" / f"{number}.npy", own.motion(50, seed=number).astype("f4"))
    return tmp_path / "rec"


def test_a_set_for_which_the_disk_has_no_room_is_refused_before_its_files_are_read(
    free: Callable[[int], None], recordings: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    monkeypatch.setattr(estimate, "read_one", lambda source, file: read.append(file) or reading.read_one(source, file))
    free(100_000)  # 30 clips of 50 frames of 17 joints take 306,000
    code, text = run("prepare", "folder", recordings, "--layout", "coco17", "--out", tmp_path / "set")
    assert code == 1
    assert "judged by 2 of 30 files, takes about 0.245 MB, and 0.1 MB are free" in text
    assert "make room, or choose another --out" in text
    assert len(read) == 2
    assert not list(tmp_path.glob("set*"))
    free(310_000)
    code, text = run("prepare", "folder", recordings, "--layout", "coco17", "--out", tmp_path / "set")
    assert code == 0, text


def test_with_ample_room_no_file_is_read_twice(
    free: Callable[[int], None], recordings: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "read_one", None)
    free(10**9)
    code, text = run("prepare", "folder", recordings, "--layout", "coco17", "--out", tmp_path / "set")
    assert code == 0, text


def test_what_an_interrupted_preparation_left_counts_as_room(free: Callable[[int], None], tmp_path: Path) -> None:
    free(1000)
    require_disk(tmp_path / "set", 1500, "the set", at_hand=500)


def test_clips_of_one_file_are_judged_by_the_first_of_them(
    free: Callable[[int], None], run: Run, tmp_path: Path
) -> None:
    arrays = [own.motion(100, 25, seed=number)[None].astype("f4") - 0.5 for number in range(40)]
    clips = [
        {"frame_dir": f"c{number}", "label": number % 2, "total_frames": 100, "keypoint": array}
        for number, array in enumerate(arrays)
    ]
    names = [clip["frame_dir"] for clip in clips]
    content = {"split": {"xsub_train": names[:20], "xsub_val": names[20:]}, "annotations": clips}
    file = own.write(tmp_path / "x.pkl", pickle.dumps(content, 3))
    free(100_000)
    code, text = run("prepare", "pyskl", file, "--out", tmp_path / "set")
    assert (code, "judged by 2 of 40 files" in text) == (1, True), text


@pytest.mark.parametrize("form", ["npz", "pyskl"])
def test_an_export_for_which_the_disk_has_no_room_is_refused(
    form: str, free: Callable[[int], None], prepared: Path, run: Run, tmp_path: Path
) -> None:
    free(10_000)
    code, text = run("export", form, prepared, "--out", tmp_path / f"a.{form}")
    assert (code, "and 0.01 MB are free" in text) == (1, True), text
    assert not list(tmp_path.glob("*a.*"))


def test_a_clip_that_memory_cannot_hold_is_not_exported(prepared: Path, run: Run, tmp_path: Path) -> None:
    code, text = run("export", "npz", prepared, "--max-frames", 10**10, "--out", tmp_path / "a.npz")
    assert (code, "a clip of 10,000,000,000 frames takes 24.0 TB of memory, more than" in text) == (2, True), text


def test_a_window_and_batch_for_which_there_is_no_memory_are_refused(
    prepared: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "free_memory", lambda: 1_000_000)
    words = ["pretrain", "--config", "demo", "--data", prepared, "--device", "cpu", "--training.epochs", 1]
    code, text = run(*words, "--encoder.window", 400, "--out", tmp_path / "run")
    assert (code, "clips of a window of 400 frames take" in text) == (2, True), text
    assert "take a smaller window or training.batch_size, or a larger training.accumulate" in text
    assert not (tmp_path / "run").exists()


def test_fewer_clips_are_in_flight_where_memory_is_short(
    recordings: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "free_memory", lambda: 1)
    words = ["prepare", "folder", recordings, "--layout", "coco17", "--workers", 2, "--out", tmp_path / "set"]
    code, text = run(*words)
    assert code == 0, text


def test_a_limit_of_a_group_of_processes_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.write(tmp_path / "meminfo", "MemTotal: 4000 kB\nMemAvailable: 3000 kB\nSwapFree: 100 kB\n")
    monkeypatch.setattr(room, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(room, "_GROUP", tmp_path / "none")
    assert free_memory() == 3100 * 1024
    own.write(tmp_path / "group", "0::/a/b\n")
    own.write(tmp_path / "groups" / "a" / "memory.max", "2000000\n")
    own.write(tmp_path / "groups" / "a" / "memory.stat", "anon 500000\nfile 900000\n")
    own.write(tmp_path / "groups" / "a" / "b" / "memory.max", "max\n")
    monkeypatch.setattr(room, "_GROUP", tmp_path / "group")
    monkeypatch.setattr(room, "_GROUPS", tmp_path / "groups")
    assert free_memory() == 1_500_000
    assert machine_memory() == 2_000_000
    own.write(tmp_path / "group", "4:cpu,memory:/c\n1:cpu:/\n")
    own.write(tmp_path / "groups" / "memory" / "c" / "memory.limit_in_bytes", "1000000\n")
    own.write(tmp_path / "groups" / "memory" / "c" / "memory.stat", "total_rss 300000\n")
    assert free_memory() == 700_000


def test_where_the_system_says_nothing_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(room.shutil, "disk_usage", fails)
    assert free_disk(tmp_path) == np.inf
    monkeypatch.setattr(room.shutil, "disk_usage", lambda place: SimpleNamespace(total=0, free=0))
    assert free_disk(tmp_path / "not" / "there") == np.inf
    monkeypatch.setattr(room, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(room, "_GROUP", tmp_path / "none")
    assert free_memory() == machine_memory() > 0
