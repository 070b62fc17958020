"""Frame and person of each line of a table."""

import datetime
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from maskel.datasets.folder import columns as names
from maskel.datasets.folder.columns import listed
from maskel.datasets.folder.frames import frame_step, steps_note
from maskel.datasets.folder.headings import Table, counts_up, is_missing, is_number
from maskel.datasets.folder.numbering import frame_numbers
from maskel.datasets.folder.pose import check_size
from maskel.errors import BadFileError

_WHOLE = re.compile(r"-?\d{1,15}(\.0*)?")
_FRACTION = re.compile(r"-?\d*\.\d+(e-?\d+)?", re.IGNORECASE)
UNTRACKED_ROWS = "lines left out that name no track or person"


@dataclass(frozen=True)
class Rows:
    """Frame and person of each line of a table.

    Args:
        frames: Index of each line's frame, from 0, without steps.
        people: Person of each line; None for a line without a name in a table that names people.
        start: Number of the first frame.
        step: Step between the frames' numbers.
        counts: Counts of skipped and guessed items.
        unread: Other columns that are not read, for messages.
    """

    frames: Sequence[int]
    people: Sequence[str | None]
    start: int
    step: int
    counts: dict[str, int]
    unread: Sequence[str]

    def names(self) -> tuple[tuple[str, ...], ...]:
        """The table's name of each body; empty if it has no names."""
        return tuple((who,) for who in dict.fromkeys(self.people) if who)

    def extent(self, table: Table) -> tuple[dict[str, int], int]:
        """Return the index of each body, and the number of frames.

        Raises:
            BadFileError: If there are none, or too many.
        """
        bodies = {who: place for place, who in enumerate(dict.fromkeys(who for who in self.people if who is not None))}
        length = max(self.frames) + 1
        check_size(table.path, len(bodies), length, len(table.layout))
        return bodies, length

    def entries(self, table: Table, places: Sequence[int] = ()) -> Iterator[tuple[int, Sequence[str], int, str, int]]:
        """Yield number, fields, frame, person and joint of each line with a person.

        Args:
            table: The table.
            places: Joint of each line, in a table with a line for each joint; else 0 is yielded.

        Raises:
            BadFileError: If two lines are about the same.
        """
        seen: set[tuple[int, str, int]] = set()
        each = "one line a joint, frame and person" if places else "one line a frame and person"
        lines = zip(table.lines, self.frames, self.people, places or itertools.repeat(0), strict=False)
        for (line, fields), frame, who, place in lines:
            if who is None:
                continue
            if (frame, who, place) in seen:
                what = f"joint {table.layout.joints[place]} of frame" if places else "frame"
                unread = f"; columns that are not read: {listed(self.unread)}" if self.unread else ""
                raise table.fault(f"{what} {self.start + self.step * frame} twice{unread}", each, line)
            seen.add((frame, who, place))
            yield line, fields, frame, who, place


