from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskel.datasets import pku_mmd
from maskel.datasets.base import RawFile
from maskel.datasets.pku_mmd import PKU1, PKU2, PkuMmd, parse_frames
from maskel.errors import BadFileError, InputError
from maskel.layouts import NTU25
from maskel.sequence import UNLABELLED, Clip, LabelledRange

V = len(NTU25)


def frames_of(count: int, seed: int = 0, bodies: int = 1) -> np.ndarray:
    """(T, 150) as published: six decimals, absent bodies zero."""
    frames = np.zeros((count, 2 * V * 3))
    frames[:, : bodies * V * 3] = np.random.default_rng(seed).normal(size=(count, bodies * V * 3)).round(6)
    return frames


def text_of(frames: np.ndarray) -> str:
    """Every line but the first begins with a blank, as in the published files."""
    return "\n ".join(" ".join(f"{number:f}" for number in frame) for frame in frames) + "\n"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def recording(folder: Path, skeleton: str | bytes, labels: str | bytes, name: str = "0002-L") -> RawFile:
    return RawFile(
        write(folder / "skeleton" / f"{name}.txt", skeleton), labels=write(folder / "label" / f"{name}.txt", labels)
    )


def split_of(training: list[str], validation: list[str] | None = None) -> str:
    text = "Training videos: \n" + ", ".join(training)
    return text if validation is None else text + "\nValidataion videos: \n" + ", ".join(validation) + "\n"


def test_a_clip_is_a_marked_action_of_its_recording(tmp_path: Path) -> None:
    frames = frames_of(400)
    frames[30:40] = 0  # nobody there
    frames[350:, V * 3 :] = frames_of(50, seed=1)[:, : V * 3]  # a second body
    labels = "5,2,9,2\n51,30,40,2\n1,10,390,1\n7,380,500,1\n3,9,9,0\n3,9,4,0\n3,400,410,0\n"
    clips = PKU1().read(recording(tmp_path, text_of(frames), labels))
    assert [sequence.clip for sequence in clips] == [
        Clip("0002-L_0", 4, camera="L", recording="0002-L", first_frame=2, end_frame=9),
        Clip("0002-L_2", 0, camera="L", recording="0002-L", first_frame=10, end_frame=390),
        Clip("0002-L_3", 6, camera="L", recording="0002-L", first_frame=380, end_frame=400),
    ]
    assert [sequence.joints.shape for sequence in clips] == [(1, 7, V, 3), (1, 300, V, 3), (2, 20, V, 3)]
    for sequence in clips:
        start, (bodies, count) = sequence.clip.first_frame, sequence.joints.shape[:2]
        published = frames[start : start + count].astype(np.float32).reshape(count, 2, V, 3)[:, :bodies]
        assert np.array_equal(sequence.joints.swapaxes(0, 1), published)


def test_centred_clips_start_at_the_spine_and_absent_frames_stay_zero(tmp_path: Path) -> None:
    frames = frames_of(20, bodies=2)
    frames[:3, : V * 3] = 0
    frames[10:12] = 0
    file = recording(tmp_path, text_of(frames), "1,0,20,1\n2,0,3,1\n")
    plain, centred = PKU1().read(file), PKU1(center=True).read(file)
    spine = NTU25.index("spine_mid")
    for body, first, (before, after) in ((0, 3, (plain[0], centred[0])), (1, 0, (plain[1], centred[1]))):
        expected = before.joints - before.joints[body, first, spine]
        expected[~before.joints.any(axis=(2, 3))] = 0
        assert np.array_equal(after.joints, expected)
        assert not after.joints[body, first, spine].any()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", " ", ", ", "\t", ",\t"])
def test_labels_are_separated_by_commas_or_blanks(tmp_path: Path, separator: str, end: str) -> None:
    lines = [["1", "0", "2", "1"], ["51", "3.0", "5.000", "0.5"], ["7", "1", "2"]]
    labels = "".join(separator.join(line) + end for line in lines) + end
    clips = PKU1().read(recording(tmp_path, text_of(frames_of(5)).replace("\n", end), labels))
    assert [(c.clip.label, c.clip.first_frame, c.clip.end_frame) for c in clips] == [(0, 0, 2), (50, 3, 5), (6, 1, 2)]


