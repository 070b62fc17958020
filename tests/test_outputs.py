"""Where outputs may go: a plain file, what a link names, standard output; never a device, a pipe or a socket."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from maskel.errors import InputError
from maskel.files import refuse_unwritable, replacing, write_atomically
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="special files of POSIX")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def a_device(path: Path) -> None:
    """A link to one: nobody but root can make one, and `/dev/null` itself must never be at stake."""
    path.symlink_to("/dev/zero")


SPECIAL = pytest.mark.parametrize("make", [a_pipe, a_socket, a_device])


@SPECIAL
@pytest.mark.parametrize(
    "words",
    [
        "results RUN --out OUT.md",
        "report RUN --out OUT.html --clips 0",
        "view masks RUN --data SET --clip clip00 --draws 1 --out OUT.html",
        "view clips SET --out OUT.html",
        "view features SET --encoder RUN --out OUT.html",
        "view importance SET --classifier RUN --out OUT.html",
        "inspect SET --json OUT.json",
        "inspect SET --page OUT.html",
        "predict SET --classifier RUN --out OUT.csv",
        "predict SET --classifier RUN --out /dev/stdout --segments OUT.csv",
        "predict SET --classifier RUN --out /dev/stdout --page OUT.html",
        "embed --encoder RUN --data SET --out OUT.npz",
        "export npz SET --out OUT.npz",
        "export pyskl SET --out OUT.pkl",
        "export onnx RUN --out OUT.onnx",
        "export torch RUN --out OUT.pt2",
        "convert RUN --out OUT.pth",
        "knn --data SET --encoder RUN --k 1 --out OUT.run",
        "prepare npz SET --out OUT.set",
        "synthesize --out OUT.raw",
    ],
)
def test_no_command_writes_to_a_special_file(
    words: str, make: Callable[[Path], None], run: Run, prepared: Path, pretrained: RunFolder, tmp_path: Path
) -> None:
    place = next(word for word in words.split() if word.startswith("OUT")).replace("OUT", "new")
    make(tmp_path / place)
    before = (tmp_path / place).lstat()
    for old, new in (("RUN", pretrained.path), ("SET", prepared), ("OUT", tmp_path / "new")):
        words = words.replace(old, str(new))
    code, text = run(*words.split())
    assert code == 2, text
    assert place in text
    after = (tmp_path / place).lstat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


@SPECIAL
def test_the_writer_itself_refuses_a_special_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "out")
    mode = (tmp_path / "out").lstat().st_mode
    for write in (refuse_unwritable, lambda path: write_atomically(path, "text")):
        with pytest.raises(InputError, match="out is a device, a pipe or a socket, and no file"):
            write(tmp_path / "out")
    assert (tmp_path / "out").lstat().st_mode == mode
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(there: bool, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    link, file = tmp_path / "link", tmp_path / "deep" / "file"
    link.symlink_to(Path("deep") / "file")
    if there:
        file.write_text("before")
    refuse_unwritable(link)
    write_atomically(link, "after")
    assert link.is_symlink()
    assert file.read_text() == "after"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


WRITE = """
import sys
from pathlib import Path
from maskel.files import refuse_unwritable, replacing, require_suffix
print("before")
for name in sys.argv[1:]:
    require_suffix(Path(name), ".csv")
    refuse_unwritable(Path(name))
    with replacing(Path(name)) as file:
        file.write_text("written\\n")
print("after", flush=True)
"""


def test_standard_output_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "link")]
    names = [name for name in names if Path(name).exists()]
    assert "/dev/stdout" in names
    expected = "before\n" + "written\n" * len(names) + "after\n"
    command = [sys.executable, "-c", WRITE, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == expected
    with (tmp_path / "file").open("w") as out:  # a plain file that the shell opened stays the one it writes to
        subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "file").read_text() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_stream_that_is_closed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/dev/fd/997 cannot be written"):
        refuse_unwritable(Path("/dev/fd/997"))


def test_what_fails_half_way_leaves_a_link_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "link") as temporary:
        temporary.write_bytes(tmp_path.read_bytes())
    assert (tmp_path / "link").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("predict rec --classifier nowhere --out rec/a/answers.csv", "rec/a/answers.csv lies in rec"),
        ("results rec --collect rec/collected", "rec/collected lies in rec.* another --collect"),
        ("prepare folder rec --layout coco17 --out rec/set", "rec/set lies in rec"),
    ],
)
def test_an_output_below_what_is_read_is_refused(
    words: str, named: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rec/a").mkdir(parents=True)
    code, text = run(*words.split())
    assert code == 2
    assert re.search(named, text), text
    assert [path.name for path in Path("rec").rglob("*")] == ["a"]
