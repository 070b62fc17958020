"""Facts about each own recording: from a table, or from its folders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from maskel.datasets.folder.lines import read_lines
from maskel.datasets.folder.names import NO_LABEL, Finder, clean, hint
from maskel.datasets.folder.ranges import Range, read_moment
from maskel.datasets.folder.ultralytics import name_of
from maskel.errors import BadFileError, InputError
from maskel.sequence import Clip

TABLE = "labels.csv"
"""The table that is read by default."""
LOOSE = "files that the table writes otherwise (case, form or ending)"
NOT_READ = "columns of the table not read: "


@dataclass(frozen=True)
class Facts:
    """Facts about a clip; unknown texts are empty.

    Args:
        name: Its path below the folder, without the file's ending; with a number if a file has several ranges.
        label: Name of its class.
        subject: Performer.
        camera: Camera or view.
        setup: Camera setup.
        replication: Number of the repetition.
        fps: Frames a second; None if unknown.
        recording: Name of the file, if the clip is a range of it; empty if it is the whole file.
        range: The range; None for the whole file.
        line: Its line in the table; 0 if there is none.
    """

    name: str
    label: str = ""
    subject: str = ""
    camera: str = ""
    setup: str = ""
    replication: str = ""
    fps: float | None = None
    recording: str = ""
    range: Range | None = None
    line: int = 0

    def clip(self, label: int) -> Clip:
        """Return the clip; ``label`` is the number of its class."""
        return Clip(self.name, label, self.subject, self.camera, self.setup, self.replication, self.recording)


_COLUMNS: Mapping[str, str] = {
    "file": "filename file_name filepath path clip video recording",
    "label": "class class_name action activity category",
    "subject": "subject_id person person_id participant participant_id performer actor patient",
    "camera": "view",
    "setup": "",
    "replication": "repetition trial",
    "fps": "frame_rate framerate",
    "start": "",
    "end": "",
    "start_frame": "first_frame",
    "end_frame": "",
    "start_seconds": "start_s start_sec start_time",
    "end_seconds": "end_s end_sec end_time",
}
"""Columns of the table, with their other names."""
_MEANING = {written: column for column, others in _COLUMNS.items() for written in (column, *others.split())}
_TEXTS = ("label", "subject", "camera", "setup", "replication")


def default_table(root: Path) -> Path | None:
    """Return the table in a folder that is read without being named; None if there is none."""
    return root / TABLE if (root / TABLE).exists() and not (root / TABLE).is_dir() else None


def facts_of(
    root: Path, clips: Sequence[Path], table: Path | None, strict: bool = True
) -> tuple[list[tuple[Facts, ...]], Counter[str]]:
    """Collect the facts about each of ``clips`` below ``root``, and counts of skipped items.

    Without a table the folders give label and subject: ``CLASS/clip`` and ``CLASS/SUBJECT/clip``. Clips directly in
    ``root`` have no label.

    Args:
        root: The folder.
        clips: Files, or folders that are one clip.
        table: The table of labels.
        strict: Refuse clips without facts, and lines of the table without a clip.

    Returns:
        Clips of each file (one, or one for each range in the table), and counts: phrase -> number.

    Raises:
        InputError: If a clip lies deeper and there is no table, the table lacks a clip, or names one that is not there.
        BadFileError: If the table has other columns, or a line is malformed.
    """
    paths = map(name_of, clips)
    names = [path.relative_to(root).as_posix() if path != root else root.resolve().name for path in paths]
    for name in names:
        if not name.isprintable():
            raise InputError(f"below {root} a file is called {name!r}; rename it: names go into tables as UTF-8 text")
    stems = [name if clip.is_dir() else name.removesuffix(clip.suffix) for name, clip in zip(names, clips, strict=True)]
    passed: Counter[str] = Counter()
    if table is None:
        return [(_from_folders(root, stem) if strict else Facts(stem),) for stem in stems], passed
    finder = Finder(names, stems)
    lines, unread = _read_table(table)
    facts_by_place: dict[int, list[Facts]] = {}
    for facts in lines:
        place = finder.find(facts.name, f"{table}, line {facts.line}")
        if place is None:
            if strict:
                raise InputError(
                    f"{table} names {facts.name}, which is not a clip below {root}; {hint(facts.name, stems)}"
                )
            continue
        others = facts_by_place.setdefault(place, [])
        for other in others:
            if facts.range is None or other.range is None or facts.range == other.range:
                refuse_same(table, facts, other)
        others.append(facts)
    passed.update({LOOSE: finder.loose} | {NOT_READ + (name or "(without a name)"): 1 for name in unread})
    if strict and (without := [name for place, name in enumerate(names) if place not in facts_by_place]):
        raise InputError(f"{table} has no line for {without[0]}; add one (with an empty label, if it has none)")
    return [_numbered(stem, facts_by_place.get(place, [])) for place, stem in enumerate(stems)], +passed


def refuse_same(table: Path, facts: Facts, other: Facts) -> NoReturn:
    """Refuse two lines of the table about the same frames.

    Raises:
        BadFileError: Always; it names both lines and their labels.
    """
    labels = [f"labelled {each.label!r}" if each.label else "without a label" for each in (facts, other)]
    how = "" if labels[0] == labels[1] else f", {labels[0]} and there {labels[1]}"
    found = f"{facts.recording or facts.name} twice, in line {other.line} too{how}"
    expected = "one line a clip, or a start and an end in each, no two of the same frames"
    raise BadFileError(table, "wrong count", found, expected, line=facts.line)


def whole_recording(path: Path, several: Sequence[Facts]) -> Facts:
    """Return what is known of a recording whose ranges are kept in it; its label only says that there are some.

    Raises:
        InputError: If its ranges name different subjects, cameras or the like.
    """
    first = several[0]
    label = next((facts.label for facts in several if facts.label), "")
    for what in ("subject", "camera", "setup", "replication", "fps"):
        values = sorted({str(getattr(facts, what)) for facts in several})
        if len(values) > 1:
            raise InputError(
                f"{path}: its ranges name {what} {values[0]!r} and {values[1]!r}; with --untrimmed it stays one "
                "recording, so expected the same in all of its lines"
            )
    return replace(first, name=first.recording or first.name, label=label, recording="", range=None)


def _numbered(stem: str, lines: Sequence[Facts]) -> tuple[Facts, ...]:
    """Number the clips of a file, so that their names differ."""
    if not lines:
        return (Facts(stem),)
    if lines[0].range is None:
        return (replace(lines[0], name=stem),)
    return tuple(replace(facts, name=f"{stem}#{number}", recording=stem) for number, facts in enumerate(lines, start=1))


def _label(text: str) -> str:
    return "" if text.casefold() in NO_LABEL else text


def _from_folders(root: Path, stem: str) -> Facts:
    match PurePosixPath(stem).parts:
        case [_]:
            return Facts(stem)
        case [label, _]:
            return Facts(stem, label=_label(clean(label)))
        case [label, subject, _]:
            return Facts(stem, label=_label(clean(label)), subject=clean(subject))
    raise InputError(f"{root / stem} lies deeper than CLASS/SUBJECT/clip; describe the clips in a table {root / TABLE}")


def _read_table(path: Path) -> tuple[list[Facts], list[str]]:
    """Read the lines of the table, and the names of its unknown columns."""
    if not path.is_file():
        raise InputError(f"there is no table of labels {path}; expected columns {', '.join(_COLUMNS)}")
    (first, heading), *lines = read_lines(path)
    meaning, unread = _columns(path, first, heading)
    found = []
    for line, values in lines:
        if len(values) != len(heading):
            raise BadFileError(path, "wrong count", f"{len(values)} fields", f"{len(heading)}", line=line)
        entry = {column: values[place] for column, place in meaning.items()}
        if not entry["file"]:
            raise BadFileError(path, "empty", "no file", "the name of a file", line=line)
        texts: dict[str, Any] = {name: clean(entry.get(name, "")) for name in _TEXTS}
        texts["label"] = _label(texts["label"])
        fps = _fps(path, line, entry.get("fps", ""))
        file = PurePosixPath(entry["file"].replace("\\", "/")).as_posix()
        found.append(Facts(file, **texts, fps=fps, range=_range(path, line, entry), line=line))
    return found, unread


def _columns(path: Path, line: int, heading: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the place of each known column, and the names of the unknown ones."""
    written = [name.strip().lower().replace(" ", "_").replace("-", "_") for name in heading]
    meaning: dict[str, int] = {}
    for place, name in enumerate(written):
        column = _MEANING.get(name, "")
        if column in meaning:
            found = f"columns {heading[meaning[column]]} and {heading[place]}, which both say the {column}"
            raise BadFileError(path, "wrong count", found, "one of them", line=line)
        if column:
            meaning[column] = place
    unread = [heading[place] for place, name in enumerate(written) if name not in _MEANING]
    near = next(
        (name for name in unread if "_" not in name and get_close_matches(name.lower(), _MEANING, 1, 0.75)), None
    )
    several = [side for side in ("start", "end") if sum(column.startswith(side) for column in meaning) > 1]
    if "file" not in meaning or near is not None or several:
        why = f" ({near} is none of them)" if near is not None else " (each in one unit)" if several else ""
        found, expected = f"columns {', '.join(heading)[:80]}", f"file and some of {', '.join([*_COLUMNS][1:])}{why}"
        raise BadFileError(path, "wrong count", found, expected, line=line)
    return meaning, unread


def _range(path: Path, line: int, entry: Mapping[str, str]) -> Range | None:
    """Return the range of a line; None for the whole file."""
    moments = []
    for side in ("start", "end"):
        column = next((name for name in entry if name.startswith(side)), "")
        try:
            moments.append(read_moment(entry.get(column, ""), column.removeprefix(side).removeprefix("_")))
        except ValueError as fault:
            raise BadFileError(
                path, "not a number", f"{column} {entry[column][:40]!r}", str(fault), line=line
            ) from fault
    return None if moments == [None, None] else Range(moments[0], moments[1], path, line)


def _fps(path: Path, line: int, field: str) -> float | None:
    try:
        fps = float(field) if field else None
    except ValueError:
        fps = -1.0
    if fps is not None and not 0 < fps < 10_000:
        raise BadFileError(path, "not a number", f"fps {field[:40]!r}", "frames a second", line=line)
    return fps