@pytest.mark.parametrize(
    ("source", "names", "skeletons", "labels", "splits"),
    [
        (PKU1(), ["0002-L", "0003-M"], "skeleton", "label", ("cross-subject.txt", "cross-view.txt")),
        (
            PKU1(),
            ["0002-L", "0003-R"],
            "PKUMMD/Data/PKU_Skeleton_Renew",
            "PKUMMD/Label/Train_Label_PKU_final",
            ("PKUMMD/Split/cross_subject.txt", "PKUMMD/Split/cross_view.txt"),
        ),
        (
            PKU2(),
            ["A01N02-L", "A12N13-M"],
            "v2/Skeleton_v2/Skeleton",
            "v2/Label_PKUMMD_v2",
            ("v2/cross_subject_v2.txt", "cross_view_v2.txt"),
        ),
        (PKU2(), ["A01N02-L", "A12N13-M"], "Datav2", "Labelv2", ("Cross-Subject.TXT".lower(), "Spliv2/crossView.txt")),
        (PKU2(), ["A01N02-L", "A12N13-M"], "one", "other", ("cross-subject (1).txt", "cross-view.txt")),
    ],
)
def test_every_spelling_of_folders_and_files_is_found(
    tmp_path: Path, source: PkuMmd, names: list[str], skeletons: str, labels: str, splits: tuple[str, str]
) -> None:
    for name in names:
        write(tmp_path / skeletons / f"{name}.txt", text_of(frames_of(3)))
        write(tmp_path / labels / f"{name}.txt", "1,0,2,1\n")
    write(tmp_path / splits[0], split_of([names[1], "9999-L"]))
    write(tmp_path / splits[1], split_of(names[:1], names[1:]))
    for other in ("README.txt", "Actions.txt", "RGB/0002-L.avi", "skeleton/1-L.txt"):
        write(tmp_path / other, "nothing to see")
    # the other phase lies beside it
    write(tmp_path / "more" / "skeleton" / ("A01N01-L.txt" if source.name == "pku1" else "0002-L.txt"), "")
    write(tmp_path / "more" / "cross_subject.txt", split_of(["A01N01-L" if source.name == "pku1" else "0002-L"]))
    files = source.find([tmp_path, tmp_path / "more"])
    assert [(file.path, file.labels) for file in files] == [
        (tmp_path / skeletons / f"{name}.txt", tmp_path / labels / f"{name}.txt") for name in names
    ]
    clips = [sequence.clip for file in files for sequence in source.read(file)]
    benchmarks = source.benchmarks(clips)
    assert (benchmarks["xsub"].train, benchmarks["xsub"].test) == ((1,), (0,))
    assert (benchmarks["xview"].train, benchmarks["xview"].test) == ((0,), (1,))  # validation recordings test
    assert "1 of the 2 training recordings" in source.explain("xsub", (1, 1))
    assert source.explain("xview", (1, 1)) == ""


SPLITS = {
    "one line": ("Training videos:\n0002-L, 0003-M", {"0002-L", "0003-M"}),
    "heading beside": ("Training videos: 0002-L, 0003-M\nValidation videos: 0004-L", {"0002-L", "0003-M"}),
    "no heading": ("0002-L,0003-M\r\n", {"0002-L", "0003-M"}),
    "one a line": ("Train\n0002-L\n0003-M.txt\n\n0005-R\nTest\n0004-L\n", {"0002-L", "0003-M", "0005-R"}),
    "trailing comma": ("Training videos: \n0002-L, 0003-M, \nValidataion videos: \n0004-L, ", {"0002-L", "0003-M"}),
    "byte order mark": ("\ufefftrain:\n0002-L A01N01-M\n", {"0002-L", "A01N01-M"}),
}


@pytest.mark.parametrize(("text", "training"), SPLITS.values(), ids=SPLITS.keys())
def test_split_files(tmp_path: Path, text: str, training: set[str]) -> None:
    assert pku_mmd._read_training(write(tmp_path / "cross.txt", text)) == training


BAD_SPLITS = {
    "empty": ("", "empty"),
    "heading only": ("Training videos:\n", "no training recording"),
    "damaged name": ("Training videos:\n0002-L, 00\n", "line 2: bad name: found '00'"),
    "damaged line": ("Training:\n0002-L\n0x02-L, 3-M\nValidation\n", "line 3: bad name: found '0x02-L'"),
    "binary": (b"Training:\n0002-L\xff", "line 2: not text: found byte 0xff"),
    "utf-16": ("Training:\n0002-L".encode("utf-16"), "not text"),
    "huge": (b"0002-L, " * 2**18, "at most 1048576"),
}


