import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from maskel.datasets.skeleton_file import SkeletonFile, parse_skeleton
from maskel.datasets.synthetic import CLASSES, Synthetic, recording, synthesize
from maskel.datasets.synthetic.generation import Performance
from maskel.datasets.synthetic.recording import SETUPS, SensedBody, film, record
from maskel.errors import InputError
from maskel.layouts import NTU25

FRAMES = (40, 60)
TROUBLE = ("SHORT_GHOST", "WIDE_GHOST", "CHANGED_ID", "NO_BODY", "VANISHED", "LATE")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "raw"
    synthesize(out, performers=4, replications=2, cameras=3, frames=FRAMES)
    return out


@pytest.fixture(scope="module")
def parsed(written: Path) -> dict[str, SkeletonFile]:
    return {path.name: parse_skeleton(path.read_bytes(), path) for path in sorted(written.iterdir())}


def test_names_cover_every_action_performer_replication_and_camera(written: Path) -> None:
    pattern = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})\.skeleton")
    fields = [tuple(map(int, pattern.fullmatch(path.name).groups())) for path in written.iterdir()]
    assert {name[1:] for name in fields} == {
        (camera, performer, replication, action)
        for camera in (1, 2, 3)
        for performer in (1, 2, 3, 4)
        for replication in (1, 2)
        for action in range(1, len(CLASSES) + 1)
    }
    assert len(fields) == 4 * 2 * 3 * len(CLASSES)
    sides = {performer % 2: {name[0] for name in fields if name[2] % 2 == performer % 2} for performer in (0, 1)}
    assert sides[0] == sides[1]
    assert len(sides[0]) >= 2


def test_two_processes_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    synthesize(tmp_path, performers=1, replications=1, cameras=2, frames=FRAMES, workers=2)
    expected = contents(written)
    for name, data in contents(tmp_path).items():
        assert data == expected[name], name


def test_the_seed_matters_and_nothing_unfinished_is_left(written: Path, tmp_path: Path) -> None:
    paths = synthesize(tmp_path, performers=1, replications=1, cameras=1, frames=FRAMES, seed=1)
    assert paths == sorted(tmp_path.iterdir())
    assert all(path.read_bytes() != (written / path.name).read_bytes() for path in paths)


def test_files_hold_the_published_number_of_fields(written: Path) -> None:
    lines = (next(written.glob("*A013.skeleton"))).read_text().splitlines()
    line = 1
    for _ in range(int(lines[0])):
        count, line = int(lines[line]), line + 1
        for _ in range(count):
            assert [len(fields.split()) for fields in lines[line : line + 27]] == [10, 1] + [12] * 25
            assert re.fullmatch(r"\d{17} .*", lines[line])
            line += 27
    assert line == len(lines)


def test_files_are_recordings_of_people_before_the_camera(parsed: dict[str, SkeletonFile]) -> None:
    for name, file in parsed.items():
        assert FRAMES[0] <= len(file.body_counts) <= FRAMES[1], name
        middle = np.median(file.joints[:, NTU25.index("spine_mid")], axis=0)
        assert (np.abs(middle - (0.0, 0.0, 3.0)) < (2.0, 1.5, 2.5)).all(), name


def test_most_recordings_are_clean(parsed: dict[str, SkeletonFile]) -> None:
    people = {name: 1 + (int(name[17:20]) > 11) for name in parsed}
    clean = [np.all(file.body_counts == people[name]) for name, file in parsed.items()]
    assert 0.75 < np.mean(clean) < 0.95


@pytest.mark.parametrize("action", range(1, len(CLASSES) + 1), ids=CLASSES)
def test_bones_keep_their_length(action: int) -> None:
    bodies = Performance(0, action, performer=3, replication=1, frames=FRAMES).bodies()
    near, far = np.transpose(NTU25.edges)
    lengths = np.linalg.norm(bodies[:, :, far] - bodies[:, :, near], axis=-1)  # (M, T, V - 1)
    assert (lengths > 0.01).all()
    np.testing.assert_allclose(lengths, lengths[:, :1].repeat(lengths.shape[1], axis=1), atol=1e-9)


def test_cameras_see_one_motion() -> None:
    bodies = Performance(0, 7, performer=1, replication=1, frames=FRAMES).bodies()
    first, second = (film(bodies, SETUPS[3], camera, np.random.default_rng(camera)) for camera in (1, 3))
    pair = (NTU25.index("left_hand"), NTU25.index("right_foot"))
    apart = [np.linalg.norm(view[:, :, pair[0]] - view[:, :, pair[1]], axis=-1) for view in (bodies, first, second)]
    np.testing.assert_allclose(apart[1], apart[0])
    np.testing.assert_allclose(apart[2], apart[0])
    assert np.abs(first - second).max() > 0.3


def facing_camera() -> np.ndarray:
    bodies = Performance(0, CLASSES.index("shaking hands") + 1, 1, 1, FRAMES).bodies()
    return film(bodies, SETUPS[0], 2, np.random.default_rng(0))


def recorded(monkeypatch: pytest.MonkeyPatch, trouble: str) -> tuple[int, list[SensedBody]]:
    """Length and tracked bodies of a two-person recording that has this trouble and no other."""
    for name in TROUBLE:
        monkeypatch.setattr(recording, name, float(name == trouble))
    bodies = facing_camera()
    return bodies.shape[1], record(bodies, 0, np.random.default_rng(5))


