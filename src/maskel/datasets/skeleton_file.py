"""One ``.skeleton`` file of NTU RGB+D: text in, tracked bodies out.

The format (https://github.com/shahroudy/NTURGB-D): line 1 is the frame count; each frame is a body count, then per body
a line of 10 fields that starts with its bodyID, the joint count 25, and 25 lines of 12 fields that start with x, y and
z in metres. The other fields are not read.

There are two readers. Files as written by Microsoft's and NTU's tools (single blanks, nothing damaged) are decoded with
whole-array arithmetic. All other files go to a plain reader, line by line, which knows the whole format and names the
line of a fault. Both give the same numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64

from maskel.errors import BadFileError
from maskel.layouts import NTU25

JOINTS = len(NTU25)
BODY_FIELDS = 10
JOINT_FIELDS = 12
BODY_LINES = 2 + JOINTS

COORDINATE_LIMIT = 1e15
"""Metres. Beyond the reach of any camera, and small enough that sums of squares stay finite in float32."""

# glibc maps large arrays anew for every file and returns them afterwards, until a larger block has been freed. Freeing
# a large untouched block makes it keep memory between files, which doubles the speed of reading. Elsewhere: no effect.
np.empty(2**24, np.uint8)


@dataclass(frozen=True)
class SkeletonFile:
    """The tracked bodies of one recording, in the order of the file.

    Args:
        body_counts: (T,) bodies tracked in each frame.
        frames: (N,) frame of each tracked body-frame, from 0.
        body_ids: (N,) bodyID of each.
        joints: (N, V, C) joints of each in metres, camera space; exactly ``float(text)``.
        surplus_lines: Number of lines after the last declared frame; they are not read, as in the published scripts.
    """

    body_counts: Int64[np.ndarray, " t"]
    frames: Int64[np.ndarray, " n"]
    body_ids: UInt64[np.ndarray, " n"]
    joints: Float64[np.ndarray, "n v c"]
    surplus_lines: int = 0


def parse_skeleton(data: bytes, path: Path | str) -> SkeletonFile:
    """Read one ``.skeleton`` file.

    Args:
        data: The whole file; lines end in LF or CRLF.
        path: The file, for messages.

    Raises:
        BadFileError: If the file is empty, not text, ends early, differs from its declared counts (lines after the last
            declared frame are only counted), or has a count, bodyID or coordinate that is not a number.
    """
    parsed = _parse_columns(data)
    return _LineReader(data, path).parse() if parsed is None else parsed


def _parse_columns(data: bytes) -> SkeletonFile | None:
    """Decode a file of exactly the published form, with whole-array arithmetic; None for any other file."""
    text = data.rstrip()
    line_end = b"\r\n" if b"\r" in text else b"\n"
    text += line_end
    octets = np.frombuffer(text, np.uint8)
    newlines = octets == line_end[0]  # the CR if there is one: it ends the last field of a line
    ends = np.flatnonzero(newlines | (octets == ord(" ")))  # where the fields end
    last = np.flatnonzero(newlines[ends])  # the field that ends each line
    others = np.count_nonzero(octets <= ord(" ")) - len(ends)
    single = ends[0] > 0 and bool((np.diff(ends) > 1).all())
    if not (text.isascii() and single and others == (len(line_end) - 1) * len(last)):
        return None
    if others and (octets[ends[last] + 1] != ord("\n")).any():
        return None
    fields = np.diff(last, prepend=-1)
    line_ends = ends[last]
    line_starts = np.append(0, line_ends[:-1] + len(line_end))

    found = _locate_bodies(text, line_starts, line_ends)
    if found is None or not found[1].size:
        return None
    body_counts, bodies = found
    joint_lines = bodies[:, None] + np.arange(2, BODY_LINES)  # (N, V)
    if (fields[bodies] != BODY_FIELDS).any() or (fields[joint_lines] != JOINT_FIELDS).any():
        return None
    first_fields = last[bodies - 1] + 1
    ids = _fields_between(text, line_starts[bodies], ends[first_fields])
    counts = _fields_between(text, line_starts[bodies + 1], line_ends[bodies + 1])
    if not all(_is_body_id(name) for name in ids) or any(count != b"%d" % JOINTS for count in counts):
        return None
    frames = np.repeat(np.arange(len(body_counts)), body_counts)
    if len(set(zip(frames.tolist(), ids, strict=True))) < len(ids):
        return None

    edges = ends[last[joint_lines.ravel() - 1] + np.arange(4)[:, None]]  # (4, N·V): where x, y and z begin and end
    starts = edges[:3] + np.array([[len(line_end)], [1], [1]])
    coordinates = decode_decimals(text, starts.ravel(), edges[1:].ravel())
    if coordinates is None or not (np.abs(coordinates) < COORDINATE_LIMIT).all():
        return None
    body_ids = np.array([int(name) for name in ids], dtype=np.uint64)
    joints = np.ascontiguousarray(coordinates.reshape(3, -1).T).reshape(-1, JOINTS, 3)
    return SkeletonFile(body_counts, frames, body_ids, joints)


def _fields_between(text: bytes, starts: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " n"]) -> list[bytes]:
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _locate_bodies(
    text: bytes, line_starts: Int64[np.ndarray, " lines"], line_ends: Int64[np.ndarray, " lines"]
) -> tuple[Int64[np.ndarray, " t"], Int64[np.ndarray, " n"]] | None:
    """Return each frame's body count and each body's line, from the counts alone; None if they do not match."""
    lines = len(line_starts)

    def count_at(line: int) -> int:
        field = text[line_starts[line] : line_ends[line]]
        return int(field) if _is_count(field) else lines  # more than the file can hold

    body_counts: list[int] = []
    bodies: list[int] = []
    line = 1
    for _ in range(frame_count := count_at(0)):
        if line >= lines:
            return None
        count = count_at(line)
        after = line + 1 + BODY_LINES * count
        if after > lines:
            return None
        body_counts.append(count)
        bodies.extend(range(line + 1, after, BODY_LINES))
        line = after
    if line != lines or len(body_counts) != frame_count:
        return None
    return np.array(body_counts, dtype=np.int64), np.array(bodies, dtype=np.int64)


POWERS_OF_TEN = 10 ** np.arange(15, dtype=np.uint64)
WORD = 8  # digits read at once


def decode_decimals(
    text: bytes, starts: Int64[np.ndarray, " fields"], ends: Int64[np.ndarray, " fields"]
) -> Float64[np.ndarray, " fields"] | None:
    """Decode many fields as ``float(text[start:end])``; None if a field is not a number.

    Fields of the form -d.ddd with at most 14 decimals are whole numbers below 2**53 over a power of ten that is exact
    in float64, so one division rounds correctly (Clinger, PLDI 1990). The decimals are the last bytes before ``end``:
    they are loaded as a word of eight, or two, and summed in pairs, then fours, then eights within a word. All other
    spellings go through ``float``.

    Args:
        text: ASCII, with at least 16 bytes before each of ``ends``.
        starts: (fields,) first byte of each field.
        ends: (fields,) position of the blank after each field; at least one more field must follow on its line.
    """
    octets = np.frombuffer(text, np.uint8)
    negative = octets[starts] == ord("-")
    unsigned = starts + negative
    whole = octets[unsigned] - np.uint8(ord("0"))
    decimals = ends - unsigned - 2
    plain = (whole < 10) & (octets[unsigned + 1] == ord(".")) & (decimals >= 0) & (decimals < len(POWERS_OF_TEN))
    decimals = np.where(plain, decimals, 0)

    words, are_digits = _last_digits(octets, ends, decimals)
    plain &= are_digits
    long = np.flatnonzero(decimals > WORD)
    if long.size:
        higher, are_digits = _last_digits(octets, ends[long] - WORD, decimals[long] - WORD)
        words[long] += higher * POWERS_OF_TEN[WORD]
        plain[long] &= are_digits

    scale = POWERS_OF_TEN[decimals]
    numbers = (whole * scale + words) / scale.astype(np.float64)
    numbers *= 1.0 - 2.0 * negative
    other = np.flatnonzero(~plain)
    try:
        numbers[other] = [float(field) for field in _fields_between(text, starts[other], ends[other])]
    except ValueError:
        return None
    return numbers


def _last_digits(
    octets: UInt8[np.ndarray, " size"], ends: Int64[np.ndarray, " fields"], count: Int64[np.ndarray, " fields"]
) -> tuple[UInt64[np.ndarray, " fields"], Bool[np.ndarray, " fields"]]:
    """Return the number made of up to eight of the ``count`` digits before each end, and whether all are digits."""
    overlapping = np.ndarray(len(octets) - WORD + 1, "<u8", octets.data, strides=(1,))  # a word from every byte on
    words = overlapping[ends - WORD]
    unused = np.minimum(8 * np.maximum(WORD - count, 0), 63).astype(np.uint64)
    words ^= np.uint64(0x3030303030303030)  # digits become 0..9; a shift by 63 clears a word: ASCII has no bit 7
    words >>= unused
    words <<= unused
    digits = ((words + np.uint64(0x7676767676767676)) & np.uint64(0x8080808080808080)) == 0
    for factor, shift, kept in (
        (10 * 2**8 + 1, 8, 0x00FF00FF00FF00FF),
        (100 * 2**16 + 1, 16, 0x0000FFFF0000FFFF),
        (10_000 * 2**32 + 1, 32, 0x00000000FFFFFFFF),
    ):
        words *= np.uint64(factor)
        words >>= np.uint64(shift)
        words &= np.uint64(kept)
    return words, digits


def _is_count(field: bytes | str) -> bool:
    return field.isdigit() and len(field) <= 18


def _is_body_id(field: bytes | str) -> bool:
    return field.isdigit() and len(field) <= 20 and int(field) < 2**64


class _LineReader:
    """Reader of a file, line by line; raises at the first malformed line."""

    def __init__(self, data: bytes, path: Path | str) -> None:
        self.path = path
        if damage := re.search(rb"[^\t\n\r -\x7f]", data):
            line = data.count(b"\n", 0, damage.start()) + 1
            raise BadFileError(path, "not text", f"byte {data[damage.start()]:#04x}", "ASCII text", line)
        self.lines = data.decode("ascii").rstrip().split("\n")
        self.line = 0
        if self.lines == [""]:
            raise BadFileError(path, "empty", "no text", "a frame count in line 1")

    def fault(self, kind: str, found: str, expected: str) -> BadFileError:
        return BadFileError(self.path, kind, found, expected, self.line)

    def fields(self, number: int, expected: str) -> list[str]:
        """Read the next line, which must have ``number`` fields."""
        if self.line == len(self.lines):
            raise self.fault("truncated", "the end of the file", expected)
        fields = self.lines[self.line].split()
        self.line += 1
        if len(fields) != number:
            kind = "truncated" if len(fields) < number and self.line == len(self.lines) else "wrong count"
            raise self.fault(kind, f"a line of {len(fields)} fields", f"{expected} in a line of {number}")
        return fields

    def count(self, expected: str) -> int:
        (field,) = self.fields(1, expected)
        if not _is_count(field):
            raise self.fault("not a number", f"{field[:40]!r}", expected)
        return int(field)

    def coordinates(self, expected: str) -> list[float]:
        row = []
        for field in self.fields(JOINT_FIELDS, expected)[:3]:
            try:
                row.append(float(field))
            except ValueError:
                raise self.fault("not a number", f"{field[:40]!r}", expected) from None
            if not (isfinite(row[-1]) and abs(row[-1]) < COORDINATE_LIMIT):
                raise self.fault("not a number", f"{field[:40]!r}", f"{expected} below {COORDINATE_LIMIT:g} metres")
        return row

    def bodies(self, frame: int, count: int) -> Iterator[tuple[int, list[list[float]]]]:
        """Yield bodyID and joints of each body of one frame."""
        seen: set[int] = set()
        for body in range(1, count + 1):
            where = f"body {body} of {count} in frame {frame}"
            body_id = self.fields(BODY_FIELDS, f"the bodyID of {where}")[0]
            if not _is_body_id(body_id):
                raise self.fault("not a number", f"{body_id[:40]!r}", f"the bodyID of {where}, digits below 2**64")
            if int(body_id) in seen:
                raise self.fault("wrong count", f"bodyID {body_id} twice in frame {frame}", "each body once a frame")
            seen.add(int(body_id))
            joints = self.count(f"the joint count of {where}")
            if joints != JOINTS and self.line < len(self.lines):
                raise self.fault("wrong count", f"{joints} joints", f"{JOINTS} joints for {where}")
            rows = [self.coordinates(f"joint {joint} of {where}, a number") for joint in range(1, JOINTS + 1)]
            yield int(body_id), rows

    def parse(self) -> SkeletonFile:
        frame_count = self.count("the frame count")
        counts: list[int] = []
        bodies: list[tuple[int, list[list[float]]]] = []
        for frame in range(1, frame_count + 1):
            counts.append(self.count(f"the body count of frame {frame} of {frame_count}"))
            bodies += self.bodies(frame, counts[-1])
        body_counts = np.array(counts, dtype=np.int64)
        return SkeletonFile(
            body_counts,
            np.repeat(np.arange(frame_count), body_counts),
            np.array([body_id for body_id, _ in bodies], dtype=np.uint64),
            np.array([joints for _, joints in bodies], dtype=np.float64).reshape(-1, JOINTS, 3),
            sum(bool(line.strip()) for line in self.lines[self.line :]),
        )
