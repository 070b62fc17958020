"""Files of strangers that claim, repeat, nest or hide more than they hold: a sentence each, in bounded memory."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
from maskel import files
from maskel.console import notify, say
from maskel.datasets.base import RawFile
from maskel.datasets.folder import Folder
from maskel.datasets.ntu import NTU60
from maskel.datasets.store import SkeletonSet, text_array
from maskel.errors import BadFileError, InputError
from maskel.files import reading
from maskel.pickles import Allowed, Refused, interpret
from maskel.pictures.markup import element
from maskel.text import shown
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]
posix = pytest.mark.skipif(os.name != "posix", reason="special files of POSIX")
ESCAPES = "\x1b[2J\x1b]0;pwned\x07"


def machine(program: bytes, most: int = 1000) -> Any:
    return interpret(io.BytesIO(program), len(program), Allowed({}, {}, most_values=most))


def doubled(times: int, pair: bytes = b"\x86") -> bytes:
    """A value of two of the one before, and so on: 2 ** times values in 5 bytes each time."""
    steps = (b"h" + bytes([step]) + pair + b"q" + bytes([step + 1]) for step in range(times))
    return b"\x80\x03K\x01q\x00" + b"".join(steps) + b"."


def test_a_value_that_is_repeated_counts_as_often_as_it_stands() -> None:
    assert machine(doubled(8)) == machine(doubled(8))
    with pytest.raises(Refused, match="more than 1,000 values"):
        machine(doubled(34))
    lists = b"\x80\x03]q\x00(" + b"K\x01" * 40 + b"e" + b"0"  # POP is no instruction of plain data
    with pytest.raises(Refused, match="POP"):
        machine(lists + b".")
    wide = b"\x80\x03](](" + b"K\x01" * 40 + b"eq\x00" + b"h\x00" * 40 + b"e."
    with pytest.raises(Refused, match="more than 1,000 values"):
        machine(wide)
    assert len(machine(wide, 3000)) == 41


def test_what_stands_twice_does_not_grow() -> None:
    shared = [1]
    assert machine(pickle.dumps([shared, shared], 3)) == [[1], [1]]
    for grow in (b"h\x00h\x00a", b"(h\x00h\x00e"):
        with pytest.raises(Refused, match="grows where it stands twice"):
            machine(b"\x80\x03]q\x00" + grow + b".")


def test_long_text_that_is_repeated_counts() -> None:
    text = b"X" + struct.pack("<I", 50_000) + b"a" * 50_000
    with pytest.raises(Refused, match="more than 1,000 values"):
        machine(b"\x80\x03](" + text + b"q\x00" + b"h\x00" * 3 + b"e.")


def test_numbers_and_text_that_nothing_can_hold_are_refused_in_a_pickle() -> None:
    with pytest.raises(Refused, match="more than 64 bits"):
        machine(pickle.dumps(10**5000, 3))
    with pytest.raises(ValueError, match="surrogates not allowed"):
        machine(b"\x80\x03X\x03\x00\x00\x00\xed\xa0\x80.")


@pytest.mark.parametrize("unit", ["[],", "{},", '"",', '{"a":1},', "[[]],"])
def test_json_of_millions_of_empty_values_is_weighed_before_it_is_parsed(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("it was parsed")

    text = "[" + unit * (50_000_000 // len(unit)) + "0]"
    monkeypatch.setattr(reading.json, "loads", never)
    with pytest.raises(files.TooLargeError, match="too many values"):
        files.parse_json(text)


def test_json_of_a_long_recording_is_read() -> None:
    frames = [[[0.125, 1.25, -2.5]] * 25] * 2000
    assert files.parse_json(json.dumps(frames)) == frames


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1" + "0" * 400, "more than 64 bits"),
        ("9" * 5000, "64 bits"),
        ("-" + "9" * 25, "more than 64 bits"),
        ('"\\ud800"', "surrogates"),
        ('{"\\uDFFF": 1}', "surrogates"),
        ("[" * 100_000, "nested"),
        ("NaN", "nan"),
        ("-Infinity", "inf"),
        ("1e999", "inf"),
    ],
)
def test_json_of_maskel_holds_numbers_and_text(text: str, found: str, tmp_path: Path) -> None:
    file = own.write(tmp_path / "a.json", text)
    with pytest.raises(ValueError, match=found):
        files.read_json(file)


def test_json_that_is_fine_is_read(tmp_path: Path) -> None:
    content = {"a": [1, -(2**63), 0.12345678901234567890123, "\U0001f600 é", None, True], "1" * 30: {}}
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False)):
        assert files.read_json(own.write(tmp_path / "a.json", text)) == content


def test_json_is_never_written_with_what_is_no_number() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            files.json_text({"loss": value})
    with pytest.raises(ValueError, match="surrogates"):
        files.json_text({"name": "\ud800"})


@pytest.mark.parametrize("value", [10**400, float("nan"), "\udcff"])
def test_a_run_does_not_begin_with_options_that_its_files_cannot_hold(value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an option that no file can hold"):
        RunFolder.create(tmp_path / "run", "pretrain", {"training": {"lr": value}})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["seed: 0x" + "f" * 400, 'data: "\\ud800"', "seed: " + "9" * 5000])
def test_yaml_holds_numbers_and_text(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"64 bits|surrogates|digits"):
        files.read_yaml(own.write(tmp_path / "a.yaml", text))


def test_a_header_or_a_directory_is_not_read_beyond_its_bound(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        file.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1))
        file.truncate(2**25)  # sparse: it takes no place
    with pytest.raises(ValueError, match="a header that is too long"):
        files.map_npy(tmp_path / "a.npy")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a", "")
    content = bytearray(archive.getvalue())
    content[-10:-6] = struct.pack("<I", 2**31)
    with pytest.raises(files.TooLargeError, match="too many files"):
        files.open_archive(io.BytesIO(bytes(content)))


@posix
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_the_place_of_a_file_is_refused_at_once(
    make: Callable[[Path], None], run: Run, prepared: Path, tmp_path: Path
) -> None:
    make(tmp_path / "special")
    for read in (files.read_bounded, files.read_text, files.read_json, files.read_yaml, files.map_npy):
        with pytest.raises(ValueError, match="a device or a pipe"):
            read(tmp_path / "special")
    make(tmp_path / "S001C001P001R001A001.skeleton")
    with pytest.raises(BadFileError, match="a device or a pipe"):
        NTU60().read(RawFile(tmp_path / "S001C001P001R001A001.skeleton"))
    for name in ("clips.csv", "splits.json", "joints.npy"):
        own.write(tmp_path / name / "meta.json", (prepared / "meta.json").read_bytes())
        for file in prepared.iterdir():
            if file.name != "meta.json":
                (tmp_path / name / file.name).symlink_to(file)
        (tmp_path / name / name).unlink()
        make(tmp_path / name / name)
        with pytest.raises(InputError, match="a device or a pipe"):
            SkeletonSet.open(tmp_path / name)
    code, text = run("knn", "--data", prepared, "--encoder", tmp_path / "special", "--k", 1, "--out", tmp_path / "o")
    assert code == 2, text


def test_one_long_name_does_not_make_all_of_them_long(tmp_path: Path) -> None:
    assert text_array(["a", "bcd"]).tolist() == ["a", "bcd"]
    with pytest.raises(InputError, match="room for the longest, of 130,000 characters"):
        text_array(["a" * 130_000, *["b"] * 6000])


def test_a_strangers_value_is_described_in_a_few_words() -> None:
    bomb: Any = 1
    for _ in range(60):
        bomb = (bomb, bomb)
    assert files.described(bomb) == "a tuple of 2"
    assert files.described([1, "a"]) == "(1, a)"
    assert files.described(10**5000) == "a whole number of more than 64 bits"
    assert len(files.described("a" * 10**6)) == 40


def test_text_is_shown_with_codes_in_the_place_of_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(ESCAPES) == r"\x1b[2J\x1b]0;pwned\x07"
    assert shown("\u202eabc\ud800\n") == r"\u202eabc\ud800\n"
    assert shown("手を\u3000振る\u00a0é") == "手を\u3000振る\u00a0é"
    say(f"[red]{ESCAPES}\n[/red]")
    notify(ESCAPES)
    out = capsys.readouterr()
    assert out.out == f"[red]{shown(ESCAPES)}\n[/red]\n"
    assert out.err == f"maskel: {shown(ESCAPES)}\n"
    assert element("p", f"<b>{ESCAPES}") == f"<p>&lt;b&gt;{shown(ESCAPES)}</p>"
    assert files.csv_text([("name", 1), (ESCAPES, 2.5)]) == f"name,1\n{shown(ESCAPES)},2.5\n"


@pytest.mark.parametrize("name", ["[/red]", ESCAPES])
def test_names_of_splits_are_shown_as_text(name: str, run: Run, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(1, 4, 25, 3)).astype("f4")
    clip = {"frame_dir": "c0", "label": 0, "total_frames": 4, "keypoint": array}
    content = {"split": {f"{name}_{part}": ["c0"] for part in ("train", "val")}, "annotations": [clip]}
    own.write(tmp_path / "x.pkl", pickle.dumps(content, 3))
    code, text = run("prepare", "pyskl", tmp_path / "x.pkl", "--out", tmp_path / "set")
    assert code == 0, text
    assert shown(name.casefold()) in text  # splits are compared without case
    assert "\x1b" not in text
    code, text = run("inspect", tmp_path / "set")
    assert (code, "\x1b" in text) == (0, False)


def test_one_long_text_among_coordinates_is_refused(tmp_path: Path) -> None:
    file = own.write(tmp_path / "rec" / "wave" / "a.json", ["a" * 10**6, *["b"] * 2000])
    with pytest.raises(BadFileError):
        Folder("coco17").read(Folder("coco17").find([tmp_path / "rec"])[0])
    assert file.is_file()
