"""What is known of each own recording: from a table, or from the folders it lies in."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath

from maskel.datasets.folder.lines import read_lines
from maskel.errors import BadFileError, InputError

TABLE = "labels.csv"
"""The table that is read where none is named."""


@dataclass(frozen=True)
class Facts:
    """What is known of a recording; texts are empty where nothing is.

    Args:
        name: Its path below the folder, without the file's ending.
        label: Name of its class.
        subject: Performer.
        camera: Camera or view.
        setup: Camera setup.
        replication: Which repetition.
        fps: Frames a second; None where unknown.
    """

    name: str
    label: str = ""
    subject: str = ""
    camera: str = ""
    setup: str = ""
    replication: str = ""
    fps: float | None = None


_COLUMNS = tuple(field.name for field in fields(Facts))[1:]


def facts_of(root: Path, clips: Sequence[Path], table: Path | None) -> list[Facts]:
    """What is known of each of ``clips``, which lie below ``root``.

    Without a table the folders say it: ``CLASS/clip`` and ``CLASS/SUBJECT/clip``; clips beside each other in ``root``
    have no label.

    Raises:
        InputError: If a clip lies deeper and there is no table, the table lacks a clip, or names one that is not there.
        BadFileError: If the table has other columns or a line of another length.
    """
    names = [clip.relative_to(root).as_posix() for clip in clips]
    for name in names:
        if not name.isprintable():
            raise InputError(f"below {root} a file is called {name!r}; rename it: names go into tables as UTF-8 text")
    if table is None:
        return [_from_folders(root, PurePosixPath(name)) for name in names]
    known = _read_table(table)
    found = [next((key for key in (name, _stem(name)) if key in known), None) for name in names]
    if None in found:
        raise InputError(
            f"{table} has no line for {names[found.index(None)]}; add one (with an empty label, if it has none)"
        )
    if unknown := known.keys() - set(found):
        raise InputError(f"{table} names {min(unknown)}, which is not a clip below {root}")
    return [replace(known[key or ""], name=_stem(name)) for name, key in zip(names, found, strict=True)]


def _stem(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).suffix)


def _from_folders(root: Path, name: PurePosixPath) -> Facts:
    match name.parts:
        case [_]:
            return Facts(_stem(str(name)))
        case [label, _]:
            return Facts(_stem(str(name)), label=label)
        case [label, subject, _]:
            return Facts(_stem(str(name)), label=label, subject=subject)
    raise InputError(
        f"{root / name} lies deeper than CLASS/SUBJECT/clip; say with a table {root / TABLE} what each clip is"
    )


def _read_table(path: Path) -> dict[str, Facts]:
    """The lines of the table, by the clip's file."""
    if not path.is_file():
        raise InputError(f"there is no table of labels {path}; expected columns file, {', '.join(_COLUMNS)}")
    (first, heading), *lines = read_lines(path)
    heading = [name.lower() for name in heading]
    unknown = set(heading) - {"file", *_COLUMNS}
    if "file" not in heading or unknown or len(set(heading)) != len(heading):
        found, expected = f"columns {', '.join(heading)[:80]}", f"file and some of {', '.join(_COLUMNS)}"
        raise BadFileError(path, "wrong count", found, expected, line=first)
    known: dict[str, Facts] = {}
    for line, values in lines:
        if len(values) != len(heading):
            raise BadFileError(path, "wrong count", f"{len(values)} fields", f"{len(heading)}", line=line)
        entry = dict(zip(heading, values, strict=True))
        file = PurePosixPath(entry.pop("file").replace("\\", "/")).as_posix()
        if file in known:
            raise BadFileError(path, "wrong count", f"{file} twice", "one line a clip", line=line)
        fps = _fps(path, line, entry.pop("fps", ""))
        known[file] = Facts(file, **entry, fps=fps)
    return known


def _fps(path: Path, line: int, field: str) -> float | None:
    try:
        fps = float(field) if field else None
    except ValueError:
        fps = -1.0
    if fps is not None and not 0 < fps < 10_000:
        raise BadFileError(path, "not a number", f"fps {field[:40]!r}", "frames a second", line=line)
    return fps
