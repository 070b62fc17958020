import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskel.datasets import nw_ucla
from maskel.datasets.base import RawFile
from maskel.datasets.nw_ucla import NwUcla
from maskel.errors import BadFileError, InputError
from maskel.layouts import KINECT20
from maskel.sequence import Clip

SOURCE = NwUcla()


def joints_of(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(frames, 20, 3)).round(6)


def document(joints: np.ndarray, label: int = 1, name: str = "a01_s01_e00_v01") -> str:
    return json.dumps({"file_name": name, "skeletons": joints.tolist(), "label": label})


def write(folder: Path, text: str | bytes, name: str = "a01_s01_e00_v01.json") -> RawFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return RawFile(path)


def test_a_file_is_one_clip_centred_at_the_spine_of_its_first_frame(tmp_path: Path) -> None:
    joints = joints_of(4)
    joints[0] = 0  # no body yet
    joints[2] = 0  # lost
    joints[3, :6] = 0  # single joints without a position
    (sequence,) = SOURCE.read(write(tmp_path, document(joints, 7), "a08_s10_e03_v02.json"))
    assert sequence.clip == Clip("a08_s10_e03_v02", 6, subject="10", camera="2", setup="", replication="3")
    assert sequence.layout is KINECT20
    expected = joints - joints[1, KINECT20.index("spine")]
    expected[[0, 2]] = 0
    assert np.array_equal(sequence.joints, expected[np.newaxis].astype(np.float32))
    assert sequence.joints[0, 3, 0].any()  # moved with the others


def test_a_file_without_a_body_is_left_out(tmp_path: Path) -> None:
    assert SOURCE.read(write(tmp_path, document(np.zeros((3, 20, 3))))) == []


@pytest.mark.parametrize(("action", "label"), [(1, 0), (6, 5), (8, 6), (9, 7), (11, 8), (12, 9)])
def test_labels_follow_the_actions_in_use(tmp_path: Path, action: int, label: int) -> None:
    file = write(tmp_path, document(joints_of(1), label + 1), f"a{action:02}_s01_e00_v01.json")
    assert SOURCE.read(file)[0].clip.label == label


def test_files_are_found_in_folders_and_archives_by_name(tmp_path: Path) -> None:
    names = ["a02_s01_e00_v01.json", "a01_s02_e00_v01.json", "a01_s01_e00_v03.json"]
    folder = tmp_path / "raw"
    for depth, name in enumerate(names):
        write(folder / "/".join("abc"[:depth]), document(joints_of(2)), name)
    write(folder, "", "readme.json")
    archive = tmp_path / "raw.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for name in names:
            content.writestr(f"all_sqe/{name}", document(joints_of(2)))
            content.writestr(f"__MACOSX/all_sqe/._{name}", "")
        content.writestr("../../a01.json", "")
    found = SOURCE.find([folder, folder])
    assert [file.path.name for file in found] == sorted(names)
    packed = SOURCE.find([archive])
    assert packed == [RawFile(archive, f"all_sqe/{name}") for name in sorted(names)]
    assert np.array_equal(SOURCE.read(packed[0])[0].joints, SOURCE.read(found[0])[0].joints)


def test_an_archive_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    archive = tmp_path / "raw.zip"
    seen = []
    for frames in (2, 3):
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("a01_s01_e00_v01.json", document(joints_of(frames)))
        seen.append(SOURCE.read(RawFile(archive, "a01_s01_e00_v01.json"))[0].joints.shape[1])
    assert seen == [2, 3]


def test_roots_without_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "", "other.json")
    for root, message in [
        (tmp_path, "no file called like a01_s01_e00_v01.json is in"),
        (tmp_path / "nothing", "does not exist"),
        (tmp_path / "other.json", "neither a folder nor a zip archive"),
    ]:
        with pytest.raises(InputError, match=message):
            SOURCE.find([root])


def test_an_archive_of_a_later_version_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "raw.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("a01_s01_e00_v01.json", document(joints_of(2)))
    whole = bytearray(archive.read_bytes())
    whole[whole.index(b"PK\1\2") + 6] = 128  # the version that is needed to unpack the member
    archive.write_bytes(whole)
    with pytest.raises(InputError, match=r"that can be read \(zip file version 12.8\)"):
        SOURCE.find([archive])


def replaced(value: str) -> str:
    """A good document whose first coordinate is ``value``."""
    head, tail = document(joints_of(2)).split("[[[", 1)
    return f"{head}[[[{value},{tail.split(',', 1)[1]}"


