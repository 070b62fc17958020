"""Who is who in a clip with several people: absences, names, steps between frames, and whom to keep."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import own
from maskel import cli
from maskel.datasets.base import RawFile
from maskel.datasets.counts import BODIES, BODY_FRAMES, EMPTY_FRAMES, FILLED_FRAMES
from maskel.datasets.folder.frames import steps_note
from maskel.datasets.folder.people import BAD_NAMES, CROWD, JUMPS
from maskel.datasets.folder.tracks import LINKED, LONGEST_ABSENCE, NOT_LINKED, Track, link_again
from maskel.datasets.store import SkeletonSet
from maskel.errors import BadFileError, InputError

IMAGE = [1920, 1080]


def at(x: float, frames: int = 120, seed: int = 0, size: float = 300.0, joints: int = 17) -> np.ndarray:
    """A body (T, V, 2) in pixels that sways around (x, 500)."""
    return (own.motion(frames, joints, 2, seed) - 0.5) * size + [x, 500]


def coco(people: list[np.ndarray], step: int = 1, ids: Any = None) -> list[dict[str, Any]]:
    """AlphaPose's list; NaN in a body is a frame in which it is not seen."""
    entries = []
    for frame in range(len(people[0])):
        for place, body in enumerate(people):
            if not np.isnan(body[frame]).any():
                entry = {"image_id": f"{frame * step}.jpg", "keypoints": own.flat(body[frame])}
                entries.append(entry | ({"idx": ids(frame, place)} if ids else {}))
    return entries


def gone(body: np.ndarray, first: int, last: int) -> np.ndarray:
    """The body without frames [first, last)."""
    changed = body.copy()
    changed[first:last] = np.nan
    return changed


def placed(body: np.ndarray) -> np.ndarray:
    return (body - [960, 540]) / 960


def read(path: Path, content: object, **options: Any) -> Any:
    return own.read(own.write(path / "a.json", content), image_size=IMAGE, **options)


def counted(sequence: Any) -> dict[str, int]:
    return {what: number for what, number in sequence.counts.items() if number}


@pytest.mark.parametrize("absence", [30, 60])
def test_a_patient_who_leaves_and_returns_is_one_body(absence: int, tmp_path: Path) -> None:
    patient, bystander = at(400), at(1300, seed=1)
    sequence = read(tmp_path, coco([gone(patient, 40, 40 + absence), bystander]))
    assert sequence.joints.shape == (2, 120, 17, 2)
    assert np.allclose(sequence.joints[0], placed(bystander), atol=1e-5)
    seen = [*range(40), *range(40 + absence, 120)]
    assert np.allclose(sequence.joints[1, seen], placed(patient)[seen], atol=1e-5)
    assert not sequence.joints[1, 40 : 40 + absence].any()
    assert counted(sequence) == {LINKED: 1}


def test_who_walks_out_and_back_in_is_one_body(tmp_path: Path) -> None:
    walk = np.interp(np.arange(120), [0, 40, 80, 119], [500, -100, -100, 500])[:, None, None] * [1, 0]
    patient, bystander = gone(at(0) + walk, 36, 84), at(1500, seed=1)
    sequence = read(tmp_path, coco([patient, bystander]))
    assert counted(sequence) == {LINKED: 1}
    assert np.allclose(sequence.joints[1, 84:], placed(patient)[84:], atol=1e-5)


def test_who_comes_back_as_another_is_left_apart_and_counted(tmp_path: Path) -> None:
    patient, bystander = at(300), at(1300, seed=1)
    for other in (at(1800, seed=2), at(300, size=800)):  # too far, too large
        people = [gone(patient, 40, 120), gone(other, 0, 70), bystander]
        assert counted(read(tmp_path, coco(people))) == {BODIES: 1, BODY_FRAMES: 40}


