"""Encoders and classifiers say how a set was made otherwise than the clips that they learned from."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import own
import tiny
from maskel import load_encoder
from maskel.commands.embed import embed
from maskel.commands.evaluate import evaluate
from maskel.commands.finetune import finetune
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.commands.predict import predict
from maskel.commands.prepare import prepare
from maskel.datasets.base import Provenance
from maskel.datasets.folder import Folder
from maskel.datasets.provenance import differences, provenance_of
from maskel.datasets.store import SkeletonSet
from maskel.training.run import RunFolder

SUBJECTS = ("ann", "bo", "cy")
OTHERWISE = "prepared with centre False and not None, as"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "own"
    for seed, (label, subject) in enumerate((label, subject) for label in ("bow", "wave") for subject in SUBJECTS):
        own.write_array(root / label / subject / "a.npy", own.motion(16, seed=seed) + 2)
    return root


def made(recordings: Path, name: str, **options: Any) -> Path:
    out = recordings.parent / name
    if not out.exists():
        prepare(Folder("coco17", test_subjects=["cy"], **options), [recordings], out, workers=1)
    return out


@pytest.fixture(scope="module")
def encoder(recordings: Path) -> RunFolder:
    return tiny.tiny_pretrain(made(recordings, "set"), recordings.parent / "encoder")


@pytest.mark.parametrize("command", [linear, knn, finetune, embed])
def test_an_encoder_says_that_a_set_was_made_otherwise(
    command: Any, recordings: Path, encoder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"out": tmp_path / "e.npz"} if command is embed else {"check": True}
    for name, how, said in (("set", {}, 0), ("stays", {"centre": False}, 1)):
        command(encoder=encoder.path, data=made(recordings, name, **how), device="cpu", **options)
        assert capsys.readouterr().err.count(OTHERWISE) == said


def test_an_untrained_encoder_has_nothing_to_say(
    recordings: Path, encoder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    knn(encoder.path, made(recordings, "stays", centre=False), untrained=True, check=True, device="cpu")
    assert "prepared with" not in capsys.readouterr().err


def test_an_encoder_without_its_origin_loads_silently_and_equals_the_other(
    recordings: Path, encoder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, old = encoder.path / "encoder.safetensors", tmp_path / "encoder.safetensors"
    with safe_open(file, framework="pt") as stored:
        about = json.loads(stored.metadata()["maskel"])
    assert about["format"] == "maskel encoder 1"  # readers that do not know the entry go on
    assert about.pop("provenance")["source"] == "folder"
    save_file(load_file(file), old, {"maskel": json.dumps(about)})
    knn(old, made(recordings, "stays", centre=False), check=True, device="cpu")
    assert "prepared with" not in capsys.readouterr().err
    tiny.assert_identical(load_encoder(old).state_dict(), load_encoder(file).state_dict())
    load_encoder(old).save(tmp_path / "again.safetensors")
    with safe_open(tmp_path / "again.safetensors", framework="pt") as stored:
        assert "provenance" not in json.loads(stored.metadata()["maskel"])


def test_a_classifier_says_it_too(
    recordings: Path, encoder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny.tiny_finetune(made(recordings, "set"), tmp_path / "run", encoder=encoder.path)
    for name, how, said in (("set", {}, 0), ("stays", {"centre": False}, 1)):
        data = made(recordings, name, **how)
        capsys.readouterr()
        evaluate(run.path, data, out=tmp_path / f"e-{name}", device="cpu")
        assert capsys.readouterr().err.count(OTHERWISE) == said
        predict(run.path, data, tmp_path / "p.csv", device="cpu")
        assert capsys.readouterr().err.count(OTHERWISE) == said


FOLDER = Provenance("folder", {"layout": "mediapipe33"}, "ntu25")
NTU = Provenance("ntu60", {})


@pytest.mark.parametrize(
    ("one", "other", "coordinates", "how"),
    [
        (NTU, Provenance("ntu120", {}), 3, ""),
        (NTU, Provenance("pku1", {"center": True}), 3, ""),
        (NTU, Provenance("pku1", {}), 3, "origin on the body in its first frame and not as recorded"),
        (FOLDER, NTU, 3, "up -y and not y"),
        (FOLDER, Provenance("npz", {}), 3, ""),
        (
            Provenance("pyskl", {}),
            Provenance("folder", {"layout": "coco17", "image_size": [640, 480]}),
            2,
            "unit halves of the image's sides and not halves of the image's longer side",
        ),
        (Provenance("pyskl", {}), Provenance("stgcn", {}), 2, ""),
        (
            Provenance("stgcn", {"scale": 0.001}),
            Provenance("stgcn", {"benchmark": "xsub"}),
            3,
            "scale 0.001 and not None",
        ),
        (NTU, Provenance("gone", {}), 3, ""),
    ],
)
def test_sets_of_two_sources_differ_in_what_both_say(
    one: Provenance, other: Provenance, coordinates: int, how: str
) -> None:
    assert differences(one, other, coordinates) == how


def test_a_set_knows_where_it_comes_from(recordings: Path) -> None:
    found = provenance_of(SkeletonSet.open(made(recordings, "set")))
    assert found is not None
    assert differences(found, found, 3) == ""
