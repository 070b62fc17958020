"""Lines of a text table: separators of fields, decimal commas, and remarks at the top."""

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from maskel.datasets.folder.pose import read_bytes
from maskel.errors import BadFileError
from maskel.files import LONGEST_ROW, TooLargeError, split_lines, split_rows

Line = tuple[int, list[str]]
"""A line's number and its fields."""

MAX_LINES = 1_000_000
"""Lines of a table of labels."""
MAX_COLUMNS = 50_000
"""Columns of a table; a frame of 32 people with 133 joints of 4 numbers has 17,024."""
_MOST_MEMORY = 640 << 20
"""Bytes of the lines and fields of a table: 250 for a line, 72 for a field."""
_SAMPLE = 20
"""Number of lines that determine the separator of fields."""
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
_DECIMAL_POINT = re.compile(r"[-+]?\d+\.\d+")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")
_WITH_SPACES = re.compile(r"[-+]?\d+(,\d+)?([eE][-+]?\d+)?")
_LEADING_ZERO = re.compile(r"(?:^|,)[ ]*(-0|-?0\d+)(?=,|\r?$)", re.MULTILINE)


def read_lines(path: Path) -> list[Line]:
    """Read a table's lines that are not empty, at least one; comma, semicolon or tab between the fields.

    Raises:
        BadFileError: If the file is no table of UTF-8 text.
    """
    text = _read_text(path)
    heading = text.partition("\n")[0]
    lines = _split(path, text, max(",;\t", key=heading.count))
    if len(lines) > MAX_LINES:
        raise BadFileError(path, "wrong count", f"{len(lines):,} lines", f"at most {MAX_LINES:,}")
    return lines


def read_pose_lines(path: Path) -> tuple[list[Line], int]:
    """Read the lines of a table of joints; allows spaces as separators, decimal commas, and remarks after ``#``.

    Returns:
        The lines, and the number of skipped remarks at the top.

    Raises:
        BadFileError: If the file is no table of UTF-8 text, or its commas are ambiguous.
    """
    text = _read_text(path)
    named = re.match(r'"?sep=([,;\t| ])"?\r?\n', text)  # written and read by Excel
    if named:
        text = "\n" + text[named.end() :]  # keeps line numbers
    filled = (line.rstrip("\r\n") for line in split_lines(text) if line.strip() and line.lstrip()[0] != "#")
    sample = list(islice(filled, _SAMPLE))
    if any(len(line) > LONGEST_ROW for line in sample):
        raise BadFileError(path, "wrong count", "a line that is too long", f"at most {LONGEST_ROW:,} characters")
    delimiter = named[1] if named else _delimiter(sample)
    if delimiter == "," and "." not in text and (part := _after_a_decimal_comma(text, sample)):
        found = f"fields such as {part}, as if their commas were decimal commas"
        raise BadFileError(path, "not a number", found, "decimal points, or semicolons between the fields")
    lines, remarks = _without_remarks(_split(path, text, delimiter))
    if not lines:
        raise BadFileError(path, "empty", "remarks only", "a table")
    if "," in text and (delimiter != "," or '"' in text):  # "0,5","0,7"
        lines = _decimal_points(path, lines)
    return lines, remarks


def _read_text(path: Path) -> str:
    content = read_bytes(path)
    _require_few(path, content.count(b"\n") + content.count(b"\r"), 0)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadFileError(path, "not text", "another encoding", "UTF-8 text", line=line) from error


def _require_few(path: Path, lines: int, separators: int) -> None:
    if 250 * lines + 72 * separators > _MOST_MEMORY:
        raise BadFileError(path, "wrong count", "too many lines or fields", "fewer; cut the recording into clips")


