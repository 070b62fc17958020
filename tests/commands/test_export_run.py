"""Exported models: equal to the models of the runs, described in their files, refused where nothing can be exported."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import tiny
from maskel.commands import export_run
from maskel.commands.embed import embed
from maskel.datasets.base import Provenance
from maskel.datasets.store import SkeletonSet
from maskel.layouts import LAYOUTS, NTU25, Layout
from maskel.methods.base import build_seeded
from maskel.methods.classifier import CLASSIFIERS, LabelSpec
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import CHANNELS, SkeletonBatch
from maskel.training.classifiers import load_classifier
from maskel.training.deployed import DeployedClassifier, DeployedEncoder
from maskel.training.run import RunFolder
from maskel.transforms import test_view as seen_in_tests
from released import write_classifier

Run = Callable[..., tuple[int, str]]
POOLS = ("mean", "regions", "joints", "regions_time")
STREAMS = ("joint", "bone", "motion", "bone_motion")
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def batch_of(data: SkeletonSet, bodies: int = 2, single_body: Any = "zero") -> SkeletonBatch:
    """All clips whole, of 5 to 60 frames."""
    return data.gather(np.arange(len(data)), bodies, single_body)


def small_encoder(layout: Layout, config: EncoderConfig, channels: tuple[str, ...]) -> Encoder:
    return build_seeded(lambda: Encoder(layout, config, channels), 0).eval().requires_grad_(False)


def executed(page: str) -> list[str]:
    """The Python code of a page that says of itself that it is executed."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    return re.findall(r"<!-- executed -->\n```python\n(.*?)```", text, re.DOTALL)


def outputs(file: Path, joints: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(output) for output in session.run(None, {"joints": joints.numpy()})]


@pytest.mark.parametrize(("number", "layout"), list(enumerate(LAYOUTS.values())), ids=list(LAYOUTS))
def test_the_graph_is_the_encoder_in_the_test_view(number: int, layout: Layout, tmp_path: Path) -> None:
    channels = CHANNELS[number % len(CHANNELS)]
    data = SkeletonSet.open(tiny.write_set(tmp_path / "set", layout, 6, 2, channels))
    batch = batch_of(data)
    for place, stream in enumerate(STREAMS):
        config = replace(tiny.ENCODER, window=12, stream=stream, depth=1)
        if (place + number) % 2 and layout.roots:
            config = replace(config, joints="kept", geometry="poincare")
        encoder, pool = small_encoder(layout, config, channels), POOLS[(place + number) % 4]
        for bodies in ("all", "present"):
            expected = encoder.pool(seen_in_tests(batch, 12), absent_bodies=bodies == "all", pool=pool)
            torch.testing.assert_close(DeployedEncoder(encoder, pool, bodies)(batch.joints), expected, **CLOSE)


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("num_bodies", [1, 2, 3])
@pytest.mark.parametrize("single_body", ["zero", "copy"])
def test_the_graph_is_the_classifier(kind: str, num_bodies: int, single_body: Any, tiny_set: SkeletonSet) -> None:
    label_spec = LabelSpec(tiny.CLASSES, num_bodies, single_body)
    for options in ({"bodies": "present"}, {"bodies": "all"}) if kind == "finetune" else ({"pool": "regions"}, {}):
        encoder = Encoder(NTU25, tiny.ENCODER)
        model = build_seeded(lambda: CLASSIFIERS[kind](encoder, label_spec, **options), 0).eval()  # noqa: B023 (called here)
        expected = model.classify(batch_of(tiny_set, num_bodies, single_body))
        logits, probabilities = DeployedClassifier(model).requires_grad_(False)(batch_of(tiny_set, num_bodies).joints)
        torch.testing.assert_close(probabilities, expected, **CLOSE)
        torch.testing.assert_close(logits.softmax(1), expected, **CLOSE)


def test_an_empty_clip_and_gaps_are_read_as_in_a_set(tmp_path: Path) -> None:
    encoder = small_encoder(NTU25, tiny.ENCODER, ("x", "y", "z"))
    joints = torch.zeros(3, 2, 30, 25, 3)
    joints[1, 0, 3:9] = 1.0  # six valid frames: the first six are seen, as published
    joints[2, 1, 20:25] = 2.0  # a second body after the valid length does not count
    found = DeployedEncoder(encoder, bodies="present")(joints)
    lengths = torch.tensor([1, 6, 5])
    torch.testing.assert_close(found, encoder.encode(joints, lengths), **CLOSE)