def test_who_is_gone_for_long_is_not_linked() -> None:
    body = np.concatenate((at(300), np.full((120, 17, 1), 0.9)), -1)
    for absence, bodies in ((LONGEST_ABSENCE, 1), (LONGEST_ABSENCE + 1, 2)):
        later = np.arange(120) + 119 + absence
        linked, counts = link_again([Track(later, body), Track(np.arange(120), body)])
        assert (len(linked), counts[LINKED]) == (bodies, 2 - bodies)


def test_of_two_who_left_neither_is_taken_for_the_one_who_comes(tmp_path: Path) -> None:
    people = [gone(at(300), 40, 120), gone(at(500, seed=1), 40, 120), gone(at(400, seed=2), 0, 70)]
    sequence = read(tmp_path, coco([*people, at(1500, seed=3)]))
    assert counted(sequence) == {NOT_LINKED: 1, BODIES: 2, BODY_FRAMES: 80}


def test_a_ghost_takes_nobodys_place(tmp_path: Path) -> None:
    patient, ghost = gone(at(300), 40, 70), gone(gone(at(320, seed=3), 0, 69), 71, 120)
    sequence = read(tmp_path, coco([patient, ghost, at(1300, seed=1)]))
    assert np.allclose(sequence.joints[1, 70:], placed(at(300))[70:], atol=1e-5)


def test_two_who_leave_and_return_together_are_themselves(tmp_path: Path) -> None:
    one, two = at(300), at(900, seed=1)
    sequence = read(tmp_path, coco([gone(one, 40, 90), gone(two, 40, 90), at(1500, seed=2)]), bodies=3)
    assert counted(sequence) == {LINKED: 2}
    for body, expected in zip(sequence.joints[1:], (one, two), strict=True):
        assert np.allclose(body[90:], placed(expected)[90:], atol=1e-5)


def test_a_gap_of_two_people_costs_no_frame_of_them(tmp_path: Path) -> None:
    people = [gone(at(400, 80), 30, 47), gone(at(1500, 80, seed=1), 30, 47)]
    sequence = read(tmp_path, coco(people))
    assert sequence.joints.shape[:2] == (2, 63)
    assert counted(sequence) == {LINKED: 2, EMPTY_FRAMES: 17}
    filled = read(tmp_path, coco(people), max_gap=17)
    assert filled.joints.shape[:2] == (2, 80)
    assert counted(filled) == {FILLED_FRAMES: 34}


@pytest.mark.parametrize("step", [5, 25])
def test_frames_that_were_thinned_out_have_no_gaps(step: int, tmp_path: Path) -> None:
    people = [at(400, 30), at(1500, 30, seed=1)]
    sequence = read(tmp_path, coco(people, step))
    assert np.allclose(sequence.joints, [placed(body) for body in people], atol=1e-5)
    assert counted(sequence) == {steps_note(step): 30}
    gaps = read(tmp_path, coco([gone(people[0], 3, 6)], step))
    assert gaps.joints.shape[:2] == (1, 30)
    assert counted(gaps) == {steps_note(step): 30, FILLED_FRAMES: 3}


def test_the_numbers_of_a_tracker_say_who_is_who(tmp_path: Path) -> None:
    crossing = np.linspace(300, 1500, 60)[:, None, None] * [1, 0]
    one, two = at(0, 60) + crossing, at(1800, 60, seed=1) - crossing
    people = coco([one, two], ids=lambda frame, place: [7 - place])
    sequence = read(tmp_path, people, actor="6")
    assert np.allclose(sequence.joints, [placed(two), placed(one)], atol=1e-5)
    assert counted(sequence) == {}
    with pytest.raises(BadFileError, match="no such person: found people 7, 6, expected 'tallest'"):
        read(tmp_path, people, actor="tallest")
    renamed = coco([gone(one, 20, 40), two], ids=lambda frame, place: place + 2 * (frame > 30))
    assert LINKED in counted(read(tmp_path, renamed))


