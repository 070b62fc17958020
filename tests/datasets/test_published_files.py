"""Published data sets of few files: names, labels, splits and joints, and what is said of files that are not theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

import own
import published
from maskel.datasets.base import Provenance, RawFile, Source
from maskel.datasets.etri import Etri
from maskel.datasets.florence import FILE, Florence
from maskel.datasets.folder.mat import mat_arrays
from maskel.datasets.h36m import H36M, KEPT
from maskel.datasets.kinetics import KineticsSkeleton
from maskel.datasets.provenance import build_source
from maskel.datasets.stgcn import StGcn
from maskel.datasets.toyota import Toyota
from maskel.datasets.utd_mhad import UtdMhad
from maskel.datasets.utkinect import TWICE, UtKinect
from maskel.errors import BadFileError, InputError
from maskel.sequence import SkeletonSequence


def clips(source: Source, *roots: Path) -> dict[str, SkeletonSequence]:
    read = [sequence for file in source.find(list(roots)) for sequence in source.read(file)]
    return {sequence.clip.name: sequence for sequence in read}


def centred(sequence: SkeletonSequence, body: np.ndarray) -> bool:
    """Whether a clip is one body, moved as a whole."""
    shift = body[0, 0] - sequence.joints[0, 0, 0]
    return sequence.joints.shape == (1, *body.shape) and np.allclose(sequence.joints[0] + shift, body, atol=1e-5)


def refused(source: Source, root: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        clips(source, root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_utd_mhad(compressed: bool, tmp_path: Path) -> None:
    body = published.utd_mhad(tmp_path / "Skeleton", compressed=compressed)
    published.utd_mhad(tmp_path / "Skeleton", "a27_s1_t4_skeleton.mat")
    scipy.io.savemat(tmp_path / "a3_s2_t1_inertial.mat", {"d_iner": np.ones((5, 6))})
    source = UtdMhad()
    found = clips(source, tmp_path)
    assert list(found) == ["a27_s1_t4", "a3_s2_t1"]
    clip = found["a3_s2_t1"].clip
    assert (source.classes[clip.label], clip.subject, clip.replication) == ("wave", "2", "1")
    assert centred(found["a3_s2_t1"], body)
    split = source.benchmarks([sequence.clip for sequence in found.values()])["xsub"]
    assert (split.train, split.test) == ((0,), (1,))
    assert source.conventions(3)["up"] == "y"
    assert sum(source.notes().values()) == 1


def test_utd_mhads_arrays_are_not_taken_for_kinects(tmp_path: Path) -> None:
    published.utd_mhad(tmp_path / "wave")
    with pytest.raises(BadFileError, match="maskel prepare utd_mhad reads these"):
        own.read(tmp_path / "wave" / published.UTD, "kinect20")


def test_mat_arrays_of_own_recordings(tmp_path: Path) -> None:
    body = own.motion(30, 20)
    tmp_path.joinpath("wave").mkdir()
    file = tmp_path / "wave" / "a.mat"
    about: dict[str, Any] = {"fps": 30.0, "name": "ann", "cell": np.array([1, "a"], object), "z": 1j}
    scipy.io.savemat(file, {"skeleton": body.transpose(1, 2, 0), **about})
    assert own.holds(own.read(file, "kinect20", centre=False), body)
    scipy.io.savemat(file, {"a": body, "b": body})
    with pytest.raises(BadFileError, match=r"arrays of numbers a \(30, 20, 3\), b .*expected one of three"):
        own.read(file, "kinect20")
    scipy.io.savemat(file, {"joints": body.astype("f4"), "b": body}, do_compression=True)
    assert own.holds(own.read(file, "kinect20", centre=False), body)


def test_mat_files_that_are_none(tmp_path: Path) -> None:
    published.utd_mhad(tmp_path)
    file = tmp_path / published.UTD
    whole = file.read_bytes()
    for content, message in (
        (whole[:-40], "unreadable|damaged"),
        (whole[:126] + b"XX" + whole[128:], "no MATLAB file of version 5 to 7"),
        (b"\x89HDF\r\n\x1a\n" + whole, "a .mat file of version 7.3.*save"),
        (whole[:128], "arrays none"),
    ):
        file.write_bytes(content)
        refused(UtdMhad(), tmp_path, message)
    zeros = np.zeros((20, 3, 150_000))
    scipy.io.savemat(file, {"d_skel": zeros}, do_compression=True)
    assert file.stat().st_size < 10**6
    with pytest.raises(BadFileError, match="bytes unpacked"):
        mat_arrays(file)
    other = np.ones((25, 3, 8))
    scipy.io.savemat(file, {"d_skel": other})
    refused(UtdMhad(), tmp_path, r"d_skel of shape \(25, 3, 8\), expected d_skel of shape \(20, 3, frames\)")


def test_named_files_are_refused_by_their_names(tmp_path: Path) -> None:
    refused(UtdMhad(), tmp_path, "no file called like a1_s1_t1_skeleton.mat is in")
    refused(UtdMhad(), tmp_path / "UTD-MHAD.zip", "is not a folder; unpack the archive")
    published.utd_mhad(tmp_path / "one", "a28_s1_t1_skeleton.mat")
    refused(UtdMhad(), tmp_path, "bad name: found a28_s1_t1_skeleton.mat, expected .*27 classes")
    for folder in ("two", "three"):
        published.utd_mhad(tmp_path / folder)
    refused(UtdMhad(), tmp_path, "are one clip; give the folder of one release")


def test_etri(tmp_path: Path) -> None:
    near, far = own.motion(6, 25), own.motion(6, 25, seed=1)
    for person, body in ((1, near), (3, far)):
        own.write(tmp_path / f"P{person:03}" / f"A055_P{person:03}_G002_C008.csv", published.etri(body))
    source = Etri()
    found = clips(source, tmp_path)
    clip = found["A055_P003_G002_C008"].clip
    assert (source.classes[clip.label], clip.subject, clip.setup, clip.camera) == ("lying down", "3", "2", "8")
    assert centred(found["A055_P003_G002_C008"], far)
    assert source.benchmarks([sequence.clip for sequence in found.values()])["xsub"].test == (1,)


def test_toyota_smarthome(tmp_path: Path) -> None:
    body = own.motion(6, 13)
    own.write(tmp_path / "Cook.Cut_p02_r00_v02_c03.json", published.smarthome(body))
    own.write(tmp_path / "WatchTV_p25_r12_v15_c06_pose3d.json", published.smarthome(body))
    own.write(tmp_path / "Walk_p01_r12_v15_c06.json", published.smarthome(body))  # there is no such subject
    source = Toyota()
    found = clips(source, tmp_path)
    assert list(found) == ["Cook.Cut_p02_r00_v02_c03", "WatchTV_p25_r12_v15_c06"]
    assert [source.classes[sequence.clip.label] for sequence in found.values()] == ["Cook.Cut", "WatchTV"]
    assert all(centred(sequence, body) for sequence in found.values())
    assert source.benchmarks([sequence.clip for sequence in found.values()])["xsub"].train == (1,)
    assert sum(source.notes().values()) == 1
    own.write(tmp_path / "v12" / "Cook.Cut_p02_r00_v02_c03_pose3d.json", published.smarthome(body))
    refused(Toyota(), tmp_path, "are one clip")


def test_florence(tmp_path: Path) -> None:
    bodies = {(1, 1, 1): own.motion(5, 15), (2, 1, 9): own.motion(4, 15, seed=1), (3, 10, 9): own.motion(3, 15)}
    file = own.write(tmp_path / FILE, published.florence(bodies))
    source = Florence()
    found = clips(source, tmp_path)
    assert list(found) == ["video001", "video002", "video003"]
    assert all(centred(one, body) for one, body in zip(found.values(), bodies.values(), strict=True))
    assert [source.classes[one.clip.label] for one in found.values()] == ["wave", "bow", "bow"]
    folds = source.benchmarks([one.clip for one in found.values()])
    assert (len(folds), folds["fold1"].test, folds["fold10"].test) == (10, (0, 1), (2,))
    assert clips(Florence(), file).keys() == found.keys()
    millimetres = published.florence({facts: 1000 * body for facts, body in bodies.items()})
    own.write(file, millimetres)
    refused(Florence(), tmp_path, "--scale 0.001 for millimetres")
    assert centred(clips(Florence(scale=0.001), tmp_path)["video001"], bodies[1, 1, 1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 1 1 0.5", "line 6: wrong count: found 4 numbers"),
        (" ".join(["1", "1", "12", *["0.5"] * 45]), "line 6: .*category 12"),
        (" ".join(["1", "2", "1", *["0.5"] * 45]), "line 6: .*video 1 once more"),
        (" ".join(["nan", "2", "1", *["0.5"] * 45]), "line 6: .*video nan"),
        ("1 1 1 x", "line 6: not a number"),
        ("1 " * 30_000, "line 6: .*too long"),
    ],
)
def test_bad_lines_of_florence(line: str, message: str, tmp_path: Path) -> None:
    own.write(tmp_path / FILE, published.florence({(1, 1, 1): own.motion(5, 15)}) + line + "\n")
    refused(Florence(), tmp_path, message)


def test_utkinect(tmp_path: Path) -> None:
    body = own.motion(10, 20)
    file = published.utkinect(tmp_path, body)
    own.write(tmp_path / "joints" / "joints_s02_e01.txt", file.read_text())
    source = UtKinect()
    found = clips(source, tmp_path)
    assert list(found) == ["s01_e01_walk", "s01_e01_sitDown"]
    assert centred(found["s01_e01_walk"], body[:4])
    assert centred(found["s01_e01_sitDown"], body[5:])
    assert [source.classes[one.clip.label] for one in found.values()] == ["walk", "sit down"]
    assert found["s01_e01_walk"].counts[TWICE] == 1
    assert sorted(source.notes().values()) == [1, 1]
    assert source.benchmarks([one.clip for one in found.values()])["fold1"].test == (0, 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("walk: 1 2\n", "line 1: .*walk: 1 2"),
        ("s01_e01\nrun: 1 2\n", "line 2: .*run: 1 2"),
        ("s01_e01\nwalk: 9 2\n", "line 2: .*first frame not after its last"),
        ("s01_e01\nwalk: 1 2\nwalk: 3 4\n", "line 3: .*each action once"),
        ("s01_e01\nwalk: 1 2\n", r"no frame from 1 to 2 \(walk\)"),
    ],
)
def test_bad_labels_of_utkinect(labels: str, message: str, tmp_path: Path) -> None:
    published.utkinect(tmp_path, own.motion(10, 20))
    own.write(tmp_path / "actionLabel.txt", labels)
    refused(UtKinect(), tmp_path, message)


def test_kinetics_skeleton(tmp_path: Path) -> None:
    bodies = {part: own.motion(6, 18, 2, seed) for seed, part in enumerate(("train", "val"))}
    published.kinetics_set(tmp_path, **bodies)
    source = KineticsSkeleton()
    found = clips(source, tmp_path)
    assert source.classes == ("class 0", "jetskiing")
    for part, body in bodies.items():
        assert np.allclose(found[f"{part}0"].joints[0], 2 * body - 1, atol=1e-6)
    split = source.benchmarks([one.clip for one in found.values()])["val"]
    assert (split.train, split.test) == ((0,), (1,))
    assert sorted(source.notes().values()) == [2, 2]
    assert source.conventions(2) == StGcn().conventions(2)
    (tmp_path / "kinetics_val_label.json").unlink()
    alone = KineticsSkeleton(scores=True)
    assert np.allclose(clips(alone, tmp_path)["train0"].joints[..., 2], 0.9)
    assert list(alone.benchmarks([])) == ["all"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "found ''"),
        ({"a": {"label": "wave"}}, "found 'a'"),
        ({"../a": {"has_skeleton": True, "label": "wave", "label_index": 0}}, "bad name"),
        ({"a": {"has_skeleton": True, "label": "wave", "label_index": 1}}, "class 1 is 'wave' and|'jetskiing' and"),
    ],
)
def test_bad_labels_of_kinetics(labels: Any, message: str, tmp_path: Path) -> None:
    body = own.motion(6, 18, 2)
    file = published.kinetics_set(tmp_path, train=body, val=body)
    own.write(file, labels)
    refused(KineticsSkeleton(), tmp_path, message)


def test_h36m_in_3d(tmp_path: Path) -> None:
    body, other = own.motion(6, 32).astype("f4"), own.motion(5, 17, seed=1).astype("f4")
    file = published.h36m(
        tmp_path / "data_3d_h36m.npz", {"S9": {"Walking 1": body}, "S1": {"TakingPhoto": other, "Photo 2": other}}
    )
    source = H36M()
    found = clips(source, file)
    assert list(found) == ["S1_Photo_2", "S1_TakingPhoto", "S9_Walking_1"]
    assert centred(found["S9_Walking_1"], body[:, KEPT])
    assert [source.classes[one.clip.label] for one in found.values()] == ["Photo", "Photo", "Walking"]
    assert source.benchmarks([one.clip for one in found.values()])["xsub"].test == (2,)
    assert source.conventions(3)["up"] == "z"


def test_h36m_in_2d(tmp_path: Path) -> None:
    views = [400 + 100 * own.motion(6, 17, 2, seed).astype("f4") for seed in range(4)]
    facts = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1, 3], [2, 4]]}
    file = published.h36m(tmp_path / "data_2d_h36m_cpn.npz", {"S11": {"Eating": views}}, **facts)
    source = H36M()
    found = clips(source, file)
    assert source.layout.name == "coco17"
    assert [one.clip.camera for one in found.values()] == ["54138969", "55011271", "58860488", "60457274"]
    for one, view, height in zip(found.values(), views, (1002, 1000, 1000, 1002), strict=True):
        longer = max(1000, height)
        assert np.allclose(one.joints[0], (view - (500, height / 2)) * 2 / longer, atol=1e-5)


@pytest.mark.parametrize(
    ("takes", "metadata", "message"),
    [
        ({"S1": {"Flying": np.ones((5, 32, 3))}}, {}, "action 'Flying' of 'S1', expected subjects"),
        ({"S1": {"Eating": [np.ones((5, 17, 2))]}}, {}, "expected four cameras"),
        ({"S1": {"Eating": np.ones((5, 16, 3))}}, {}, r"an array of shape \(5, 16, 3\)"),
        (
            {"S1": {"Eating": [np.ones((5, 16, 2))] * 4}},
            {"layout_name": "mpii", "num_joints": 16},
            "layout mpii with 16",
        ),
        ({"S1": np.ones(3)}, {}, "an array for 'S1'"),
        ({"S1": {"Eating": Path("a")}}, {}, "pathlib"),
    ],
)
def test_archives_that_are_not_h36m(takes: Any, metadata: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    if isinstance(takes["S1"], dict):
        published.h36m(file, takes, **metadata)
    else:
        np.savez(file, positions_3d=takes)
    refused(H36M(), file, message)


def test_other_archives_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", poses=np.ones((5, 156)))
    refused(H36M(), tmp_path / "a.npz", "arrays poses, expected positions_3d or positions_2d")
    refused(H36M(), tmp_path, "expected one file such as data_3d_h36m.npz")


@pytest.mark.parametrize("source", [UtdMhad, UtKinect, Florence, Etri, Toyota, KineticsSkeleton, H36M])
def test_new_recordings_are_read_with_the_options_of_the_set(source: type[Source]) -> None:
    made = source(missing="zero")
    again = build_source(Provenance(source.name, dict(made.recorded())))
    assert again.recorded() == made.recorded()
    assert again.may_miss_joints


def test_one_file_is_found_among_its_like(tmp_path: Path) -> None:
    body = published.utd_mhad(tmp_path)
    source = UtdMhad()
    (file,) = source.find_new([tmp_path / published.UTD], source.channels)
    assert file == RawFile(tmp_path / published.UTD)
    assert centred(source.read(file)[0], body)