def test_an_encoder_as_onnx_gives_what_embed_gives(
    tiny_set: SkeletonSet, pretrained: RunFolder, tmp_path: Path, run: Run
) -> None:
    file = tmp_path / "new" / "model.onnx"
    code, text = run("export", "onnx", pretrained.path, "--out", file, "--pool=regions")
    assert code == 0, text
    assert "outputs in onnxruntime" in text
    assert text.count("\n") == 2
    with np.load(embed(pretrained.path, tiny_set.path, tmp_path / "f.npz", pool="regions", device="cpu")) as stored:
        expected = torch.from_numpy(stored["features"])
    batch = batch_of(tiny_set)
    torch.testing.assert_close(outputs(file, batch.joints)[0], expected, **CLOSE)
    one = batch.joints[:1, :, : int(batch.lengths[0])]  # another number of clips and of frames
    torch.testing.assert_close(outputs(file, one)[0], expected[:1], **CLOSE)
    assert b"maskel/" not in file.read_bytes()  # no path of the machine that wrote it


def test_a_classifier_as_onnx_and_as_a_program_says_what_it_is(
    prepared: Path,
    tiny_set: SkeletonSet,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    folder = tiny.tiny_finetune(prepared, tmp_path / "run").path
    model = load_classifier(folder)
    model.label_spec = replace(model.label_spec, provenance=Provenance("synthetic", {}))
    model.save(folder / "classifier.safetensors")
    longest = int(tiny_set.frames.max())
    file, program = tmp_path / "model.onnx", tmp_path / "model.pt2"
    assert run("export", "onnx", folder / "classifier.safetensors", "--out", file, f"--frames={longest}")[0] == 0
    assert run("export", "torch", folder, "--out", program)[0] == 0
    joints = batch_of(tiny_set).joints
    expected = model.classify(batch_of(tiny_set))
    logits, probabilities = outputs(file, joints)
    torch.testing.assert_close(probabilities, expected, **CLOSE)
    torch.testing.assert_close(logits.softmax(1), expected, **CLOSE)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="index: 2"):
        outputs(file, joints[:, :, 1:])

    extra = {"maskel.json": ""}
    loaded = torch.export.load(program, extra_files=extra).module()
    torch.testing.assert_close(loaded(joints)[1], expected, **CLOSE)
    torch.testing.assert_close(loaded(joints[:1, :, :9])[0], DeployedClassifier(model)(joints[:1, :, :9])[0], **CLOSE)

    about = json.loads(onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map["maskel"])
    assert about["input"] == {"joints": ["clips", 2, longest, 25, 3]}
    assert about["outputs"] == ["logits", "probabilities"]
    assert (about["kind"], about["layout"], about["joints"][3]) == ("classifier", "ntu25", "head")
    assert (about["classes"], about["window"], about["stream"]) == (list(tiny.CLASSES), 8, "joint")
    assert (about["unit"], about["origin"], about["up"]) == ("metres", "on the body in its first frame", "y")
    assert about["provenance"] == {"source": "synthetic", "options": {}, "to_layout": None}
    shape = ["clips", 2, "frames", 25, 3]
    assert json.loads(extra["maskel.json"]) == about | {"input": {"joints": shape}}
    written = onnx.load(file)
    assert written.producer_name == "maskel"
    assert written.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "clips"

    monkeypatch.chdir(tmp_path)
    np.save("clip.npy", joints[0, 0].numpy())
    names: dict = {}
    for code in executed("deploy.md"):
        exec(compile(code, "deploy.md", "exec"), names)
    assert capsys.readouterr().out.strip() == tiny.CLASSES[int(names["probabilities"][0].argmax())]
    alone = DeployedClassifier(model)(torch.from_numpy(names["joints"]))
    torch.testing.assert_close(names["probabilities"], alone[1], **CLOSE)


def test_a_released_classifier_needs_its_data_set_by_name(tmp_path: Path, run: Run) -> None:
    released = write_classifier(tmp_path / "c.pth", 120, name="classifier_linprobe")
    code, text = run("export", "torch", released, "--out", tmp_path / "model.pt2")
    assert code == 2
    assert "--trained-on: ntu60, ntu120, pku1, pku2" in text
    code, text = run("export", "torch", released, "--out", tmp_path / "model.pt2", "--trained-on=ntu60")
    assert code == 0, text
    extra = {"maskel.json": ""}
    model = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    about = json.loads(extra["maskel.json"])
    assert (about["classes"][0], len(about["classes"]), about["spare"]) == ("drink water", 120, 60)
    classifier = load_classifier(released, trained_on="ntu60")
    joints = torch.randn(3, 2, 40, 25, 3)
    expected = DeployedClassifier(classifier)(joints)[1].detach()
    torch.testing.assert_close(model(joints)[1], expected, **CLOSE)