@pytest.mark.parametrize("ids", [lambda frame, place: 1, lambda frame, place: (place + frame // 7) % 2])
def test_numbers_that_do_not_say_who_is_who_are_not_believed(ids: Any, tmp_path: Path) -> None:
    people = [at(400, 60), at(1500, 60, seed=1)]
    sequence = read(tmp_path, coco(people, ids=ids))
    assert np.allclose(sequence.joints, [placed(body) for body in people], atol=1e-5)
    assert counted(sequence) == {BAD_NAMES: 120}
    unknown = read(tmp_path, coco(people, ids=lambda frame, place: -1))
    assert counted(unknown) == {}
    single = read(tmp_path, coco(people, ids=lambda frame, place: 2 * frame + place))  # as COCO numbers annotations
    assert counted(single) == {}
    assert np.allclose(single.joints, [placed(body) for body in people], atol=1e-5)


def three(frames: int = 40) -> dict[str, np.ndarray]:
    """Three people by what distinguishes them; the fourth is seen for a frame only, in the middle and very large."""
    moving = at(300, frames, seed=1) + 150 * np.sin(0.4 * np.arange(frames))[:, None, None]
    return {
        "longest": at(1700, frames),
        "motion": gone(moving, 0, 3),
        "central": gone(at(960, frames, seed=2, size=200), 0, 5),
        "largest": gone(at(1300, frames, seed=3, size=700), 0, 4),
        "ghost": gone(at(960, frames, seed=4, size=1500), 1, frames),
    }


def write_json(path: Path, people: list[np.ndarray]) -> Path:
    return own.write(path / "a.json", coco(people))


def write_array(path: Path, people: list[np.ndarray]) -> Path:
    return own.write_array(path / "a.npy", np.stack(people))


def write_table(path: Path, people: list[np.ndarray]) -> Path:
    heading = ["frame", "person", *(f"{axis}{joint}" for joint in range(17) for axis in "xy")]
    rows = [
        [frame, place, *body[frame].ravel()]
        for place, body in enumerate(people)
        for frame in range(len(body))
        if not np.isnan(body[frame]).any()
    ]
    return own.write(path / "a.csv", own.table([heading, *rows]))


@pytest.mark.parametrize("write", [write_json, write_array, write_table])
@pytest.mark.parametrize("actor", ["longest", "motion", "central", "largest"])
def test_who_matters_is_chosen_in_every_form(write: Any, actor: str, tmp_path: Path) -> None:
    people = three()
    others = [body for name, body in people.items() if name != actor]
    sequence = own.read(write(tmp_path, [*others, people[actor]]), image_size=IMAGE, actor=actor, bodies=1, max_gap=0)
    seen = ~np.isnan(people[actor]).any((1, 2))
    assert np.allclose(sequence.joints[0], placed(people[actor])[seen], atol=1e-5)
    expected = {BODIES: 4, BODY_FRAMES: int(sum((~np.isnan(body[:, 0, 0])).sum() for body in others))}
    assert {what: sequence.counts.get(what) for what in expected} == expected


def test_a_person_of_an_array_who_returns_in_another_slot_is_one_body(tmp_path: Path) -> None:
    patient, bystander = at(400, 100), at(1500, 100, seed=1)
    slots = [gone(patient, 40, 100), bystander, gone(patient, 0, 60)]
    sequence = own.read(write_array(tmp_path, slots), image_size=IMAGE, axes="MTVC")
    assert counted(sequence) == {LINKED: 1}
    assert np.allclose(sequence.joints[1, 60:], placed(patient)[60:], atol=1e-5)


def out_and_in(size: float = 300.0, ghost: int = 0) -> list[np.ndarray]:
    """Somebody leaves on one side and comes back on the other; a ghost of so many frames is seen far off."""
    parts = [gone(at(100), 50, 120), gone(at(1800, size=size), 0, 70)]
    return [*parts, gone(gone(at(960, seed=5, size=200), 0, 30), 30 + ghost, 120)] if ghost else parts


@pytest.mark.parametrize("ghost", [0, 2])
def test_who_is_alone_is_the_same_person_wherever_it_comes_back(ghost: int, tmp_path: Path) -> None:
    content = coco(out_and_in(ghost=ghost), ids=lambda frame, place: 3 + place)
    left_out = {BODIES: 1, BODY_FRAMES: ghost} if ghost else {}
    sequence = read(tmp_path, content, bodies=1)
    assert counted(sequence) == {LINKED: 1, EMPTY_FRAMES: 20, **left_out}
    assert np.allclose(sequence.joints[0, :50], placed(at(100))[:50], atol=1e-5)
    assert np.allclose(sequence.joints[0, 50:], placed(at(1800))[70:], atol=1e-5)
    slots = own.read(write_array(tmp_path / "slots", out_and_in(ghost=ghost)), image_size=IMAGE, axes="MTVC", bodies=1)
    assert counted(slots) == counted(sequence)
    assert np.array_equal(slots.joints, sequence.joints)


def test_who_is_called_otherwise_or_of_another_size_or_not_alone_is_somebody_else(tmp_path: Path) -> None:
    called = coco(out_and_in(), ids=lambda frame, place: ("patient", "therapist")[place])
    larger = coco(out_and_in(size=700), ids=lambda frame, place: place)
    together = coco(out_and_in(ghost=9), ids=lambda frame, place: place)
    for content, bodies in ((called, 2), (larger, 2), (together, 3)):
        sequence = read(tmp_path, content, bodies=3)
        assert len(sequence.joints) == bodies
        assert LINKED not in counted(sequence)


def test_one_person_a_frame_is_one_body_and_jumps_are_counted(tmp_path: Path) -> None:
    people = [gone(at(400, 60), 20, 60), gone(at(1500, 60, seed=1), 0, 20)]
    sequence = read(tmp_path, coco(people))
    assert sequence.joints.shape[:2] == (1, 60)
    assert counted(sequence) == {JUMPS: 1}


def test_a_crowd_is_counted(tmp_path: Path) -> None:
    people = [at(60.0 * place, 4, seed=place, size=50) for place in range(35)]
    assert counted(read(tmp_path, coco(people))) == {CROWD: 12, BODIES: 30, BODY_FRAMES: 120}


def test_openpose_with_a_person_who_leaves_and_returns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patient, bystander = at(400, 100, joints=25), at(1300, 100, seed=1, joints=25)
    for take in ("a", "b"):
        for frame in range(100):
            here = [bystander] if 30 <= frame < 70 else [bystander, patient]
            people = [{"person_id": [-1], "pose_keypoints_2d": own.flat(body[frame])} for body in here]
            path = tmp_path / "own" / "wave" / take / f"cam01.{frame:04}.json"
            own.write(path, {"version": 1.3, "people": people})
    given = ["--layout=openpose25", "--image-size", "1920", "1080", "--workers=1", f"--out={tmp_path / 'set'}"]
    assert cli.main(["prepare", "folder", str(tmp_path / "own"), *given]) == 0
    assert "people linked again" in capsys.readouterr().out
    clips = SkeletonSet.open(tmp_path / "set")
    assert [clip.name for clip in clips.clips] == ["wave/a", "wave/b"]
    assert clips.counts[0][LINKED] == 1
    joints = clips.sequence(0).joints
    assert joints.shape == (2, 100, 25, 2)
    assert np.allclose(joints[1, 70:], placed(patient)[70:], atol=1e-5)
    assert not joints[1, 30:70].any()


def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    for options in ({"max_gap": -1}, {"actor": ""}):
        with pytest.raises(InputError, match="--max-gap of 0 frames or more, and --actor"):
            own.found(tmp_path / "a.json", **options)  # type: ignore[arg-type]
    path = write_array(tmp_path, [at(400, 9)])
    with pytest.raises(BadFileError, match="no such person: found no names of people"):
        own.found(path, image_size=IMAGE, actor="3").read(RawFile(path))
