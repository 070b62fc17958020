"""Reader for one raw file of unknown origin."""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskel import files
from maskel.errors import BadFileError

LONGEST_LINE = 50_000
"""Most characters of a line of numbers: a frame of hundreds of joints."""
MAX_TEXT = 16 * 2**20
"""Most bytes of a text of a published set: three times the largest of NTU RGB+D, Florence and UTKinect."""
READ_FAULTS: tuple[type[Exception], ...] = (BadFileError, *files.DAMAGE)
"""All that a raw file can raise where it is looked at before it is read; reading it reports the fault."""


@contextmanager
def bad_file(path: Path | str, expected: str) -> Iterator[None]:
    """Turn every exception of a damaged file in the block into a `BadFileError`."""

    def refusal(fault: Exception) -> BadFileError:
        if isinstance(fault, (zipfile.BadZipFile, zlib.error, EOFError)):
            return BadFileError(
                path, "truncated", f"a damaged archive ({files.one_line(fault)})", f"{expected}, intact"
            )
        return BadFileError(path, "unreadable", f"a file that cannot be read ({files.one_line(fault)})", expected)

    with files.damaged_as(refusal):
        yield


def read_raw(path: Path, most: int, expected: str, advice: str = "") -> bytes:
    """Read a raw file.

    Args:
        path: The file.
        most: Largest size in bytes.
        expected: The expected content, for messages.
        advice: Advice for a larger file, for messages.

    Raises:
        BadFileError: If it cannot be read, is larger, no regular file, or blank.
    """
    with bad_file(path, "a readable file"):
        try:
            content = files.read_bounded(path, most)
        except files.TooLargeError as fault:
            raise BadFileError(path, "wrong count", f"more than {most} bytes", f"at most {most}{advice}") from fault
    if not content.strip():
        raise BadFileError(path, "empty", "nothing", expected)
    return content


def read_numbered(path: Path, most: int, expected: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text that are not blank, at least one, with their numbers from 1.

    Args:
        path: The file.
        most: Largest size in bytes.
        expected: The expected content, for messages.

    Raises:
        BadFileError: As `read_raw`, or if a line has more than `LONGEST_LINE` characters.
    """
    text = io.TextIOWrapper(io.BytesIO(read_raw(path, most, expected)), "ascii", "replace")
    for number, line in enumerate(text, start=1):
        line = line.removesuffix("\n")
        if len(line) > LONGEST_LINE:
            what = f"at most {LONGEST_LINE} characters"
            raise BadFileError(path, "wrong count", "a line that is too long", what, line=number)
        if line.strip():
            yield number, line


def parse_numbers(path: Path, line: int, fields: Sequence[str]) -> list[float]:
    """Parse the numbers of a line.

    Raises:
        BadFileError: If a field is none.
    """
    try:
        return [float(field) for field in fields]
    except ValueError as error:
        raise BadFileError(path, "not a number", " ".join(fields)[:40], "numbers", line=line) from error


def read_member(
    archive: zipfile.ZipFile, name: str, path: Path | str, most: int, expected: str, unit: str = "bytes"
) -> bytes:
    """Read a member of an archive, which is not unpacked beyond ``most`` bytes whatever it claims.

    Args:
        archive: The archive.
        name: Name of the member.
        path: The member's place, for messages.
        most: Largest size in bytes, unpacked.
        expected: The expected content, for messages.
        unit: Unit of the size, for messages.

    Raises:
        BadFileError: If it is larger, or blank.
        Exception: One of `maskel.files.DAMAGE`, if it is damaged.
    """
    size = archive.getinfo(name).file_size
    if size > most:
        raise BadFileError(path, "wrong count", f"{size} {unit}", f"at most {most}")
    with archive.open(name) as stream:
        content = stream.read(most)
    if not content.strip():
        raise BadFileError(path, "empty", "nothing", expected)
    return content


def parse_json(content: bytes, path: Path | str) -> Any:
    """Parse a JSON file in UTF-8.

    Raises:
        BadFileError: If it is not JSON, or nested too deeply.
    """
    try:
        return files.parse_json(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and not error.doc[: error.pos].rstrip(" \t").rpartition("\n")[2]:
            expected = "one JSON value; put the lines into one list: [ line, line, ... ]"
            raise BadFileError(path, "not text", "a value on each line (JSON Lines)", expected) from error
        kind = "truncated" if error.pos >= len(error.doc.rstrip()) else "not text"
        raise BadFileError(path, kind, error.msg, "JSON", line=error.lineno) from error
    except files.TooLargeError as error:
        raise BadFileError(path, "wrong count", str(error), "fewer; cut the recording into clips") from error
    except files.HugeNumberError as error:
        raise BadFileError(path, "not a number", str(error), "numbers of at most 64 bits") from error
    except ValueError as error:  # another encoding, a number of thousands of digits, deep nesting
        raise BadFileError(path, "not text", str(error), "JSON") from error