FAULTS: dict[str, tuple[str | bytes, str, str]] = {
    "no content": ("", "empty", "nothing"),
    "blank": (" \n", "empty", "nothing"),
    "no frame": (document(np.zeros((0, 20, 3))), "empty", "no frame"),
    "cut": (document(joints_of(2))[:-40], "truncated", "delimiter"),
    "no json": ("frames 3", "not text", "line 1: not text"),
    "binary": (b"\x80\x81\xff" * 9, "not text", "decode"),
    "deep": ("[" * 200_000, "not text", "recursion"),
    "long number": (replaced("1" * 5000), "not a number", "64 bits"),
    "list": ("[]", "not text", "JSON of another form"),
    "no label": ('{"skeletons": []}', "not text", "an object with skeletons and label"),
    "label of another action": (document(joints_of(2), 2), "bad name", "found label 2, expected label 1"),
    "label true": (document(joints_of(2)).replace('"label": 1', '"label": true'), "bad name", "label true"),
    "skeletons a name": ('{"skeletons": "many", "label": 1}', "wrong count", "no list"),
    "skeletons an object": ('{"skeletons": {"0": 1}, "label": 1}', "wrong count", "no list"),
    "joint missing": (document(joints_of(2)[:, :19]), "wrong count", r"shape \(2, 19, 3\)"),
    "flat": (document(joints_of(2)[:, :, 0]), "wrong count", r"shape \(2, 20\)"),
    "nested": (document(joints_of(2)).replace("[[[", "[[[[1],", 1), "wrong count", "differing lengths"),
    "coordinate missing": (replaced("1").replace("1,", "", 1), "wrong count", "differing lengths"),
    "text": (replaced('"1.0"'), "not a number", "type str"),
    "null": (replaced("null"), "not a number", "type NoneType"),
    "true": (replaced("true"), "not a number", "type bool"),
    "object": (replaced("{}"), "not a number", "type dict"),
    "not a number": (replaced("NaN"), "not a number", "no finite float32"),
    "infinite": (replaced("-Infinity"), "not a number", "no finite float32"),
    "too large for float32": (replaced("1e300"), "not a number", "no finite float32"),
    "too large for 64 bits": (replaced("1" + "0" * 40), "not a number", "more than 64 bits"),
}


@pytest.mark.parametrize(("text", "kind", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_bad_file_is_named_with_what_was_found(tmp_path: Path, text: str | bytes, kind: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadFileError, match=message) as raised:
        SOURCE.read(file)
    assert raised.value.kind == kind
    assert raised.value.path == file.path
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a07_s01_e00_v01", "a01_s11_e00_v01", "a01_s00_e00_v01", "a01_s01_e00_v04"])
def test_names_outside_the_data_set_are_bad(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadFileError, match="bad name"):
        SOURCE.read(write(tmp_path, document(joints_of(1)), f"{name}.json"))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a01_s01_e00_v01.json").open("wb") as file:
        file.truncate(2**40)
    archive = tmp_path / "raw.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("a01_s01_e00_v01.json", " " * (nw_ucla.MAX_BYTES + 1))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", None)  # nothing of the member is unpacked
    for file in (RawFile(tmp_path / "a01_s01_e00_v01.json"), RawFile(archive, "a01_s01_e00_v01.json")):
        with pytest.raises(BadFileError, match=f"bytes, expected at most {nw_ucla.MAX_BYTES}"):
            SOURCE.read(file)


def damaged_content(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[80:90] = bytes(10)
    archive.write_bytes(content)


def encrypted(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)


@pytest.mark.parametrize("damage", [damaged_content, encrypted, Path.unlink])
def test_a_damaged_member_is_a_bad_file(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    archive = tmp_path / "raw.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("a01_s01_e00_v01.json", document(joints_of(3)))
    (file,) = SOURCE.find([archive])
    damage(archive)
    with pytest.raises(BadFileError, match=r"raw\.zip/a01_s01_e00_v01\.json"):
        SOURCE.read(file)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"skeletons": json_values, "label": st.just(1)}) | json_values)
@settings(max_examples=100, deadline=None)
def test_any_json_is_read_or_a_bad_file(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    file = write(tmp_path_factory.getbasetemp(), json.dumps(content))
    with pytest.raises(BadFileError):
        SOURCE.read(file)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_read_or_a_bad_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(document(joints_of(1)).encode())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        (sequence,) = SOURCE.read(write(tmp_path_factory.getbasetemp(), bytes(content)))
    except BadFileError:
        return
    assert sequence.joints.shape == (1, 1, 20, 3)


def test_benchmarks_are_cross_subject_and_cross_view() -> None:
    clips = [Clip(f"{s}{v}", 0, subject=str(s), camera=str(v)) for s in (1, 2, 9, 10) for v in (1, 2, 3)]
    benchmarks = SOURCE.benchmarks(clips)
    assert {clips[i].subject for i in benchmarks["xsub"].train} == {"1", "9"}
    assert {clips[i].subject for i in benchmarks["xsub"].test} == {"2", "10"}
    assert {clips[i].camera for i in benchmarks["xview"].train} == {"1", "2"}
    assert {clips[i].camera for i in benchmarks["xview"].test} == {"3"}
    for split in benchmarks.values():
        assert sorted(split.train + split.test) == list(range(12))
    assert SOURCE.benchmarks([replace(clips[0])])["xview"].test == ()


def test_the_leak_of_the_customary_split_is_named() -> None:
    assert "95 of the 464" in SOURCE.explain("xview", (1020, 464))
    assert "without these 95 duplicates" in SOURCE.explain("xview", (1020, 369))
    assert SOURCE.explain("xsub", (674, 715)) == ""