@pytest.mark.parametrize(("content", "message"), BAD_SPLITS.values(), ids=BAD_SPLITS.keys())
def test_a_bad_split_file_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(BadFileError, match=message):
        pku_mmd._read_training(write(tmp_path / "cross_subject.txt", content))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder; unpack the archives of PKU-MMD"):
        PKU1().find([write(tmp_path / "Skeleton.7z", "")])
    with pytest.raises(InputError, match=r"no skeleton file called like A01N01-L\.txt is in"):
        PKU2().find([tmp_path])
    file = recording(tmp_path, text_of(frames_of(2)), "1,0,2,1")
    with pytest.raises(InputError, match="no split file of PKU-MMD phase I"):
        PKU1().find([tmp_path])
    write(tmp_path / "cross-subject.txt", split_of(["0002-L"]))
    source = PKU1()
    assert [found.path for found in source.find([tmp_path])] == [file.path]
    assert "no split file for xview was found" in source.explain("xsub", (1, 0))
    assert source.benchmarks([]).keys() == {"xsub"}
    write(tmp_path / "old" / "cross-subject.txt", split_of(["0003-L", "0002-L"]))
    with pytest.raises(InputError, match="name different training recordings; remove one of them"):
        PKU1().find([tmp_path])
    (tmp_path / "old" / "cross-subject.txt").unlink()
    again = write(tmp_path / "old" / "skeleton" / "0002-L.txt", "")
    with pytest.raises(InputError, match="are the same recording's; remove one of them"):
        PKU1().find([tmp_path])
    again.unlink()
    file.labels.unlink()  # type: ignore[union-attr]
    with pytest.raises(BadFileError, match=r"no labels: found no label file called 0002-L\.txt") as raised:
        PKU1().read(PKU1().find([tmp_path])[0])
    assert raised.value.kind == "no labels"


GOOD = text_of(frames_of(3))
SKELETON_FAULTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "empty"),
    "blank": (" \n\n", "empty"),
    "cut": (GOOD[:-100], "line 3: truncated: found a line of 1.. numbers, expected 150"),
    "short line": (GOOD.replace(" ", "\n", 1), "line 1: wrong count: found a line of 1 numbers"),
    "blank line": (GOOD.replace("\n", "\n\n", 1), "line 2: wrong count: found a line of 0 numbers"),
    "long line": (GOOD.replace("\n", "", 1), "line 1: wrong count: found a line of 300 numbers"),
    "endless line": ("0 " * 2**19, "line 1: wrong count: found a line of more than 262144 bytes"),
    "endless later line": (GOOD + "0 " * 2**19, "line 4: wrong count: found a line of more than"),
    "commas": (GOOD.replace(" ", ","), "line 1: wrong count"),
    "word": (GOOD.replace("\n ", "\n x", 1), "line 2: not a number: found 'x"),
    "not a number": (GOOD.replace("0.000000", "nan", 1), "line 1: not a number: found 'nan'"),
    "infinite": (GOOD.replace("0.000000", "-inf", 1), "line 1: not a number: found '-inf'"),
    "far away": (GOOD.replace("0.000000", "1e16", 1), "line 1: not a number: found '1e16', expected metres below"),
    "binary": (GOOD.encode() + b"\x00", "line 4: not text: found byte 0x00"),
    "utf-16": (GOOD.encode("utf-16"), "line 1: not text: found byte 0xff"),
}


@pytest.mark.parametrize(("content", "message"), SKELETON_FAULTS.values(), ids=SKELETON_FAULTS.keys())
def test_a_bad_skeleton_file_is_named_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = recording(tmp_path, content, "1,0,2,1\n")
    with pytest.raises(BadFileError, match=message) as raised:
        PKU1().read(file)
    assert raised.value.path == file.path
    assert "\n" not in str(raised.value)


LABEL_FAULTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("\n", "empty"),
    "class 0": ("1,0,2,1\n0,0,2,1\n", "line 2: bad label: found class 0, expected class 1 to 51"),
    "class 52": ("52,0,2,1\n", "line 1: bad label: found class 52"),
    "too few": ("1,0\n", "line 1: wrong count: found a line of 2 fields"),
    "too many": ("1,0,2,1,1\n", "line 1: wrong count: found a line of 5 fields"),
    "negative": ("1,-5,2,1\n", "line 1: not a number: found '-5'"),
    "fraction": ("1,0.5,2,1\n", "line 1: not a number: found '0.5'"),
    "huge number": ("1,0,99999999999,1\n", "line 1: not a number"),
    "word": ("drink,0,2,1\n", "line 1: not a number: found 'drink'"),
    "utf-16": ("1,0,2,1\n".encode("utf-16"), "line 1: not text"),
    "huge": ("1,0,2,1\n" * 2**18, "at most 1048576"),
}


