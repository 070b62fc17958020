import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskel.datasets.skeleton_file import SkeletonFile, _LineReader, _parse_columns, parse_skeleton
from maskel.errors import BadFileError

JOINT = "0.2181153 -0.1725972 3.785547 277.419 191.8218 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -0.1239193 2"
BODY = "0 1 1 1 1 0 0.02764709 0.05745083 2"


def recording(counts: list[int], joint: Callable[[int], str] = lambda line: JOINT) -> list[str]:
    """The lines of a file with ``counts`` bodies in its frames."""
    lines = [str(len(counts))]
    for count in counts:
        lines.append(str(count))
        for body in range(count):
            lines += [f"7205759403793110{body} {BODY}", "25"]
            lines += [joint(len(lines) + row) for row in range(25)]
    return lines


def text(lines: list[str], end: str = "\n") -> bytes:
    return (end.join(lines) + end).encode()


def assert_equal(found: SkeletonFile | None, expected: SkeletonFile) -> None:
    assert found is not None
    for name in ("body_counts", "frames", "body_ids", "joints"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes(), name


def plain(lines: list[str]) -> SkeletonFile:
    return _LineReader(text(lines), "plain").parse()


NUMBERS = st.one_of(
    st.floats(-1e14, 1e14).map(str),
    st.floats(-8, 8, width=32).map(lambda value: f"{value:.7g}"),
    st.floats(-8, 8).map(lambda value: f"{value:.9f}"),
    st.from_regex(r"-?[0-9]\.[0-9]{0,18}", fullmatch=True),
    st.from_regex(r"[-+]?[0-9]{0,2}\.?[0-9]{1,6}([eE][-+]?[0-6])?", fullmatch=True),
)


@given(st.lists(NUMBERS, min_size=75, max_size=75))
@settings(max_examples=150, deadline=None)
def test_coordinates_equal_float_bit_for_bit(fields: list[str]) -> None:
    rows = [f"{' '.join(fields[start : start + 3])} 0 0 0 0 0 0 0 0 2" for start in range(0, 75, 3)]
    lines = ["1", "1", f"72057594037931100 {BODY}", "25", *rows]
    found = _parse_columns(text(lines))
    assert found is not None
    assert found.joints.tobytes() == np.array([float(field) for field in fields]).tobytes()
    assert_equal(plain(lines), found)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "\n", "\r\n  \r\n\t\n"])
@pytest.mark.parametrize("counts", [[], [0], [1], [0, 2, 1, 0, 3, 0]])
def test_counts_bodies_and_line_ends(counts: list[int], end: str, tail: str) -> None:
    lines = recording(counts, lambda line: f"{line} -0.5 2 " + "0 " * 8 + "2")
    found = parse_skeleton(text(lines, end) + tail.encode(), "file")
    assert found.body_counts.tolist() == counts
    assert found.frames.tolist() == [frame for frame, count in enumerate(counts) for _ in range(count)]
    assert found.body_ids.tolist() == [72057594037931100 + body for count in counts for body in range(count)]
    rows = [[float(line), -0.5, 2.0] for line, row in enumerate(lines) if len(row.split()) == 12]
    assert found.joints.reshape(-1, 3).tolist() == rows
    if sum(counts):
        assert_equal(_parse_columns(text(lines, end) + tail.encode()), plain(lines))


def test_last_line_without_its_end() -> None:
    lines = recording([1, 2])
    assert_equal(parse_skeleton(text(lines)[:-1], "file"), plain(lines))


@pytest.mark.parametrize(("old", "new"), [(" ", "\t"), (" ", "  "), ("2\n", "2 \n"), ("25\n", " 25\n")])
def test_other_blanks_are_read_as_well(old: str, new: str) -> None:
    lines = recording([2, 1])
    changed = text(lines).replace(old.encode(), new.encode())
    assert _parse_columns(changed) is None
    assert_equal(parse_skeleton(changed, "file"), plain(lines))


def replaced(line: int, *new: str) -> list[str]:
    """A file of two frames and three bodies, line ``line`` (from 1) replaced."""
    lines = recording([1, 2])
    lines[line - 1 : line] = new
    return lines


def joint(*first: str) -> str:
    return " ".join((*first, *JOINT.split()[len(first) :]))