def test_noise_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tracked = recorded(monkeypatch, "none")
    assert len(tracked) == 2
    assert all(body.seen.all() for body in tracked)
    errors = np.abs(np.stack([body.joints for body in tracked]) - facing_camera())
    assert 0.002 < np.median(errors) < 0.03
    assert np.median(errors[:, :, NTU25.index("left_hand_tip")]) > np.median(errors[:, :, NTU25.index("spine_mid")])


def test_a_short_ghost(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tracked = recorded(monkeypatch, "SHORT_GHOST")
    assert len(tracked) == 3
    assert 2 <= tracked[2].seen.sum() <= 11


def test_furniture_fails_the_spread_test(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tracked = recorded(monkeypatch, "WIDE_GHOST")
    width, height, _ = np.ptp(tracked[2].joints[tracked[2].seen], axis=1).T
    assert len(tracked) == 3
    assert len(width) >= 12
    assert (width > 0.8 * height).all()


def test_a_changed_id(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, tracked = recorded(monkeypatch, "CHANGED_ID")
    ids = {body.body_id for body in tracked}
    assert len(tracked) == len(ids) == 3
    assert any(((body.seen ^ tracked[2].seen) == np.ones(frames, dtype=bool)).all() for body in tracked[:2])
    assert 12 <= tracked[2].seen.sum() <= frames - 12


def test_frames_without_any_body(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, tracked = recorded(monkeypatch, "NO_BODY")
    empty = ~np.any([body.seen for body in tracked], axis=0)
    assert 1 <= empty.sum() <= 5
    assert not empty[0]
    assert not empty[frames - 1]


def test_a_body_that_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tracked = recorded(monkeypatch, "VANISHED")
    gone = sorted(int((~body.seen).sum()) for body in tracked)
    assert gone[0] == 0
    assert 3 <= gone[1] <= 10
    assert all(body.seen[0] and body.seen[-1] for body in tracked)


def test_a_late_second_body(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, tracked = recorded(monkeypatch, "LATE")
    assert tracked[0].seen.all()
    assert not tracked[1].seen[0]
    assert (np.diff(tracked[1].seen.astype(int)) >= 0).all()
    assert tracked[1].seen.sum() > frames // 2


def test_every_trouble_occurs_at_its_rate() -> None:
    bodies = facing_camera()
    frames, tries = bodies.shape[1], 600
    counts = dict.fromkeys(TROUBLE, 0)
    for seed in range(tries):
        tracked = record(bodies, 0, np.random.default_rng(seed))
        empty = ~np.any([body.seen for body in tracked], axis=0)
        spans = [np.ptp(np.flatnonzero(body.seen)) + 1 for body in tracked]
        wide = [np.mean(np.ptp(b.joints[b.seen, :, 0], 1) > 0.8 * np.ptp(b.joints[b.seen, :, 1], 1)) for b in tracked]
        counts["NO_BODY"] += bool(empty.any())
        counts["SHORT_GHOST"] += any(body.seen.sum() <= 11 for body in tracked)
        counts["WIDE_GHOST"] += any(share > 0.9 and span > 11 for share, span in zip(wide, spans, strict=True))
        counts["LATE"] += not tracked[1].seen[0]
        gaps = [
            span - (body.seen | empty)[body.seen.argmax() :][:span].sum()
            for body, span in zip(tracked, spans, strict=True)
        ]
        counts["VANISHED"] += any(gap > 0 for gap in gaps)
        counts["CHANGED_ID"] += any(
            np.array_equal(b.joints, a.joints) for i, a in enumerate(tracked) for b in tracked[:i]
        )
        assert len({body.body_id for body in tracked}) == len(tracked)
        assert len(empty) == frames
    for name, count in counts.items():
        expected = getattr(recording, name)
        assert abs(count / tries - expected) < 0.02 + expected / 4, (name, count)


@pytest.mark.parametrize(
    "options",
    [
        {"performers": 0},
        {"replications": 1000},
        {"cameras": 0},
        {"workers": 0},
        {"seed": -1},
        {"frames": (10, 90)},
        {"frames": (60, 50)},
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(options: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        synthesize(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_the_source_reads_every_recording_centred(written: Path) -> None:
    source = Synthetic()
    files = source.find([written])
    assert [file.path.name for file in files] == sorted(path.name for path in written.iterdir())
    for file in files:
        (sequence,) = source.read(file)
        assert CLASSES[sequence.clip.label] == source.classes[int(file.path.stem[-3:]) - 1]
        assert np.abs(sequence.joints[0, 0, NTU25.index("spine_mid")]).max() == 0.0
        assert np.abs(sequence.joints).max() < 6.0


def test_benchmarks_split_by_performer_camera_and_setup(written: Path) -> None:
    source = Synthetic()
    clips = [source.read(file)[0].clip for file in source.find([written])[::5]]
    splits = source.benchmarks(clips)
    assert set(splits) == {"xsub", "xview", "xset"}
    for split in splits.values():
        assert sorted(split.train + split.test) == list(range(len(clips)))
    trained = {name: [clips[position] for position in split.train] for name, split in splits.items()}
    tested = {name: [clips[position] for position in split.test] for name, split in splits.items()}
    assert {clip.subject for clip in trained["xsub"]} == {"1", "3"}
    assert {clip.subject for clip in tested["xsub"]} == {"2", "4"}
    assert {clip.camera for clip in trained["xview"]} == {"2", "3"}
    assert {clip.camera for clip in tested["xview"]} == {"1"}
    assert {int(clip.setup) % 2 for clip in trained["xset"]} == {0}
    assert {int(clip.setup) % 2 for clip in tested["xset"]} == {1}


def test_the_source_travels_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(Synthetic())).rules.keys() == Synthetic.rules.keys()
