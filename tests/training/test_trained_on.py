"""Whose classes a released classifier tells apart; the public code's own configurations are among the cases."""

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from maskel import load_classifier
from maskel.commands.evaluate import evaluate
from maskel.commands.predict import predict
from maskel.datasets.base import Split
from maskel.datasets.ntu import NTU60, NTU120
from maskel.datasets.pku_mmd import PKU1
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import NTU25
from released import write_checkpoint, write_classifier


def write_source(out: Path, source: str, classes: tuple[str, ...]) -> SkeletonSet:
    """Six clips of the first three classes of a data set."""
    with SetWriter(out, NTU25, classes, source, {}) as writer:
        for number in range(6):
            writer.add(tiny.generated_clip(number, NTU25))
        writer.finish({"xview": Split((0, 1, 2), (3, 4, 5))})
    return SkeletonSet.open(out)


@pytest.mark.parametrize(
    ("data_path", "outputs", "classes", "single_body"),
    [
        ("./data/ntu/NTU60_XSub.npz", 60, NTU60.classes, "zero"),
        ("./data/ntu/NTU60_XView.npz", 120, NTU60.classes, "zero"),  # linear evaluation as released
        ("data/ntu120/NTU120_XSet.npz", 120, NTU120.classes, "copy"),
        ("data/ntu/NTU-RGB+D 120/train.npz", 120, NTU120.classes, "copy"),
        ("./data/pku_v1/PKUv1_XSub.npz", 60, PKU1.classes, "zero"),  # fine-tuning, and linear evaluation of I
        ("PKUv2_XView.npz", 51, PKU1.classes, "zero"),
        ("D:\\data\\PKU-MMD\\PKUMMD_part2_xsub.npz", 60, PKU1.classes, "zero"),
        ("/runs/pretrained_on_ntu60/PKUv2_XSub.npz", 60, PKU1.classes, "zero"),  # the file says more than the folder
        ("/data/pku-mmd-ii/all.npz", 60, PKU1.classes, "zero"),
    ],
)
def test_the_file_says_its_data_set(
    data_path: str, outputs: int, classes: tuple[str, ...], single_body: str, tmp_path: Path
) -> None:
    name = f"classifier_{'finetune' if outputs == 60 else 'linprobe'}"
    label_spec = load_classifier(write_classifier(tmp_path / "c.pth", outputs, data_path, name=name)).label_spec
    assert label_spec.real_classes == classes
    assert (len(label_spec.classes), label_spec.spare) == (outputs, outputs - len(classes))
    assert label_spec.single_body == single_body
    if label_spec.spare:
        assert label_spec.classes[-1] == f"no class (output {outputs})"


@pytest.mark.parametrize("data_path", [None, "", 3, "data/train.npz", "ntu/x.npz", "ntu60/ntu120.zip/all", "pku10.npz"])
def test_where_the_file_does_not_say_it_the_user_does(data_path: Any, tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "c.pth", 120, data_path)
    with pytest.raises(
        InputError, match=r"its 120 outputs stand for .* --trained-on: ntu60, ntu120, pku1, pku2, or data"
    ):
        load_classifier(source)
    assert load_classifier(source, trained_on="ntu60").label_spec.real_classes == NTU60.classes
    assert load_classifier(source, trained_on="ntu120").label_spec.single_body == "copy"
    of_pku = write_source(tmp_path / "pku", "pku1", PKU1.classes)
    assert load_classifier(source, dataset=of_pku).label_spec.real_classes == PKU1.classes
    converted = write_source(tmp_path / "npz", "npz", NTU120.classes)
    assert (
        load_classifier(source, dataset=converted).label_spec == load_classifier(source, trained_on="ntu120").label_spec
    )
    own = write_source(tmp_path / "own", "folder", tiny.CLASSES)
    with pytest.raises(InputError, match="does not say which data set"):
        load_classifier(source, dataset=own)
    assert load_classifier(source, trained_on="data", dataset=own).label_spec.real_classes == tiny.CLASSES
    with pytest.raises(InputError, match="does not say which data set"):
        load_classifier(source, trained_on="data")


def test_what_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "c.pth", 60, "NTU60_XSub.npz")
    assert load_classifier(source, trained_on="ntu60").label_spec.real_classes == NTU60.classes
    with pytest.raises(InputError, match=r"was trained on ntu60, as its NTU60_XSub\.npz says, but trained_on is pku1"):
        load_classifier(source, trained_on="pku1")
    with pytest.raises(InputError, match="found 60 outputs, expected 120 or more for the classes of ntu120"):
        load_classifier(write_classifier(tmp_path / "c.pth", 60, "NTU120_XSub.npz"))
    with pytest.raises(InputError, match=r"has no head\.fc\.1\.weight"):
        load_classifier(write_checkpoint(tmp_path / "c.pth", "mae", "model_mae"))
    tiny.tiny_classifier("linear").save(tmp_path / "own.safetensors")
    with pytest.raises(InputError, match="knows its classes; leave the option out"):
        load_classifier(tmp_path / "own.safetensors", trained_on="ntu60")


@pytest.mark.parametrize(("highest", "correct", "predicted"), [(1, 1, "eat meal"), (100, 0, "no class (output 101)")])
def test_outputs_beyond_the_classes_are_counted_as_wrong(
    highest: int, correct: int, predicted: str, tmp_path: Path
) -> None:
    source = write_classifier(tmp_path / "c.pth", 120, "NTU60_XView.npz", highest)
    data = write_source(tmp_path / "set", "ntu60", NTU60.classes).path
    run = evaluate(source, data, "xview", device="cpu", out=tmp_path / "run")
    result = run.result
    assert (result["correct"], result["seen"]) == (correct, 3)
    assert [part["class"] for part in result["per_class"]] == list(NTU60.classes)
    assert {row["predicted"] for row in tiny.predictions(run)} == {predicted}
    answers = json.loads(predict(source, data, tmp_path / "p.json", device="cpu").read_text())
    assert {answer["classes"][0]["class"] for answer in answers} == {predicted}


def test_a_set_of_other_classes_is_not_evaluated(tmp_path: Path) -> None:
    source = write_classifier(tmp_path / "c.pth", 120, "NTU60_XView.npz")
    data = write_source(tmp_path / "set", "ntu120", NTU120.classes).path
    with pytest.raises(InputError, match=r"has 60 classes, the first 'drink water'; .* has 120"):
        evaluate(source, data, "xview", device="cpu", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