# Line 1 frames, 2 count, 3 body, 4 joints, 5-29 joints, 30 count, 31 body, 32 joints, 33-57 joints, 58 body, 59, 60-84.
FAULTS = {
    "no byte": (b"", "empty", None),
    "blank lines": (b" \r\n\n", "empty", None),
    "binary": (b"\x89PNG\r\n", "not text", 1),
    "one byte": (text(replaced(40, joint("0.1", "0.2", "0\0003"))), "not text", 40),
    "umlaut": ("\n".join(replaced(62, joint("0.1", "ä"))).encode(), "not text", 62),
    "only the frame count": (b"2\n", "truncated", 1),
    "absurd frame count": (text(replaced(1, "1000000000000")), "truncated", 84),
    "absurd body count": (text(recording([1, 2])[:2]).replace(b"1", b"999999999999"), "truncated", 2),
    "ends after a body line": (text(recording([1, 2])[:31]), "truncated", 31),
    "ends in a joint count": (text([*recording([1, 2])[:31], "2"]), "truncated", 32),
    "ends between joints": (text(recording([1, 2])[:50]), "truncated", 50),
    "ends in a joint": (text(recording([1, 2]))[:-3], "truncated", 84),
    "ends before a frame": (text(recording([1, 2])[:29]), "truncated", 29),
    "frames missing": (text(replaced(1, "3")), "truncated", 84),
    "20 joints": (text(replaced(32, "20")), "wrong count", 32),
    "body count too large": (text(replaced(2, "2")), "wrong count", 30),
    "body count too small": (text(replaced(2, "0")), "wrong count", 3),
    "joint line lost": (text(replaced(40)), "wrong count", 57),
    "blank line": (text(replaced(40, "", JOINT)), "wrong count", 40),
    "11 fields": (text(replaced(41, JOINT[:-2])), "wrong count", 41),
    "13 fields": (text(replaced(41, JOINT + " 1")), "wrong count", 41),
    "body line of 9 fields": (text(replaced(58, "7205759 " + BODY[:-2])), "wrong count", 58),
    "body twice in a frame": (text(replaced(58, f"72057594037931100 {BODY}")), "wrong count", 58),
    "frame count": (text(replaced(1, "two")), "not a number", 1),
    "negative count": (text(replaced(30, "-1")), "not a number", 30),
    "endless count": (text(replaced(30, "1" * 5000)), "not a number", 30),
    "bodyID": (text(replaced(58, f"7205759403793110x {BODY}")), "not a number", 58),
    "bodyID beyond 64 bits": (text(replaced(58, f"{2**64} {BODY}")), "not a number", 58),
    "x": (text(replaced(5, joint("0,25"))), "not a number", 5),
    "y": (text(replaced(57, joint("1.5", "-"))), "not a number", 57),
    "z": (text(replaced(84, joint("1.5", "1.5", "1.5.5"))), "not a number", 84),
    "nan": (text(replaced(45, joint("NaN"))), "not a number", 45),
    "infinity": (text(replaced(45, joint("0.1", "-inf"))), "not a number", 45),
    "overflow": (text(replaced(45, joint("1e400"))), "not a number", 45),
    "overflow in float32": (text(replaced(45, joint("1e39"))), "not a number", 45),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_name_kind_and_line(name: str) -> None:
    data, kind, line = FAULTS[name]
    with pytest.raises(BadFileError) as raised:
        parse_skeleton(data, "a/b.skeleton")
    assert (raised.value.kind, raised.value.line) == (kind, line)
    assert raised.value.path == Path("a/b.skeleton")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "declared", "surplus"),
    [
        (replaced(1, "1"), recording([1]), 55),
        (replaced(30, "1"), recording([1, 1]), 27),
        ([*recording([1, 2]), "", "more"], recording([1, 2]), 1),
        (replaced(1, "0"), recording([]), 83),
    ],
    ids=["frames", "a body of the last frame", "text", "all"],
)
def test_what_is_behind_the_declared_frames_is_counted_and_not_read(
    lines: list[str], declared: list[str], surplus: int, end: str
) -> None:
    found, expected = parse_skeleton(text(lines, end), "file"), parse_skeleton(text(declared), "file")
    assert_equal(found, expected)
    assert (found.surplus_lines, expected.surplus_lines) == (surplus, 0)


def test_fault_with_crlf_names_the_same_line() -> None:
    with pytest.raises(BadFileError, match=r"line 57: not a number: found '-', expected joint 25 of body 1 of 2"):
        parse_skeleton(text(replaced(57, joint("1.5", "-")), "\r\n"), "file")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(text(recording([1, 0, 2]), data.draw(st.sampled_from(["\n", "\r\n"]))))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.one_of(st.binary(max_size=3), st.text("0123456789.eE-+ \n\rnaif", max_size=4).map(str.encode))
        )
    damaged = bytes(content[: data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else None])
    fast = _parse_columns(damaged)
    try:
        found = _LineReader(damaged, "file").parse()
    except BadFileError:
        assert fast is None
    else:
        if fast is not None:
            assert_equal(fast, found)
