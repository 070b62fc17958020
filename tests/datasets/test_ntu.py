import hashlib
import json
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from maskel.commands.prepare import prepare
from maskel.datasets.base import RawFile, Split
from maskel.datasets.ntu import (
    ACTIONS,
    FRAMES_AT_ZERO,
    NTU60,
    NTU60_PERFORMERS,
    NTU120,
    NTU120_PERFORMERS,
    SURPLUS_LINES,
)
from maskel.datasets.ntu_bodies import TrackedBody, select_bodies
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import BadFileError, InputError
from maskel.sequence import SkeletonSequence

GOLDEN = Path(__file__).parents[1] / "golden" / "ntu"
SOURCES = {"ntu60": NTU60, "ntu120": NTU120}
NAME = "S003C002P014R001A009"


@pytest.fixture(scope="session", params=list(SOURCES))
def released(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict, Path]:
    """A set, what the published scripts make of it, and a folder with its raw files."""
    expected = json.loads((GOLDEN / "expected.json").read_text())[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with zipfile.ZipFile(GOLDEN / "raw.zip") as archive:
        for name, clip in expected["clips"].items():
            (folder / f"{name}.skeleton").write_bytes(archive.read(f"{clip['raw']}.skeleton"))
    return request.param, expected, folder


def published_array(sequence: SkeletonSequence, single_body: str) -> bytes:
    """The release's layout: (45, 150), person-major, zero-padded; a single body followed by zeros or by itself."""
    bodies, frames = sequence.joints.shape[:2]
    padded = np.zeros((45, 2, 75), dtype="<f4")
    padded[:frames, :bodies] = sequence.joints.swapaxes(0, 1).reshape(frames, bodies, 75)
    if bodies == 1 and single_body == "copy":
        padded[:, 1] = padded[:, 0]
    return padded.tobytes()


def test_joints_and_splits_equal_the_published_bit_for_bit(released: tuple[str, dict, Path]) -> None:
    name, expected, folder = released
    source = SOURCES[name]()
    sequences = [sequence for file in source.find([folder]) for sequence in source.read(file)]
    single_body = {"ntu60": "zero", "ntu120": "copy"}[name]
    digests = {
        sequence.clip.name: hashlib.sha256(published_array(sequence, single_body)).hexdigest() for sequence in sequences
    }
    assert digests == {clip: entry["sha256"] for clip, entry in expected["clips"].items()}
    assert {len(sequence.joints) for sequence in sequences} == {1, 2}

    names = [sequence.clip.name for sequence in sequences]
    assert names == sorted(names)
    splits = {
        benchmark: {side: [names[clip] for clip in getattr(split, side)] for side in ("train", "test")}
        for benchmark, split in source.benchmarks([sequence.clip for sequence in sequences]).items()
    }
    assert splits == expected["splits"]


def test_reading_does_not_depend_on_the_order(released: tuple[str, dict, Path]) -> None:
    name, _, folder = released
    files = SOURCES[name]().find([folder])[:12]
    in_order = {file: SOURCES[name]().read(file)[0].joints.tobytes() for file in files}
    source = pickle.loads(pickle.dumps(SOURCES[name]()))
    shuffled = random.Random(1).sample(files, len(files))
    assert {file: source.read(file)[0].joints.tobytes() for file in shuffled} == in_order


def text(bodies: list[list[int]], shift: float = 0.0) -> str:
    """A ``.skeleton`` file with the bodies of each frame; every body stands one metre from the next and moves."""
    lines = [str(len(bodies))]
    for frame, ids in enumerate(bodies):
        lines.append(str(len(ids)))
        for body in ids:
            lines += [f"{body} 0 0 0 0 0 0 0 0 2", "25"]
            lines += [
                f"{body + 0.01 * (joint % 2) + shift} {joint / 10 + 0.01 * frame * body} 3 0 0 0 0 0 0 0 0 2"
                for joint in range(25)
            ]
    return "\n".join(lines)


def write(folder: Path, name: str = NAME, bodies: list[list[int]] | None = None) -> RawFile:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{name}.skeleton"
    path.write_text(text([[1]] * 3 if bodies is None else bodies))
    return RawFile(path)


def test_clip_says_what_the_name_says(tmp_path: Path) -> None:
    (sequence,) = NTU60().read(write(tmp_path))
    clip = sequence.clip
    assert (clip.name, clip.label) == (NAME, 8)
    assert (clip.setup, clip.camera, clip.subject, clip.replication) == ("3", "2", "14", "1")
    assert NTU60.classes[clip.label] == "stand up"


def test_origin_is_the_spine_of_the_first_body(tmp_path: Path) -> None:
    (sequence,) = NTU60().read(write(tmp_path, bodies=[[], [1], [], [1], []]))
    assert sequence.joints.shape == (1, 2, 25, 3)
    assert not sequence.joints[0, 0, sequence.layout.index("spine_mid")].any()
    np.testing.assert_allclose(sequence.joints[0, :, 0, 1], [-0.1, -0.08], atol=1e-6)


@pytest.mark.parametrize("bodies", [[], [[]], [[], []]])
def test_recordings_without_a_body_give_no_clip(tmp_path: Path, bodies: list[list[int]]) -> None:
    assert NTU60().read(write(tmp_path, bodies=bodies)) == []


def test_a_body_of_zeros_gives_no_clip(tmp_path: Path) -> None:
    file = write(tmp_path)
    lines = [f"0 0 0 {line}" if len(line.split()) == 9 else line for line in file.path.read_text().split("\n")]
    lines = ["0 0 0 0 0 0 0 0 0 0 0 2" if len(line.split()) == 12 else line for line in lines]
    file.path.write_text("\n".join(lines))
    assert NTU60().read(file) == []


def with_zeros(file: RawFile, body: str, frames: set[int]) -> RawFile:
    """The file with all coordinates of a body at 0 in some frames."""
    lines, frame, within = file.path.read_text().split("\n"), -1, ""
    for number, line in enumerate(lines[1:], 1):
        fields = line.split()
        frame += len(fields) == 1 and len(lines[number - 1].split()) != 10  # a body count, not a joint count
        within = fields[0] if len(fields) == 10 else within
        if len(fields) == 12 and within == body and frame in frames:
            lines[number] = " ".join(("0", "0", "0", *fields[3:]))
    file.path.write_text("\n".join(lines))
    return file


def test_frames_of_zeros_of_the_only_body_are_moved_too_as_published(tmp_path: Path) -> None:
    (sequence,) = NTU60().read(with_zeros(write(tmp_path, bodies=[[1]] * 5), "1", {0, 3}))
    origin = np.array([1.01, 0.1 + 0.01, 3], dtype=np.float32)  # of the spine in frame 1, the first that is not zero
    np.testing.assert_allclose(sequence.joints[0, [0, 3]], np.broadcast_to(-origin, (2, 25, 3)), atol=1e-6)
    assert not sequence.joints[0, 1, 1].any()
    assert sequence.counts[FRAMES_AT_ZERO] == 2
    with SetWriter(tmp_path / "set", NTU60.layout, NTU60.classes, "ntu60", {}) as writer:
        writer.add(sequence)
        writer.finish({"xsub": Split((0,), ())})
    clips = SkeletonSet.open(tmp_path / "set")
    assert clips.valid_frames.tolist() == [5]
    assert np.array_equal(clips.sequence(0).joints, sequence.joints)


def test_frames_of_zeros_of_several_bodies_stay_zero(tmp_path: Path) -> None:
    (sequence,) = NTU60().read(with_zeros(write(tmp_path, bodies=[[1, 2]] * 13), "2", {12}))
    assert sequence.joints.shape == (2, 13, 25, 3)
    assert not sequence.joints[0, 12].any()
    assert sequence.joints[1, 12].any()
    assert not any(sequence.counts.values())


def test_a_file_that_declares_fewer_frames_than_it_has_gives_the_declared_ones(tmp_path: Path) -> None:
    file = write(tmp_path / "raw", bodies=[[1]] * 5)
    lines = file.path.read_text().split("\n")
    file.path.write_text("\n".join(["3", *lines[1:]]))
    (sequence,) = NTU60().read(file)
    (expected,) = NTU60().read(write(tmp_path / "other", bodies=[[1]] * 3))
    assert np.array_equal(sequence.joints, expected.joints)
    summary = prepare(NTU60(), [tmp_path / "raw"], tmp_path / "set", workers=1)
    assert (summary.clips, summary.faults, summary.counts) == (1, {}, {SURPLUS_LINES: (2 * 28, 1)})
    assert SkeletonSet.open(tmp_path / "set").counts == {0: {SURPLUS_LINES: 2 * 28}}


def test_where_only_short_bodies_were_tracked_the_longest_stays(tmp_path: Path) -> None:
    (sequence,) = NTU60().read(write(tmp_path, bodies=[[1], [1, 2], [2], [2], []]))
    assert sequence.joints.shape == (1, 3, 25, 3)
    np.testing.assert_allclose(np.diff(sequence.joints[0, :, 0, 1]), 0.02, atol=1e-6)  # body 2 moves twice as fast


def body(start: int, frames: int, mark: float, motion: float = 0.1) -> TrackedBody:
    """A body whose first joint's z is ``mark`` and that climbs by ``motion`` a frame."""
    joints = np.zeros((frames, 25, 3), dtype=np.float32)
    joints[..., 1] = np.linspace(0, 1.5, 25) + motion * np.arange(frames)[:, None]
    joints[:, 0, 2] = mark
    return TrackedBody(start, joints)


def marks(bodies: list[TrackedBody], frames: int) -> list[list[float]]:
    return select_bodies(bodies, frames)[:, :, 0, 2].tolist()


def test_the_body_that_moves_most_is_first() -> None:
    assert marks([body(0, 12, 1, 0.1), body(0, 12, 2, 0.2)], 12) == [[2] * 12, [1] * 12]


def test_bodies_that_do_not_overlap_share_a_track() -> None:
    found = marks([body(0, 12, 1, 0.2), body(12, 12, 2)], 24)
    assert found == [[1] * 12 + [2] * 12, [0] * 24]


def test_an_end_that_is_the_next_start_is_no_overlap() -> None:
    found = marks([body(0, 13, 1, 0.2), body(12, 12, 2)], 24)
    assert found == [[1] * 12 + [2] * 12, [0] * 24]


def test_a_third_body_at_the_same_time_is_dropped() -> None:
    found = marks([body(0, 14, 1, 0.3), body(1, 13, 2, 0.2), body(2, 12, 3, 0.1)], 14)
    assert found == [[1] * 14, [0] + [2] * 13]


def test_eleven_frames_are_too_short_and_frames_without_anybody_are_cut() -> None:
    assert marks([body(0, 11, 1, 0.3), body(9, 12, 2)], 21) == [[2] * 12]


@pytest.mark.parametrize(("wide_frames", "expected"), [(0, [1, 2]), (13, [2, 1]), (14, [2]), (20, [2])])
def test_frames_wider_than_tall_do_not_count_as_motion_and_many_are_noise(
    wide_frames: int, expected: list[int]
) -> None:
    wide = body(0, 20, 1, 0.3)
    wide.joints[:wide_frames, 3, 0] = 0.81 * 1.5
    assert [track[0] for track in marks([wide, body(0, 20, 2)], 20)] == expected


def test_find_is_by_name_over_folders_and_by_action(tmp_path: Path) -> None:
    names = ["S001C001P001R001A002", "S018C001P008R001A061", "S001C001P001R001A001", "S032C001P106R001A120"]
    for number, name in enumerate(names):
        write(tmp_path / f"part{number % 2}" / "deep", name)
    roots = [tmp_path / "part1", tmp_path / "part0"]
    assert [file.path.stem for file in NTU120().find(roots)] == sorted(names)
    assert [file.path.stem for file in NTU60().find(roots)] == ["S001C001P001R001A001", "S001C001P001R001A002"]
    assert len(NTU60().find([tmp_path, *roots])) == 2


def test_stray_files_are_counted_and_do_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "copy of S001")
    write(tmp_path, "S001C001P001R001A121")
    bad = [file for file in NTU60().find([tmp_path]) if file.path.stem != NAME]
    assert len(bad) == 2
    for file in bad:
        with pytest.raises(BadFileError, match="expected a name like S001C001P001R001A001") as raised:
            NTU60().read(file)
        assert raised.value.kind == "bad name"


