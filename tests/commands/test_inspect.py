import io
import json
import math
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elements import Elements, require_safe
from maskel import cli
from maskel.commands.inspect import FORMAT, VERSION, Inspection, inspect, show
from maskel.datasets import SOURCES, bodies, checks, clip_checks, contents, duplicates, set_checks
from maskel.datasets.checks import CHECKS
from maskel.datasets.contents import BenchmarkSizes
from maskel.datasets.counts import FILLED_FRAMES
from maskel.datasets.store import SkeletonSet
from maskel.layouts import NTU25
from planted import TWO_BODIES, Planted

HOSTILE = ("<script>alert(1)</script>", "[red]clap\x1b[31m")


def shown(found: Inspection) -> str:
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(output):
        patched.setenv("COLUMNS", "240")
        show(found, {"json": None})
    return output.getvalue()


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return Planted().write(tmp_path / "clean").path


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A set with a jump, a swap, a frozen body, an absent frame, a short clip, and a copy across the parts."""
    planted = Planted()
    planted.joints[1] = planted.joints[1][:, :3]
    planted.joints[2][:, 7] = 0
    planted.joints[3][0, 10:, :, 0] += 0.7
    planted.joints[5][0, 4:10] = planted.joints[5][0, 4]
    planted.joints[TWO_BODIES][:, 13:] = planted.joints[TWO_BODIES][::-1, 13:].copy()
    planted.joints[9] = planted.joints[0]
    planted.counts = {2: {FILLED_FRAMES: 3}, 4: {FILLED_FRAMES: 2}}
    return planted.write(tmp_path / "faulty", classes=HOSTILE).path


def test_what_is_in_a_set(clean: Path) -> None:
    found = inspect(clean).contents
    assert (found.clips, found.lengths, found.bodies) == (10, (20, 21.0, 22), {1: 9, 2: 1})
    assert found.classes == (("wave", 5), ("clap", 5))
    assert found.subjects == {str(number): 2 for number in range(5)}
    assert (found.cameras, found.setups, found.trial) == ({}, {}, "")
    assert found.body_frames == sum((20 + n % 3) * (1 + (n == TWO_BODIES)) for n in range(10))
    assert found.size == sum(path.stat().st_size for path in clean.iterdir())
    assert [(sizes.name, sizes.found, sizes.published) for sizes in found.benchmarks] == [("xsub", (6, 4), None)]


def test_a_clean_set_is_said_to_be_clean(clean: Path) -> None:
    text = shown(inspect(clean))
    assert text.endswith("nothing found\n")
    assert not any(check.title in text for check in CHECKS.values())
    assert "10, of 2" not in text
    assert "5, of 2 clips each" in text


def test_faults_are_named_with_clip_and_frame(faulty: Path) -> None:
    text = shown(inspect(faulty))
    for told in (
        "clip9: xsub: equals clip0 of the training part",
        "clip2, frame 7: 1 of 22 frames have no body",
        "clip5, frame 4: 6 equal frames in a row",
        "clip3, frame 10: ",
        "clip6, frame 13: bodies 0 and 1 move 0.4",
        "clip1: 3 of usually",
        "0 in train, 0 in test; 1 test clips in train",
        "nothing found of: subjects, cameras or setups on both sides, ",
        "frames filled in │ 5 in 2 clips",
        "y: as in ntu25",
    ):
        assert told in text, told


def test_names_are_no_markup_and_move_no_cursor(tmp_path: Path) -> None:
    planted = Planted()
    planted.labels = [0] * 9 + [1]
    text = shown(inspect(planted.write(tmp_path / "set", classes=HOSTILE).path))
    assert r"[red]clap\x1b[31m has 1 clips, <script>alert(1)</script> has 9" in text
    assert "\x1b" not in text


def test_sizes_stand_beside_the_published(tmp_path: Path) -> None:
    assert BenchmarkSizes("xview", (1020, 464), (1020, 464)).verdict == "1,020 / 464, as here"
    assert BenchmarkSizes("xview", (102, 64), (1020, 464)).verdict == "1,020 / 464; 11.2% of it is here"
    folder = Planted().write(tmp_path / "set", benchmark="xview").path
    meta = json.loads((folder / "meta.json").read_text())
    meta |= {"source": "nw_ucla", "options": {"max_clips": 10, "drop_duplicates": True, "classes": None}}
    (folder / "meta.json").write_text(json.dumps(meta))
    found = inspect(folder).contents
    assert found.benchmarks[0].published == SOURCES["nw_ucla"].published["xview"]
    assert found.trial == "max_clips 10, drop_duplicates True"
    assert "max_clips 10" in shown(inspect(folder))


def test_names_that_are_numbers_are_in_their_order() -> None:
    assert list(contents._counted(["10", "b", "2", "", "aa", "1", "2"])) == ["aa", "b", "1", "2", "10"]


FAULT = {"clip", "body", "frame", "frames", "value", "other", "benchmark", "about"}


def test_the_json_keeps_its_form(faulty: Path, tmp_path: Path) -> None:
    found = inspect(faulty, json=tmp_path / "found.json")
    document = json.loads((tmp_path / "found.json").read_text())
    assert set(document) == {
        *("format", "version", "maskel", "set", "source", "options", "layout", "coordinates"),
        *("contents", "benchmarks", "clean", "checks"),
    }
    assert (document["format"], document["version"]) == (FORMAT, VERSION) == ("maskel inspection", 2)
    assert set(document["contents"]) == {
        *("clips", "body_frames", "bytes", "lengths", "bodies", "classes", "unlabelled", "subjects", "cameras"),
        *("setups", "counts", "body_size", "up"),
    }
    assert document["contents"]["lengths"] == {"shortest": 3, "median": 20.5, "longest": 22}
    assert document["contents"]["counts"] == {"frames filled in": {"number": 5, "clips": 2}}
    assert document["contents"]["up"] == {"axis": "y", "why": "as in ntu25", "doubt": ""}
    assert 1.6 < document["contents"]["body_size"] < 2.6
    assert document["benchmarks"] == [
        {
            "name": "xsub",
            "train": 6,
            "test": 4,
            "published": None,
            "duplicates": {"train": 0, "test": 0, "leaks": 1, "near_leaks": 0},
        }
    ]
    assert document["clean"] is False is found.clean
    assert [check["name"] for check in document["checks"]] == list(CHECKS)
    for check in document["checks"]:
        assert set(check) == {"name", "title", "threshold", "unit", "note", "clips", "faults"}
        assert all(set(fault) == FAULT for fault in check["faults"])
    by_name = {check["name"]: check["faults"] for check in document["checks"]}
    assert by_name["frozen"] == [
        {
            "clip": "clip5",
            "body": 0,
            "frame": 4,
            "frames": 6,
            "value": 6.0,
            "other": None,
            "benchmark": None,
            "about": "6 equal frames in a row",
        }
    ]
    assert [(fault["clip"], fault["other"], fault["benchmark"]) for fault in by_name["leaks"]] == [
        ("clip9", "clip0", "xsub")
    ]


def test_json_holds_no_number_that_is_none(tmp_path: Path) -> None:
    planted = Planted()
    planted.joints[3][0, 5, 2] = np.float32(3e38)
    inspect(planted.write(tmp_path / "set").path, json=tmp_path / "found.json")

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    found = json.loads((tmp_path / "found.json").read_text(), parse_constant=refuse)
    assert found["set"] == str(tmp_path / "set")


def test_the_command_line(faulty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(faulty), "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["set"] == str(faulty)
    assert printed.err == ""
    assert cli.main(["inspect", str(faulty), "--json", str(tmp_path / "a"), "--page", str(tmp_path / "b")]) == 0
    assert "frozen bodies" in capsys.readouterr().out
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()
    assert cli.main(["inspect", str(tmp_path / "nowhere")]) == 2
    assert "nowhere does not exist" in capsys.readouterr().err
    assert cli.main(["inspect", str(faulty), "--clips=-1"]) == 2
    for option in ("--json", "--page"):
        assert cli.main(["inspect", str(faulty), option, str(tmp_path / "a" / "b")]) == 2
        complaint = capsys.readouterr().err
        assert f"choose another {option}" in complaint
        assert complaint.count("\n") in (1, 2)


def test_inspecting_changes_nothing(faulty: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in faulty.iterdir()}
    inspect(faulty, page=tmp_path / "page.html")
    assert {path.name: path.read_bytes() for path in faulty.iterdir()} == before


@pytest.fixture
def page(faulty: Path, tmp_path: Path) -> str:
    inspect(faulty, page=tmp_path / "page.html", clips=1)
    return (tmp_path / "page.html").read_text()


def test_the_page_shows_the_worst_clips(page: str) -> None:
    parsed = Elements(page)
    rows = {"leaks": 2, "duplicates": 2, "absent": 1, "frozen": 1, "jumps": 1, "swaps": 1, "short": 1}
    assert parsed.classes["panels"] == sum(rows.values())
    assert parsed.classes["skeleton"] == 6 * (sum(rows.values()) - 1) + 3  # three frames are all of the short one
    assert "no body in this frame" in parsed.text
    assert "clip9 ([red]clap" in parsed.text
    assert "Above: clip9; below: clip0." in parsed.text
    assert all(check.title in parsed.text for check in CHECKS.values())


def test_a_jump_is_an_arrow_of_its_length(page: str) -> None:
    (jump,) = [part for part in page.split("<figure>") if "clip3" in part and 'class="predicted"' in part]
    arrows = [drawn for drawn in re.findall(r'<path d="([^"]*)" class="predicted">', jump) if drawn]
    assert len(arrows) == 1  # one frame of six
    starts_and_ends = re.findall(r"M([\d.]+) [\d.]+L([\d.]+) [\d.]+M", arrows[0])
    assert len(starts_and_ends) == 25
    assert all(float(end) > float(start) + 5 for start, end in starts_and_ends)  # to the right, as planted


def test_the_page_is_safe_and_whole(page: str) -> None:
    parsed = Elements(page)
    require_safe(page)
    assert parsed.text.count("<script>alert(1)</script>") > 1


def test_a_clean_page_says_so(clean: Path, tmp_path: Path) -> None:
    inspect(clean, page=tmp_path / "page.html")
    text = Elements((tmp_path / "page.html").read_text()).text
    assert "Nothing found." in text
    assert "No clip to show." in text


def heights(panel: str) -> list[float]:
    """Of the joints of a panel, counted from below."""
    return [-float(y) for y in re.findall(r'<circle [^>]*cy="([\d.]+)"', panel)]


@pytest.mark.parametrize(
    ("coordinates", "axes", "said"),
    [
        (2, [0, 1], "x to the right and -y up (images count y downwards);"),
        (3, [0, 1, 2], "x to the right and y up (as in ntu25), depth dropped;"),
        (3, [0, 2, 1], "x to the right and z up (as heads and feet have it), depth dropped;"),
        (3, [1, 0, 2], "y to the right and x up (as heads and feet have it), depth dropped;"),
    ],
)
def test_heads_are_drawn_above_feet(coordinates: int, axes: list[int], said: str, tmp_path: Path) -> None:
    planted = Planted(coordinates)
    planted.joints[5][0, 4:9] = planted.joints[5][0, 4]  # frozen, to be drawn
    planted.joints = [joints[..., axes] for joints in planted.joints]
    inspect(planted.write(tmp_path / "set").path, page=tmp_path / "page.html", clips=1)
    page = (tmp_path / "page.html").read_text()
    assert said in Elements(page).text
    up = heights(page.split('class="skeleton"')[1])
    assert min(up[joint] for joint in NTU25.head) > max(up[joint] for joint in NTU25.feet) + 100


def test_a_set_in_2d_has_arrows_by_the_size_of_its_bodies(tmp_path: Path) -> None:
    planted = Planted(coordinates=2)
    planted.joints[3][0, 10:, :, 0] += 0.8
    planted.joints = [joints * np.float32(0.2) for joints in planted.joints]
    inspect(planted.write(tmp_path / "set").path, page=tmp_path / "page.html", clips=1)
    page = (tmp_path / "page.html").read_text()
    arrows = [drawn for drawn in re.findall(r'<path d="([^"]*)" class="predicted">', page) if drawn]
    assert len(arrows) == 1
    assert arrows[0].count("M") == 50
    assert "moved more than 0.3 of the body's size" in Elements(page).text


def test_damaged_coordinates_are_not_drawn(tmp_path: Path) -> None:
    folder = Planted().write(tmp_path / "set").path
    stored = np.lib.format.open_memmap(folder / "joints.npy", mode="r+")
    stored[3, 2, 1] = math.nan
    stored.flush()
    inspect(SkeletonSet.open(folder).path, page=tmp_path / "page.html")
    assert "Not drawn: coordinates that are not finite." in Elements((tmp_path / "page.html").read_text()).text


def test_every_threshold_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
    documented = dict(re.findall(r"`([A-Z_]+)`\s=\s([\d.]+)", text))
    constants = {
        name: value
        for module in (checks, clip_checks, set_checks, bodies, duplicates)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int | float) and name != "CHUNK_ROWS"
    }
    assert {name: float(value) for name, value in documented.items()} == constants
    for name in CHECKS:
        assert f"\n| `{name}` " in text
