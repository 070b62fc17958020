"""Files and folders of own recordings that are a clip each."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from maskel.datasets.counts import Counts
from maskel.datasets.folder import ultralytics
from maskel.datasets.folder.keypoints import frame_folders
from maskel.datasets.folder.labels import TABLE
from maskel.datasets.folder.preparation import SUFFIXES

BESIDE = "files .h5 beside a .csv of the same name, not read"


def clips_in(root: Path, known: Collection[Path | None]) -> tuple[dict[Path, Sequence[Path]], Counts]:
    """Find the clips below ``root``, files or folders, sorted by name; counts other files that are not ``known``.

    Ultralytics' recordings stand there by their first file, with all of their files.
    """
    frames = frame_folders(root)
    others = {path.name: path.resolve() for path in known if path}
    passed: Counter[str] = Counter()
    clips = {folder for folder in frames if not _hidden(folder, root)}
    texts: list[Path] = []
    for path in root.rglob("*"):
        if _hidden(path, root) or not path.is_file():
            continue
        if path.name in others and path.resolve() == others[path.name]:
            continue
        ending = path.suffix.lower()
        if ending == ultralytics.ENDING and path.parent not in frames:
            texts.append(path)
        elif path.name.lower() == TABLE:
            passed[f"tables of labels not read ({path.name} in {path.parent.name})"] += 1
        elif ending not in SUFFIXES or (path.parent in frames and ending != ".json"):
            passed[f"files not read ({ending or 'without ending'})"] += 1
        elif path.parent not in frames:
            clips.add(path)
    recordings = ultralytics.recordings_of(texts)
    passed[f"files not read ({ultralytics.ENDING})"] += len(texts) - sum(map(len, recordings.values()))
    for path in [path for path in clips if path.suffix.lower() == ".h5" and path.with_suffix(".csv") in clips]:
        clips.remove(path)  # DeepLabCut writes both
        passed[BESIDE] += 1
    return dict(sorted({**dict.fromkeys(clips, ()), **recordings}.items())), +passed


def no_clip(root: Path, passed: Mapping[str, int]) -> str:
    """Return the sentence that refuses a file or folder without a recording, and names what was found."""
    found = "".join(f"; {phrase}: {count:,}" for phrase, count in passed.items())
    texts = root.suffix == ultralytics.ENDING or any(f"({ultralytics.ENDING})" in phrase for phrase in passed)
    hint = " (or the folder of Ultralytics' .txt files; UTKinect and Florence are sources of their own)" * texts
    return f"{root} holds no recording{found}; expected files {', '.join(SUFFIXES)}, one a clip{hint}"


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