def test_names_that_appear_twice(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    with pytest.raises(InputError) as raised:
        NTU60().find([tmp_path])
    assert str(first) in str(raised.value)
    assert str(second) in str(raised.value)


def test_folders_without_a_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder; unpack"):
        NTU60().find([tmp_path / "absent"])
    with pytest.raises(InputError, match="no recording called like"):
        NTU60().find([tmp_path])
    write(tmp_path, "S018C001P008R001A061")
    with pytest.raises(InputError, match="A001 to A060"):
        NTU60().find([tmp_path])


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot be read"):
        NTU60().read(RawFile(tmp_path / f"{NAME}.skeleton"))


def test_listed_recordings_are_left_out(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text(f"Missing skeletons:\r\n\r\n  {NAME}.skeleton\r\n", encoding="utf-16-le")
    with pytest.raises(InputError, match=r"one\.txt names no recording"):
        NTU60([one])
    one.write_bytes(f"Missing skeletons:\r\n\r\n  {NAME}.skeleton \r\n".encode())
    two.write_text("S001C001P001R001A001")
    assert NTU60([one, two]).read(write(tmp_path)) == []
    assert len(NTU60([two]).read(write(tmp_path))) == 1
    with pytest.raises(InputError, match="cannot read the list"):
        NTU60([tmp_path / "absent.txt"])


def test_explanations(tmp_path: Path) -> None:
    listing = tmp_path / "missing.txt"
    listing.write_text(NAME)
    assert NTU60().explain("xsub", (40_091, 16_487)) == ""
    assert "--missing" in NTU60().explain("xsub", (40_091, 16_700))
    assert "all of NTU RGB+D" in NTU60([listing]).explain("xview", (1, 2))
    assert "532" in NTU120([listing]).explain("xset", (54_471, 59_477))


def test_facts() -> None:
    assert len(ACTIONS) == len(set(ACTIONS)) == 120
    places = {1: "drink water", 43: "falling down", 50: "punch or slap", 60: "walking apart", 61: "put on headphone"}
    assert all(ACTIONS[number - 1] == name for number, name in places.items())
    assert (len(NTU60_PERFORMERS), len(NTU120_PERFORMERS)) == (20, 53)
    assert {sum(sizes) for sizes in NTU60.published.values()} == {56_880 - 302}
    assert {sum(sizes) for sizes in NTU120.published.values()} == {114_480 - 535}
