"""HDF5 of SLEAP and DeepLabCut: the joints of each track, and what is refused."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
import tracked
from maskel.datasets.folder import Folder
from maskel.datasets.folder.clip_files import BESIDE
from maskel.errors import BadFileError, InputError

h5py = pytest.importorskip("h5py", reason='needs h5py: pip install "maskel[h5]"')

NEAR, FAR = own.motion(6, coordinates=2), own.motion(6, coordinates=2, seed=1) + 2


def refused(file: Path, message: str, layout: str = "coco17") -> None:
    with pytest.raises(BadFileError, match=message) as caught:
        own.read(file, layout)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("standard", [False, True])
def test_sleap(standard: bool, tmp_path: Path) -> None:
    people = {"track_0": NEAR, "track_1": np.concatenate((np.full((2, 17, 2), np.nan), FAR[2:]))}
    file = tracked.sleap(tmp_path / "a.analysis.h5", people, standard)
    clip = own.read(file)
    late = np.concatenate((np.zeros((2, 17, 2)), FAR[2:]))
    assert own.holds(clip, NEAR, late)
    assert own.holds(own.read(file, actor="track_1", bodies=1), FAR[2:])
    assert np.allclose(own.read(file, scores=True).joints[0, ..., 2], 0.9)


@pytest.mark.parametrize("fixed", [False, True])
def test_deeplabcut(fixed: bool, tmp_path: Path) -> None:
    one = tracked.deeplabcut(tmp_path / "one.h5", {"": NEAR}, fixed, first=100)
    assert own.holds(own.read(one), NEAR)
    one.unlink()
    two = tracked.deeplabcut(tmp_path / "two.h5", {"ann": NEAR, "bo": FAR}, fixed)
    assert own.holds(own.read(two), NEAR, FAR)
    assert own.holds(own.read(two, actor="bo", bodies=1), FAR)
    refused(two, "no part for head, neck, mid_hip.*among nose", "halpe26")
    refused(two, "no part for", "openpose18")


def test_a_csv_of_the_same_name_is_read_instead(tmp_path: Path) -> None:
    tracked.deeplabcut(tmp_path / "a.h5", {"": NEAR})
    own.write_array(tmp_path / "b.npy", NEAR)
    own.write(
        tmp_path / "a.csv", own.table([[f"{part}_{axis}" for part in tracked.PARTS for axis in "xy"], FAR[0].ravel()])
    )
    source = Folder("coco17")
    assert [file.path.name for file in source.find([tmp_path])] == ["a.csv", "b.npy"]
    assert source.notes() == {BESIDE: 1}


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"tracks": np.ones((2, 2, 16, 6))}, r"tracks of shape \(2, 2, 16, 6\), expected \(tracks, 2, 17, frames\)"),
        ({"point_scores": np.ones((2, 17, 5))}, "point_scores of shape"),
        ({"track_names": np.array(["a"], "S")}, "1 track_names, expected 2"),
        ({"tracks": np.ones((2, 2, 17, 6), "c16")}, "tracks of type complex128"),
        ({"node_names": np.array(["nose", "nose", *tracked.PARTS[2:]], "S")}, "no part for left_eye"),
        ({"node_names": np.array(["tail", *tracked.PARTS[1:]], "S")}, "no part for nose, among tail"),
    ],
)
def test_bad_files_of_sleap(others: dict[str, Any], message: str, tmp_path: Path) -> None:
    refused(tracked.sleap(tmp_path / "a.h5", {"a": NEAR, "b": FAR}, **others), message)


def test_other_files(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as out:
        out["x"] = [1, 2]
    refused(file, "an HDF5 file with x, expected SLEAP's analysis")
    own.write(file, b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    refused(file, "unreadable")


def test_nothing_outside_the_file_is_opened(tmp_path: Path) -> None:
    secret = tracked.sleap(tmp_path / "outside" / "b.h5", {"a": NEAR, "b": FAR})
    file = tracked.sleap(tmp_path / "in" / "a.h5", {"a": NEAR, "b": FAR})
    with h5py.File(file, "a") as out:
        del out["tracks"]
        out["tracks"] = h5py.ExternalLink(str(secret), "tracks")
    refused(file, "tracks that lies elsewhere, behind a link")
    with h5py.File(file, "a") as out:
        del out["tracks"]
        layout = h5py.VirtualLayout((2, 2, 17, 6), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "tracks", (2, 2, 17, 6))
        out.create_virtual_dataset("tracks", layout)
    refused(file, "tracks that is no data set inside the file")


def test_no_table_behind_a_link_is_opened(tmp_path: Path) -> None:
    secret = tracked.deeplabcut(tmp_path / "outside" / "b.h5", {"": NEAR})
    file = tmp_path / "in" / "a.h5"
    file.parent.mkdir()
    with h5py.File(file, "w") as out:
        out["df_with_missing"] = h5py.ExternalLink(str(secret), "df_with_missing")
    refused(file, "df_with_missing that lies elsewhere, behind a link")


def test_a_chunk_is_not_unpacked_beyond_its_bound(tmp_path: Path) -> None:
    file = tracked.sleap(tmp_path / "a.h5", {"a": NEAR, "b": FAR})
    with h5py.File(file, "a") as out:
        del out["tracks"]
        out.create_dataset("tracks", (2, 2, 17, 6), "f8", chunks=(2, 2, 17, 10**6), maxshape=(2, 2, 17, None))
    refused(file, r"tracks of shape \(2, 2, 17, 1000000\)")


def test_names_of_any_length_are_read_one_by_one(tmp_path: Path) -> None:
    file = tracked.sleap(tmp_path / "a.h5", {"a": NEAR, "b": FAR})
    with h5py.File(file, "a") as out:
        del out["node_names"]
        out["node_names"] = np.array(tracked.PARTS, object)
    assert own.read(file).joints.shape[0] == 2
    for names in (["a" * 200], ["a"] * 1001):
        with h5py.File(file, "a") as out:
            del out["node_names"]
            out["node_names"] = np.array(names, object)
        refused(file, f"node_names of {len(names)} entries")


def test_sizes_that_a_file_claims_are_not_believed(tmp_path: Path) -> None:
    file = tracked.sleap(tmp_path / "a.h5", {"a": NEAR, "b": FAR})
    with h5py.File(file, "a") as out:
        del out["tracks"]
        out.create_dataset("tracks", (2, 2, 17, 10**9), "f8", chunks=(1, 1, 1, 1000), fillvalue=1.0)
    refused(file, "tracks of shape .*1000000000.*cut the recording")


def test_code_in_the_names_of_columns_is_not_run(tmp_path: Path) -> None:
    file = tracked.deeplabcut(tmp_path / "a.h5", {"": NEAR})
    with h5py.File(file, "a") as out:
        code = np.bytes_(b"cos\nsystem\n(S'touch hacked'\ntR.")
        out["df_with_missing/table"].attrs["values_block_0_kind"] = code
    refused(file, "system")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tracked.deeplabcut(tmp_path / "a.h5", {"": NEAR})
    imported = builtins.__import__

    def without(name: str, *others: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return imported(name, *others, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r'pip install "maskel\[h5\]"'):
        own.read(file)