class Several(nn.Module):
    """Models of several layouts in one graph: translating a graph takes seconds, and most of that once."""

    outputs = tuple(LAYOUTS)

    def __init__(self, models: list[DeployedEncoder]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, *joints: Tensor) -> tuple[Tensor, ...]:
        return tuple(model(each) for model, each in zip(self.models, joints, strict=True))


@pytest.mark.slow
def test_every_layout_and_stream_is_the_same_in_onnxruntime(tmp_path: Path) -> None:
    models, clips = [], []
    for number, layout in enumerate(LAYOUTS.values()):
        channels, stream = CHANNELS[number % 4], STREAMS[number % 4]
        config = EncoderConfig(window=12, dim=8, depth=1, num_heads=2, stream=stream)
        if number % 2 and layout.roots:
            config = replace(config, joints="kept", geometry="poincare")
        models.append(DeployedEncoder(small_encoder(layout, config, channels), POOLS[number // 4 % 4]))
        data = SkeletonSet.open(tiny.write_set(tmp_path / layout.name, layout, 4, 2, channels))
        clips.append(batch_of(data).joints)
    several = Several(models)
    with export_run._quiet():
        exported: Any = torch.onnx.export(several, tuple(clips), dynamo=True, verbose=False, dynamic_shapes=None)
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    names = [given.name for given in session.get_inputs()]
    found = session.run(None, {name: joints.numpy() for name, joints in zip(names, clips, strict=True)})
    for layout, expected, output in zip(LAYOUTS, several(*clips), found, strict=True):
        torch.testing.assert_close(torch.from_numpy(output), expected, **CLOSE, msg=lambda text, at=layout: at + text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["onnx", "RUN", "--out=NEW.pt2"], "expected a name that ends in .onnx"),
        (["torch", "RUN", "--out=NEW.onnx"], "expected a name that ends in .pt2"),
        (["onnx", "RUN", "--out=OLD.onnx"], "OLD.onnx exists already; remove it or choose another name"),
        (["onnx", "RUN", "--out=NEW.onnx", "--frames=0"], "frames: found 0, expected 1 or more"),
        (["onnx", "RUN", "--out=NEW.onnx", "--pool=regions_time"], "found 2 patches in time, expected 3 or more"),
        (["onnx", "RUN", "--out=NEW.onnx", "--trained_on=ntu60"], "RUN is no released classifier; leave it out"),
        (["onnx", "CLASSIFIER", "--out=NEW.onnx", "--pool=regions"], "pool: CLASSIFIER is a classifier, which fixes"),
        (["torch", "CLASSIFIER", "--out=NEW.pt2", "--bodies=present"], "bodies: CLASSIFIER is a classifier, which"),
        (["onnx", "CLASSIFIER", "--out=NEW.onnx", "--trained_on=ntu60"], "knows its classes; leave the option out"),
        (["onnx", "SET", "--out=NEW.onnx"], "no such encoder; expected a run folder"),
        (["onnx", "OLD.onnx", "--out=NEW.onnx"], "OLD.onnx: expected a run folder, an encoder.safetensors"),
        (["onnx", "RUN"], "arguments are required: out"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence(
    words: list[str],
    message: str,
    prepared: Path,
    pretrained: RunFolder,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("OLD.onnx").write_text("mine")
    Path("RUN").symlink_to(pretrained.path)
    Path("SET").symlink_to(prepared)
    Path("CLASSIFIER").mkdir()
    tiny.tiny_classifier("linear").save(Path("CLASSIFIER/classifier.safetensors"))
    code, text = run("export", *words)
    assert code == 2
    assert message in text
    assert text.count("\n") == 1
    assert Path("OLD.onnx").read_text() == "mine"
    assert not list(tmp_path.glob("NEW*"))


def test_a_missing_extra_is_one_sentence(
    pretrained: RunFolder, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    code, text = run("export", "onnx", pretrained.path, "--out", tmp_path / "model.onnx")
    assert code == 2
    assert text.endswith("which export onnx needs; install it with: pip install 'maskel[onnx]'\n")
    assert text.count("\n") == 1


def test_a_model_that_answers_otherwise_is_not_written(
    pretrained: RunFolder, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = export_run._several
    monkeypatch.setattr(export_run, "_several", lambda outputs: [each + torch.rand(()) for each in several(outputs)])
    code, text = run("export", "torch", pretrained.path, "--out", tmp_path / "model.pt2")
    assert code == 2
    assert "differ from those in PyTorch by" in text
    assert text.endswith("more than 0.0001; nothing is written\n")
    assert not list(tmp_path.iterdir())
