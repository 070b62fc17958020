"""Reading of lines and tables that may come from anyone, within bounds."""

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from maskel.files.reading import MOST_MEMORY, TooLargeError, open_regular, read_bounded

MOST_TABLE_BYTES = 1 << 30
"""Of a table that is read line by line."""
MOST_LINES = 4_000_000
"""Of a text that names something in each line."""
LONGEST_ROW = 1 << 21
"""Characters of a row of a table; a frame of 32 people with 133 joints has 350,000."""


def read_lines(path: Path, errors: str = "strict") -> list[str]:
    """Read the lines of a text in UTF-8; as `read_bounded`.

    Args:
        path: The file.
        errors: What becomes of bytes that are not UTF-8, as in `bytes.decode`.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is larger, or not text.
    """
    text = read_bounded(path).decode(errors=errors)
    lines = [line.rstrip("\r\n") for line in islice(split_lines(text), MOST_LINES + 1)]
    if len(lines) > MOST_LINES:
        raise TooLargeError(f"it has more than {MOST_LINES:,} lines")
    return lines


def split_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text with their ends, one by one: all at once they may take much memory."""
    return (match[0] for match in _LINE.finditer(text))


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def split_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a csv table, each with the number of its last line.

    Raises:
        TooLargeError: If a row is too long.
        csv.Error: If it is no table.
    """
    length = 0  # of a row, which may have several lines

    def counted() -> Iterator[str]:
        nonlocal length
        for line in lines:
            length += len(line)
            if length >= LONGEST_ROW:
                raise TooLargeError(f"a line of more than {LONGEST_ROW:,} characters")
            yield line

    rows = csv.reader(counted(), delimiter=delimiter, strict=True)
    for row in rows:
        length = 0
        yield rows.line_num, row


def read_rows(path: Path) -> Iterator[list[str]]:
    """Read the lines of a csv table one by one, the heading first.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it or one of its lines is too large, or it is not text.
        csv.Error: If it is no table.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MOST_TABLE_BYTES:
            raise TooLargeError(f"it is larger than {MOST_TABLE_BYTES:,} bytes")
        with io.TextIOWrapper(file, "utf-8", newline="") as text:
            for _, row in split_rows(iter(lambda: text.readline(LONGEST_ROW), "")):
                yield row


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Read the lines of a csv table that fits into memory, by the columns of its heading.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is too large or not text, or a line has other columns than the heading.
        csv.Error: If it is no table.
    """
    rows = read_rows(path)
    heading = next(rows, [])
    left = MOST_MEMORY
    for row in rows:
        if not row:
            continue
        left -= 240 + 120 * len(row)  # bytes of a dictionary and of its texts
        if left < 0:
            raise TooLargeError("it holds too many lines")
        yield dict(zip(heading, row, strict=True))