def _split(path: Path, text: str, delimiter: str) -> list[Line]:
    separators = text.count(delimiter) - (text.count("  ") if delimiter == " " else 0)
    _require_few(path, text.count("\n") + text.count("\r"), separators)
    rows: Iterable[Line] = split_rows(split_lines(text), delimiter)
    if delimiter == " ":
        rows = ((number, line.split()) for number, line in enumerate(split_lines(text), start=1))
    number = 0
    found: list[Line] = []
    try:
        for number, fields in rows:
            if not any(map(str.strip, fields)):
                continue
            if len(fields) > MAX_COLUMNS:
                most = f"at most {MAX_COLUMNS:,}: a column for each number of a frame"
                raise BadFileError(path, "wrong count", f"{len(fields):,} columns", most, line=number)
            found.append((number, [field.strip() for field in fields]))
    except (csv.Error, TooLargeError) as error:
        raise BadFileError(path, "not text", str(error), "a table", line=number + 1) from error
    if not found:
        raise BadFileError(path, "empty", "no line with anything in it", "a table")
    return found


def _delimiter(sample: Sequence[str]) -> str:
    """Return the separator of fields: every line has it equally often; a comma may be a decimal comma."""
    if not sample:
        return ","
    tokens = sample[-1].split()
    if len(tokens) > 1 and "," in sample[-1] and all(map(_WITH_SPACES.fullmatch, tokens)):
        return " "  # 0,12 0,34
    for delimiter in ";\t,":
        if delimiter != "," and all(line.count(delimiter) == line.count("," + delimiter) for line in sample):
            continue  # a comma and a tab
        counts = {line.count(delimiter) for line in sample}
        if len(counts) == 1 and 0 not in counts:
            return delimiter
    likely = max(",;\t", key=sample[0].count)
    return likely if likely in sample[0] else " "


def _after_a_decimal_comma(text: str, sample: Sequence[str]) -> str | None:
    """Return a field that seems to hold the digits after a decimal comma, in a table with commas as separators."""
    if zero := _LEADING_ZERO.search(text):
        return zero[1]
    before = [field.strip() for line in sample for field in line.split(",")[::2]]
    after = [field.strip() for line in sample for field in line.split(",")[1::2]]
    alike = len(before) == len(after) and len(set(map(len, after))) == 1 and len(after[0]) > 1
    digits = all(map(str.isdecimal, after)) and all(re.fullmatch(r"-?\d", field) for field in before)
    return after[0] if alike and digits else None


def _without_remarks(lines: list[Line]) -> tuple[list[Line], int]:
    """Drop remarks: lines at the top that begin with #, but the last one stays if it has a field for every column."""
    above = next((place for place, (_, fields) in enumerate(lines) if not fields[0].startswith("#")), len(lines))
    if above == 0 or above == len(lines):
        return lines[above:], above
    number, fields = lines[above - 1]
    name = fields[0].lstrip("# ")
    heading = [name, *fields[1:]] if name or fields[0] != "#" or len(fields) == len(lines[above][1]) else fields[1:]
    if len(heading) == len(lines[above][1]):
        return [(number, heading), *lines[above:]], above - 1
    return lines[above:], above


def _decimal_points(path: Path, lines: list[Line]) -> list[Line]:
    """Replace decimal commas, 0.5 for 0,5; refuse those that may separate thousands, or stand beside points."""
    written = [field for _, fields in lines for field in fields if "," in field and _DECIMAL_COMMA.fullmatch(field)]
    if not written:
        return lines
    if all(map(_THOUSANDS.fullmatch, written)):
        found = f"numbers such as {written[0]}, whose comma may be a decimal comma or separate thousands"
        raise BadFileError(path, "not a number", found, f"{written[0].replace(',', '.')} or {written[0]} without comma")
    point = next((field for _, fields in lines for field in fields if _DECIMAL_POINT.fullmatch(field)), None)
    if point is not None:
        found = f"both decimal commas ({written[0]}) and decimal points ({point})"
        raise BadFileError(path, "not a number", found, "decimal points")
    return [
        (number, [field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field for field in fields])
        for number, fields in lines
    ]
