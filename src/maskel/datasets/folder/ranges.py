"""Ranges of long recordings: start and end of a clip in its file, in frames or in seconds."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from maskel.datasets.windows import Extent
from maskel.errors import BadFileError

OUTSIDE = "frames outside every range"
OVERLAPPING = "clips whose frames another clip of the recording has too"
"""Phrase for overlapping ranges: such clips are not independent of each other."""
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,2}(?:\.\d+)?)")


def read_moment(text: str, unit: str) -> Extent | None:
    """Parse a field of the table; None if it is empty.

    Args:
        text: The field.
        unit: Unit of its column: ``frame``, ``seconds``, or empty if the field decides: whole numbers are frames,
            seconds are written ``12.5s`` or ``1:02.5``.

    Raises:
        ValueError: If it is neither; the message states what was expected.
    """
    if not text:
        return None
    clock = _CLOCK.fullmatch(text)
    if clock and unit != "frame":
        hours, minutes, seconds = clock.groups(default="0")
        return Extent(3600 * int(hours) + 60 * int(minutes) + float(seconds), seconds=True)
    number = re.fullmatch(r"(\d{1,12})(\.\d+)?\s*(s|sec|seconds)?", text)
    if number:
        whole, fraction, said = number.groups()
        if (said or unit == "seconds") and unit != "frame":
            return Extent(float(whole + (fraction or "")), seconds=True)
        if not said and (not fraction or (unit == "frame" and not float(fraction))):
            return Extent(float(whole), seconds=False)
    expected = {
        "": "a frame as a whole number from 0, or seconds as 12.5s or 1:02.5",
        "frame": "a frame as a whole number from 0",
        "seconds": "seconds as 12.5 or 1:02.5",
    }
    raise ValueError(expected[unit])


@dataclass(frozen=True)
class Range:
    """Start and end of a clip in its file; ranges with the same ones are equal.

    Args:
        start: Its first frame, in the file's count or as time since frame 0; None for the start of the file.
        end: The frame after its last; None for the end of the file.
        table: The table with the range, for messages.
        line: The line in it.
    """

    start: Extent | None
    end: Extent | None
    table: Path = field(compare=False)
    line: int = field(compare=False)

    @property
    def in_seconds(self) -> bool:
        """True if start or end is in seconds, so that a frame rate is needed."""
        return any(moment is not None and moment.seconds for moment in (self.start, self.end))

    def frames(
        self, path: Path, count: int, rate: float | None, first_number: int = 0, step: int = 1
    ) -> tuple[int, int]:
        """Return its first frame and the one after its last, as positions in the file from 0.

        Args:
            path: The file.
            count: Number of its frames.
            rate: Its frames a second, if known.
            first_number: Number of the file's first frame, in its own count; the range refers to this count.
            step: Difference between the numbers of successive frames.

        Raises:
            BadFileError: If it is empty or outside the file, or is in seconds and there is no rate.
        """
        if self.in_seconds and rate is None:
            expected = "--source-fps, or a column fps in the table, as start and end are in seconds"
            raise BadFileError(self.table, "wrong count", f"no frame rate of {path}", expected, line=self.line)
        numbers = [
            None if moment is None else round(moment.value * rate) if moment.seconds and rate else int(moment.value)
            for moment in (self.start, self.end)
        ]
        first, end = (
            default if number is None else math.ceil((number - first_number) / step)
            for number, default in zip(numbers, (0, count), strict=True)
        )
        if end == count + 1 and self.end is not None and self.end.seconds:
            end = count  # the last frame lasts until the recording's end; rounding may go beyond it
        if not 0 <= first < end <= count:
            low, high = (first_number + place * step for place in (first, end))
            found = f"frames {low} up to {high}, the last not included, of {path}"
            last = first_number + (count - 1) * step
            expected = f"a part of its {count}, numbered from {first_number} to {last}"
            raise BadFileError(self.table, "outside the recording", found, expected, line=self.line)
        return first, end