@dataclass
class RowReader:
    """Reader of frame and person of each line, from the columns that are not joints.

    Args:
        table: The table.
        others: The columns that are not joints.
        joints: Joint of each line, in a table with a line for each joint.
        additional: The columns of ``others`` that describe a joint.
    """

    table: Table
    others: Sequence[int]
    joints: Sequence[str] = ()
    additional: Collection[int] = ()

    def __post_init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.used: set[int] = set()
        self.values = {c: [fields[c] for _, fields in self.table.lines] for c in self.others}
        self.names = {c: self.table.columns[c].name for c in self.others}

    def read(self) -> Rows:
        """Read the lines.

        Raises:
            BadFileError: If frame or person of a line is ambiguous.
        """
        numbers = self._frames()
        people = self._people(numbers)
        if numbers is None:
            numbers = self._frames_by_time(people)
        if numbers is None:
            self._must_be_in_order(people)
            numbers = list(range(len(self.table.lines)))
        step, start = frame_step(numbers), min(numbers)
        if step > 1:
            self.counts[steps_note(step)] = len(set(numbers))
        self._must_be_one_recording()
        untracked = sum(who is None for who in people)
        if untracked:
            self.counts[UNTRACKED_ROWS] = untracked
        unread = [self.table.columns[c].shown for c in self.values if c not in self.used]
        if unread:
            self.counts[f"columns not read: {listed(unread)}"] = len(unread)
        places = [(number - start) // step for number in numbers]
        return Rows(places, people, start, step, self.counts, unread)

    def _called(self, wanted: frozenset[str]) -> list[int]:
        return [c for c, name in self.names.items() if name in wanted]

    def _shown(self, columns: Sequence[int]) -> str:
        return listed(self.table.columns[c].shown for c in columns)

    def _frames(self) -> list[int] | None:
        """Return the frame number of each line; None if no column counts frames."""
        candidates = self._called(names.FRAMES)
        candidates = [c for c in candidates if len(set(self.values[c])) > 1] or candidates[:1]
        if not candidates:
            candidates = [c for c in self._called(names.IMAGES) if len(set(self.values[c])) > 1][:1]
        if not candidates:
            return None
        found = {c: self._numbers(c) for c in candidates}
        first = found[candidates[0]]
        starts = {c: min(numbers) for c, numbers in found.items()}
        ranks = [[number - starts[c] for number in numbers] for c, numbers in found.items()]
        if any(rank != ranks[0] for rank in ranks[1:]):
            raise self.table.fault(f"columns {self._shown(candidates)}, which count frames differently", "one of them")
        self.used |= set(candidates)
        return first

    def _numbers(self, column: int) -> list[int]:
        fields = self.values[column]
        if all(map(_WHOLE.fullmatch, fields)):
            return [int(field.partition(".")[0]) for field in fields]
        for (line, _), field in zip(self.table.lines, fields, strict=True):
            named = not is_number(field) and re.search(r"\d", field)  # img_0012.png
            if not named and not _WHOLE.fullmatch(field):
                found = f"frame {field[:40]!r} in column {self._shown([column])}"
                raise BadFileError(self.table.path, "not a number", found, "a whole number", line=line)
        distinct = list(dict.fromkeys(fields))
        number = dict(zip(distinct, frame_numbers(self.table.path, distinct), strict=True))
        return [number[field] for field in fields]

    def _people(self, numbers: list[int] | None) -> list[str | None]:
        """Return the person of each line; the same for all if no column identifies people."""
        whose = {c: [_person(field) for field in self.values[c]] for c in self._called(names.PEOPLE)}
        whose = {
            c: people for c, people in whose.items() if not any(who and _FRACTION.fullmatch(who) for who in people)
        }
        count = len(self.table.lines)
        alone = numbers is None or len({*zip(numbers, self.joints or [""] * count, strict=True)}) == count
        perhaps = [c for c, name in self.names.items() if name in names.PERHAPS_PEOPLE]
        if not any(len(set(people)) > 1 for people in whose.values()) and (numbers is None or not alone):
            whose |= {c: [_person(field) for field in self.values[c]] for c in perhaps}
        varied = {
            c: people
            for c, people in whose.items()
            if len(set(people)) > 1 and not self._counts_lines(c, numbers, alone)
        }
        together = len(set(zip(*varied.values(), strict=True)))
        if all(len(set(people)) == together for people in varied.values()):  # the same people under other names
            varied = dict(list(varied.items())[:1])
        if len(tracks := [c for c in varied if "track" in self.names[c]]) == 1:
            varied = {tracks[0]: varied[tracks[0]]}
        if len(varied) > 1:
            raise self.table.fault(f"columns {self._shown(list(varied))}, which both tell people apart", "one of them")
        for column, people in varied.items():
            if count > 2 and len(set(people)) == count:
                found = f"column {self._shown([column])}, which differs from line to line"
                raise self.table.fault(found, "one that tells people apart, with the same value in all lines of one")
            self.used.add(column)
            return people
        self.used |= {c for c, people in whose.items() if len(set(people)) == 1}
        return [""] * count

    def _counts_lines(self, column: int, numbers: list[int] | None, alone: bool) -> bool:
        """Return True if a column that could name people counts the lines instead."""
        fields = self.values[column]
        if numbers is None:
            return counts_up(fields)
        return alone and len(fields) > 2 and len(set(fields)) == len(fields)

    def _frames_by_time(self, people: Sequence[str | None]) -> list[int] | None:
        """Number the frames by their times, if people or joints share them; None if there is only one person."""
        if len(set(people)) < 2 and not self.joints:
            return None
        for column in (c for c, name in self.names.items() if names.is_time(name)):
            times = _times(self.values[column])
            if times is None or len(set(times)) < 2:
                continue
            keys = set(zip(times, people, self.joints or [""] * len(times), strict=True))
            shared = sum(count > 1 for count in Counter(times).values())
            if len(keys) == len(times) and 2 * shared >= len(set(times)):
                rank = {time: place for place, time in enumerate(sorted(set(times)))}
                self.used.add(column)
                self.counts[f"frames told apart by column {self._shown([column])}"] = len(rank)
                self._count_gaps(column, sorted(rank))
                return [rank[time] for time in times]
        return None

    def _must_be_in_order(self, people: Sequence[str | None]) -> None:
        """Check that the lines can be frames in their order, as there is no column for frames."""
        if len(set(people)) > 1:
            tell = [c for c in self.used if self.names[c] in names.PEOPLE or self.names[c] in names.PERHAPS_PEOPLE]
            who = listed(dict.fromkeys(who for who in people if who), 4)
            found = f"column {self._shown(tell)}, which tells people apart ({who}), but none that counts frames"
            raise self.table.fault(found, "both, such as track and frame")
        if self.joints:
            found = f"columns {listed(column.shown for column in self.table.columns)}"
            raise self.table.fault(found, "frame, joint, x and y among them")
        for column, name in self.names.items():
            fields = self.values[column]
            if column in self.used or column in self.additional or len(set(fields)) < 2:
                continue
            if names.is_time(name):
                self._must_increase(column)
            elif name in names.COUNTERS:
                if not counts_up(fields):
                    found = f"column {self._shown([column])}, which counts neither the lines nor frames in equal steps"
                    raise self.table.fault(found, "the name frame, person or another that says what it is")
            elif not (name in names.LABELS or name in names.RECORDINGS or names.is_additional(name)):
                kinds = {field for field in fields if not is_missing(field)}
                whole = all(map(_WHOLE.fullmatch, kinds))
                if 1 < len(kinds) < len(fields) and (whole or not any(map(is_number, kinds))):
                    found = (
                        f"column {self._shown([column])}, whose {len(kinds)} values may tell people or recordings "
                        "apart, and no column that counts frames"
                    )
                    raise self.table.fault(
                        found, "frame, and person for whose line it is; or neither and no such column"
                    )

    def _must_increase(self, column: int) -> None:
        times = _times(self.values[column])
        if times is None:
            return
        for (line, _), (before, after) in zip(self.table.lines[1:], itertools.pairwise(times), strict=True):
            if after <= before:
                how = "stands still" if after == before else "goes back"
                found = f"a time that {how} (column {self._shown([column])}), and no column that counts frames"
                raise self.table.fault(found, "a line a frame in the order of time, or columns frame and person", line)
        self._count_gaps(column, times)

    def _count_gaps(self, column: int, times: Sequence[float]) -> None:
        steps = sorted(after - before for before, after in itertools.pairwise(times))
        gaps = sum(step > 1.5 * steps[len(steps) // 2] for step in steps)
        if gaps:
            self.counts[f"longer steps of column {self._shown([column])}, read as one frame"] = gaps

    def _must_be_one_recording(self) -> None:
        for column, name in self.names.items():
            values = self.values[column]
            different = list(dict.fromkeys(values))
            if column in self.used or len(different) < 2:
                continue
            if name in names.RECORDINGS:
                found = f"column {self._shown([column])} with {len(different)} values ({listed(different, 3)})"
                raise self.table.fault(found, "one recording a file; call the column person if it tells people apart")
            if name in names.LABELS:
                changes = sum(before != after for before, after in itertools.pairwise(values))
                self.counts[f"changes of column {self._shown([column])}, which is not read"] = changes


def _person(field: str) -> str | None:
    """Return the person of a field, the same for ``1`` and ``1.0``; None for nobody."""
    name = re.sub(r"(?<=\d)\.0+$", "", field)
    return None if is_missing(name) or name == "-1" else name


def _times(fields: Sequence[str]) -> list[float] | None:
    """Parse times to one unit; None if they are not all of one kind."""
    if all(is_number(field) and not is_missing(field) for field in fields):
        return [float(field) for field in fields]
    try:
        return [datetime.datetime.fromisoformat(field).timestamp() for field in fields]
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return [
            (time.hour * 60 + time.minute) * 60 + time.second + time.microsecond / 1e6
            for time in map(datetime.time.fromisoformat, fields)
        ]
    except ValueError:
        return None