@pytest.mark.parametrize(("content", "message"), LABEL_FAULTS.values(), ids=LABEL_FAULTS.keys())
def test_a_bad_label_file_is_named_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = recording(tmp_path, GOOD, content)
    with pytest.raises(BadFileError, match=message) as raised:
        PKU1().read(file)
    assert raised.value.path == file.labels


def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pku_mmd, "MAX_BYTES", 1000)
    with pytest.raises(BadFileError, match="found more than 1000 bytes, expected at most 1000"):
        PKU1().read(recording(tmp_path, GOOD, "1,0,2,1\n"))


@given(st.integers(1, 12), st.sampled_from(["{:f}", "{:.0f}", "{!r}", "{:e}", "{:+.17f}"]), st.integers(1, 3000))
@settings(max_examples=25, deadline=None)
def test_any_way_to_write_numbers_is_read_exactly(count: int, style: str, block: int) -> None:
    frames = np.random.default_rng(count).normal(size=(count, 150))
    text = "\n".join(" ".join(style.format(float(number)) for number in frame) for frame in frames)
    expected = np.array([[float(field) for field in line.split()] for line in text.split("\n")]).astype(np.float32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pku_mmd, "BLOCK", 5000 + block)
        assert np.array_equal(parse_frames(text.encode(), "memory"), expected)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_changed_bytes_are_read_or_a_bad_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    contents = [bytearray(GOOD.encode()), bytearray(b"1,0,2,1\n51,1,3,2\n")]
    for _ in range(data.draw(st.integers(1, 3))):
        content = contents[data.draw(st.integers(0, 1))]
        place = data.draw(st.integers(0, len(content)))
        changed = data.draw(
            st.one_of(st.just(b""), st.binary(max_size=3), st.sampled_from([b" ", b"\n", b"9", b"nan "]))
        )
        content[place : place + data.draw(st.integers(0, 40))] = changed
    file = recording(tmp_path_factory.getbasetemp(), bytes(contents[0]), bytes(contents[1]))
    try:
        sequences = PKU1().read(file)
    except BadFileError:
        return
    for sequence in sequences:
        assert 0 <= sequence.clip.first_frame < sequence.clip.end_frame
        assert sequence.joints.shape[1] == min(300, sequence.clip.end_frame - sequence.clip.first_frame)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_split_file_is_read_or_a_bad_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp() / "cross-view.txt", content)
    try:
        training = pku_mmd._read_training(path)
    except BadFileError:
        return
    assert training
    assert all(map(pku_mmd.RECORDING.fullmatch, training))


def test_an_untrimmed_recording_keeps_its_frames_and_its_actions(tmp_path: Path) -> None:
    frames = frames_of(400)
    frames[30:60] = 0
    labels = "5,2,9,2\n1,10,390,1\n7,380,500,1\n3,9,9,0\n3,400,410,0\n"
    file = recording(tmp_path, text_of(frames), labels)
    source = PKU1(untrimmed=True)
    (sequence,) = source.read(file)
    assert source.clips(file) == [sequence.clip] == [Clip("0002-L", UNLABELLED, camera="L")]
    assert sequence.joints.shape == (1, 400, V, 3)
    assert sequence.ranges == (LabelledRange(4, 2, 9), LabelledRange(0, 10, 390), LabelledRange(6, 380, 400))
    assert sequence.counts == {"labelled actions beyond the recording, left out": 2}
    assert np.array_equal(sequence.joints[0].reshape(400, -1), frames[:, : V * 3].astype(np.float32))
    source._training = {"xsub": frozenset({"0002-L"})}
    assert source.benchmarks([sequence.clip])["xsub"].train == (0,)


def test_what_lies_between_actions_is_a_class_on_request(tmp_path: Path) -> None:
    labels = "5,40,100,2\n1,120,200,1\n7,180,240,1\n3,270,300,0\n"
    source = PKU1(background=True)
    file = recording(tmp_path, text_of(frames_of(400)), labels)
    found = {clip.name: (clip.label, clip.first_frame, clip.end_frame) for clip in source.clips(file)}
    assert len(found) == 6
    assert found["0002-L_b0"] == (51, 0, 40)
    assert found["0002-L_b1"] == (51, 240, 270)
    assert source.classes[51] == "background"
    assert len(PKU1().classes) == 51
    assert len(source.read(file)) == 6
    with pytest.raises(InputError, match="choose one"):
        PKU1(untrimmed=True, background=True)
