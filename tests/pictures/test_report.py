import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import tiny
from elements import Elements, require_safe
from maskel.commands.ensemble import ensemble
from maskel.commands.evaluate import evaluate
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.commands.report import report
from maskel.commands.view import masks
from maskel.datasets.base import Split
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.errors import InputError
from maskel.layouts import COCO17, H36M17, KINECT20, MEDIAPIPE33, Layout
from maskel.methods import METHODS
from maskel.methods.masked import MaskedAutoencoder
from maskel.models.encoder import Encoder
from maskel.pictures.charts import Line, confusion_matrix, line_chart
from maskel.pictures.markup import Markup, element
from maskel.pictures.masks import count_hidden
from maskel.pictures.reconstructions import choose_clips, per_token, reconstruct_clip
from maskel.pictures.report import read_confusion
from maskel.pictures.skeletons import shown_frames
from maskel.sequence import XYZ
from maskel.targets import JointTarget, MotionTarget
from maskel.training.pretrained import load_method
from maskel.training.run import METRICS, PREDICTIONS, RESULT, RunFolder

CLASSES = ("<script>alert(1)</script>", 'wave & "clap"', "kick")
PANELS = len(shown_frames(tiny.ENCODER.window))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set and runs of every kind on it; nobody writes to it."""
    path = tmp_path_factory.mktemp("<b>runs")
    with SetWriter(path / "set", KINECT20, CLASSES, "generated", {}) as writer:
        for number in range(20):
            writer.add(tiny.generated_clip(number, KINECT20))
        writer.finish({"xsub": Split(tuple(range(12)), tuple(range(12, 20)))})
    training, probe = replace(tiny.TRAINING, epochs=2), replace(tiny.PROBE, epochs=3)
    common: dict[str, Any] = {"data": path / "set", "device": "cpu"}
    tiny.tiny_pretrain(**common, out=path / "mamp", training=training)
    joined = replace(tiny.ENCODER, patch_joints=5)
    tiny.tiny_pretrain(**common, out=path / "mae", training=training, method="mae", encoder=joined)
    tiny.tiny_pretrain(**common, out=path / "hacm", training=training, method="hacm")
    for name, untrained in (("linear", False), ("linear-untrained", True)):
        linear(path / "mamp", **common, out=path / name, training=probe, untrained=untrained)
    knn(path / "mamp", **common, out=path / "knn", k=4)
    for name, encoder in (("finetune", path / "mamp"), ("scratch", tiny.ENCODER)):
        tiny.tiny_finetune(**common, out=path / name, encoder=encoder, training=replace(tiny.FINETUNE, epochs=2))
    for part in ("train", "test"):
        evaluate(path / "finetune", **common, part=part, out=path / f"evaluate-{part}")
    summands = [path / "finetune", path / "linear", path / "evaluate-test"]
    ensemble(summands, weights=[0.5, 1.0, 2.0], scores="softmax", out=path / "ensemble")
    return path


def test_fine_tuning_is_compared_with_training_from_scratch(folder: Path, tmp_path: Path) -> None:
    text = Elements(page_of(folder, tmp_path, "scratch", "finetune", "mamp")).text
    for name in ("finetune", "scratch"):
        assert str(RunFolder(folder / name).result["correct"]) + " / 8" in text
    assert re.search(r"finetune: finetune, pre-trained, gets .* scratch, untrained", text)
    assert "Fine-tuning, generated, xsub: 8 test clips" in text


ALL = ("knn", "linear-untrained", "mamp", "linear", "mae", "hacm")
SCORED = ("finetune", "evaluate-train", "evaluate-test", "ensemble")


def page_of(folder: Path, out: Path, *names: str, clips: int = 1) -> str:
    return report([folder / name for name in names or ALL], out / "report.html", clips).read_text()


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(folder, tmp_path_factory.mktemp("page"), clips=2)


@pytest.fixture
def copies(folder: Path, tmp_path: Path) -> Path:
    """The runs, to damage."""
    for name in (*ALL, *SCORED):
        shutil.copytree(folder / name, tmp_path / name)
    return tmp_path


def change(run: Path, **values: Any) -> None:
    result = json.loads((run / RESULT).read_text())
    (run / RESULT).write_text(json.dumps(result | values))


def test_every_result_stands_on_the_page_beside_chance(folder: Path, page: str) -> None:
    text = Elements(page).text
    for name in ("linear", "linear-untrained", "knn"):
        result = RunFolder(folder / name).result
        for counted in (result, result.get("vote", result), *result["per_class"]):
            assert f"{counted['correct']} / {counted['seen']} = {100 * counted['accuracy']:.1f} %" in text
    best = RunFolder(folder / "linear").result["best_epoch"]
    assert f"epoch {best['epoch']} of 3: {best['correct']} / 8" in text
    assert "chance, 1 / 3 = 33.3 %" in text
    assert "largest class of these clips, <script>alert(1)</script>, 3 / 8 = 37.5 %" in text
    assert "4-NN vote" in text
    data = SkeletonSet.open(folder / "set")
    assert all(data.split_hash("xsub", part) in text for part in ("train", "test"))


def test_evaluations_and_sums_are_shown_as_other_runs(folder: Path, tmp_path: Path) -> None:
    page = page_of(folder, tmp_path, *SCORED)
    text = Elements(page).text
    for name in SCORED:
        result = RunFolder(folder / name).result
        for counted in (result, *result["per_class"]):
            assert f"{counted['correct']} / {counted['seen']} = {100 * counted['accuracy']:.1f} %" in text
        assert result["command"] in text
    assert "generated, xsub: 8 test clips" in text
    assert "generated, xsub: 12 training clips" in text
    assert "evaluate, finetune head, classifier of finetune (evaluate-test)" in text
    assert "sum of softmax, 3 runs (ensemble)" in text
    alone = RunFolder(folder / "linear").result
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("ensemble adds up") :])[1:4]
    told = [(Elements(row).text, weight) for row, weight in zip(rows, ("0.5", "1", "2"), strict=True)]
    for (shown, weight), name in zip(told, ("finetune", str(folder / "linear"), "evaluate-test"), strict=True):
        assert shown.startswith(name + weight)
    assert f"{alone['correct']} / 8" in rows[1]
    for name in ("evaluate-train (evaluate)", "ensemble (ensemble)"):
        assert name in text[text.index("Confusions") :]
    assert "no evaluate run" not in text
    assert "no ensemble run" not in text


def test_a_folder_of_several_seeds_stands_for_its_runs(folder: Path, copies: Path, tmp_path: Path) -> None:
    several = tmp_path / "several"
    shutil.copytree(copies / "linear", several / "seed-0")
    shutil.copytree(copies / "linear-untrained", several / "seed-10")
    text = Elements(page_of(copies, tmp_path, "several", "knn")).text
    assert "maskel report: several/seed-0, several/seed-10, knn" in text


def test_an_encoder_is_told_by_its_method_and_its_run(page: str) -> None:
    text = Elements(page).text
    assert "linear, pre-trained by mamp, run mamp" in text
    assert "linear, untrained, sizes of run mamp" in text


def test_the_share_of_the_labels_is_named(copies: Path, tmp_path: Path) -> None:
    config = copies / "finetune" / "config.yaml"
    config.write_text(config.read_text().replace("labels: 1.0", "labels: 0.07"))
    text = Elements(page_of(copies, tmp_path, "finetune", "linear")).text
    assert text.count("finetune, 7 % of the labels, ") == 2  # beside a bar and over a column
    assert "linear, pre-trained" in text


def test_the_share_of_a_list_of_labels_is_counted(copies: Path, tmp_path: Path) -> None:
    config, result = copies / "linear" / "config.yaml", copies / "linear" / "result.json"
    config.write_text(config.read_text().replace("label_list: null", "label_list: labels.csv"))
    told = json.loads(result.read_text())
    told["labels"]["size"], told["split"]["train"]["size"] = 1, 8
    result.write_text(json.dumps(told))
    assert "linear, 12.5 % of the labels, " in Elements(page_of(copies, tmp_path, "finetune", "linear")).text


def test_names_of_others_are_text_not_elements(page: str) -> None:
    elements = Elements(page)
    assert elements.text.count("<script>alert(1)</script>") > 3
    require_safe(page)


def test_a_run_may_have_any_name(copies: Path, tmp_path: Path) -> None:
    odd = copies / '"><img src=x onerror=alert(1)>'
    (copies / "linear").rename(odd)
    change(odd, command="maskel </code><script>alert(2)</script>", encoder="'<img>")
    page = page_of(copies, tmp_path, odd.name, "mamp")
    require_safe(page)
    elements = Elements(page)
    assert odd.name in elements.text
    assert "maskel </code><script>alert(2)</script>" in elements.text


HOSTILE = "\"'><script>alert(3)</script><img src=x onerror=alert(4)>"


def poisoned(value: Any) -> Any:
    """The same with markup behind every word, names of options and entries included where any may stand."""
    if isinstance(value, dict):
        return {key: entry if key == "kind" else poisoned(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [poisoned(entry) for entry in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_no_word_of_a_run_becomes_an_element(copies: Path, tmp_path: Path) -> None:
    for name in (*ALL, *SCORED):
        config, result = copies / name / "config.yaml", copies / name / RESULT
        config.write_text(yaml.safe_dump(poisoned(RunFolder(copies / name).read_config())))
        result.write_text(json.dumps(poisoned(RunFolder(copies / name).result)))
        table = copies / name / PREDICTIONS
        if table.exists():
            table.write_text(table.read_text().replace("kick", HOSTILE))
    page = page_of(copies, tmp_path, *ALL, *SCORED)
    require_safe(page)
    elements = Elements(page)
    assert elements.text.count("<script>alert(3)</script>") > 10


def test_attributes_are_escaped() -> None:
    assert element("p", "<", Markup("<i></i>"), class_='"&') == '<p class="&quot;&amp;">&lt;<i></i></p>'


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    elements = Elements(page)
    assert not {"src", "href", "srcset", "xlink:href", "data", "action", "style"} & elements.attributes
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("clips", [0, 1, 2])
def test_as_many_clips_are_drawn_as_asked(folder: Path, tmp_path: Path, clips: int) -> None:
    elements = Elements(page_of(folder, tmp_path, "mamp", "mae", clips=clips))
    assert elements.classes["skeleton"] == 2 * clips * PANELS
    assert elements.classes["panels"] == 2 * clips


def test_equal_runs_give_equal_pages(folder: Path, tmp_path: Path, page: str) -> None:
    assert page_of(folder, tmp_path, clips=2) == page


def test_shown_clips_are_test_clips_of_different_classes(folder: Path) -> None:
    data = SkeletonSet.open(folder / "set")
    some, more = choose_clips(data, "xsub", 3), choose_clips(data, "xsub", 100)
    assert sorted(data.labels[some].tolist()) == [0, 1, 2]
    assert more[:3].tolist() == some.tolist()
    assert sorted(more.tolist()) == list(range(12, 20))


def test_a_benchmark_that_tests_nothing_shows_training_clips(folder: Path, tmp_path: Path) -> None:
    with SetWriter(tmp_path / "set", KINECT20, CLASSES, "generated", {}) as writer:
        for number in range(6):
            writer.add(tiny.generated_clip(number, KINECT20))
        writer.finish({"all": Split(tuple(range(6)), ())})
    tiny.tiny_pretrain(tmp_path / "set", tmp_path / "run", benchmark="all", training=replace(tiny.TRAINING, epochs=1))
    page = report([tmp_path / "run"], tmp_path / "page.html", clips=2).read_text()
    assert Elements(page).classes["panels"] == 2
    assert "Training clips, as the benchmark tests none, chosen by a fixed draw" in page
    assert page.count("clip0") > 2
    assert "Not shown" not in page


@pytest.mark.parametrize("name", ["mamp", "mae"])
def test_a_perfect_prediction_is_drawn_as_the_truth(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, data = load_method(RunFolder(folder / name)), SkeletonSet.open(folder / "set")
    honest = MaskedAutoencoder.reconstruct

    def perfect(*arguments: Any) -> Any:
        result = honest(*arguments)
        return replace(result, predicted=result.target)

    before = reconstruct_clip(method, data, 13, 0)
    monkeypatch.setattr(MaskedAutoencoder, "reconstruct", perfect)
    shown = reconstruct_clip(method, data, 13, 0)
    config = method.encoder.config
    masked = np.repeat(np.repeat(shown.hidden, config.patch_frames, 0), config.patch_joints, 1)
    assert (np.isnan(shown.predicted).all(-1) == ~masked).all()
    np.testing.assert_allclose(shown.predicted[masked], shown.true[masked], atol=1e-5)
    assert shown.error == 0 < before.error
    assert np.abs(before.predicted[masked] - before.true[masked]).max() > 1e-3
    assert (shown.body, shown.bodies) == (1, 2)


@pytest.mark.parametrize(
    ("layout", "up"), [(MEDIAPIPE33, (0, -1, 0)), (COCO17, (0, -1)), (H36M17, (0, 0, 1)), (KINECT20, (0, 1, 0))]
)
def test_masked_clips_are_drawn_with_the_head_above_the_feet(
    layout: Layout, up: tuple[float, ...], tmp_path: Path
) -> None:
    channels = XYZ[: len(up)]
    with SetWriter(tmp_path / "set", layout, CLASSES, "generated", {}, channels) as writer:
        sequence = tiny.generated_clip(0, layout, channels)
        sequence.joints[:, :, list(layout.head)] += 9 * np.float32(up)
        sequence.joints[:, :, list(layout.feet)] -= 9 * np.float32(up)
        writer.add(sequence)
        writer.finish({"all": Split((0,), ())})
    method = METHODS["mae"](Encoder(layout, tiny.ENCODER, channels), **tiny.OPTIONS).eval()
    shown = reconstruct_clip(method, SkeletonSet.open(tmp_path / "set"), 0, 0)
    heights = shown.joints[..., 1]
    assert (heights[:, list(layout.head)].min(1) > heights[:, list(layout.feet)].max(1) + 5).all()
    true = shown.true[..., 1]
    assert np.abs(true).max() > 5
    np.testing.assert_allclose(true, heights[:, list(shown.read)], atol=1e-5)


def test_the_mask_follows_from_seed_and_clip(folder: Path) -> None:
    method, data = load_method(RunFolder(folder / "mamp")), SkeletonSet.open(folder / "set")
    one, again, other = (reconstruct_clip(method, data, 13, seed).hidden for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


@pytest.mark.parametrize("target", [MotionTarget(), MotionTarget(2, normalize=False), JointTarget()])
def test_undoing_the_standardisation_gives_the_signal(target: MotionTarget | JointTarget) -> None:
    joints = torch.randn(2, 8, 4, 3, generator=torch.Generator().manual_seed(0))
    raw = type(target)(normalize=False) if isinstance(target, JointTarget) else MotionTarget(target.stride, False)
    signal = raw(joints, 4, 2)
    torch.testing.assert_close(target.restore(target(joints, 4, 2), signal), signal)


def test_masked_joints_are_hollow(folder: Path, tmp_path: Path) -> None:
    method, data = load_method(RunFolder(folder / "mamp")), SkeletonSet.open(folder / "set")
    shown = reconstruct_clip(method, data, int(choose_clips(data, "xsub", 1)[0]), 0)
    hidden = int(np.repeat(shown.hidden, 4, 0)[shown_frames(8)].sum())
    classes = Elements(page_of(folder, tmp_path, "mamp")).classes
    assert (classes["joint-hidden"], classes["joint-seen"]) == (hidden, PANELS * len(KINECT20) - hidden)


def test_joints_that_are_not_read_have_no_circle(folder: Path, tmp_path: Path) -> None:
    elements = Elements(page_of(folder, tmp_path, "hacm"))
    kept = len(KINECT20.group("kept"))
    assert elements.classes["joint-hidden"] + elements.classes["joint-seen"] == PANELS * kept
    assert "never reads the 7 joints without a circle" in elements.text


def test_a_loaded_method_draws_the_masks_it_trained_with(folder: Path) -> None:
    method, data = load_method(RunFolder(folder / "hacm")), SkeletonSet.open(folder / "set")
    saved = RunFolder(folder / "hacm").load_state()["method"]
    assert torch.equal(method.masking.even.query_weight, saved["masking.even.query_weight"])
    shown = reconstruct_clip(method, data, 13, 0)
    assert shown.hidden.shape == (2, 13)
    assert shown.true.shape == shown.predicted.shape == (8, 13, 3)
    assert (np.isnan(shown.predicted).all(-1) == ~np.repeat(shown.hidden, 4, 0)).all()


def test_hidden_tokens_are_counted_over_the_draws_of_training(folder: Path) -> None:
    data = SkeletonSet.open(folder / "set")
    for name in ("mamp", "mae", "hacm"):
        method = load_method(RunFolder(folder / name))
        found = count_hidden(name, method, data, 13, 120, 0)
        first = reconstruct_clip(method, data, 13, 0).hidden.T
        one = count_hidden(name, method, data, 13, 1, 0)
        assert (one.shares == first).all()
        assert len(found.rows) == len(found.shares) == method.encoder.grid[1]
        assert found.shares.sum() == pytest.approx(first.sum(), rel=1e-6)  # each mask hides as many
        assert 0 < found.shares.min() < found.shares.max() < 1
        assert (count_hidden(name, method, data, 13, 120, 0).shares == found.shares).all()


def test_masks_of_several_methods_stand_side_by_side(folder: Path, tmp_path: Path) -> None:
    runs = [folder / name for name in ("mamp", "mae", "hacm")]
    out = masks(runs, folder / "set", "clip13", draws=60, out=tmp_path / "masks.html")
    elements = Elements(out.read_text())
    for word in ("clip13, class", "in how many of 60 draws", "mamp (mamp)", "mae (mae)", "hacm (hacm)", "left_elbow"):
        assert word in elements.text, word
    assert elements.classes["maps"] == 1
    assert "src" not in elements.attributes
    text = Elements(page_of(folder, tmp_path, "mamp", "hacm")).text
    assert "in how many of 500 draws" in text


@pytest.mark.parametrize(
    ("runs", "clip", "draws", "message"),
    [
        (["mamp"], "clip99", 5, "has no clip called 'clip99'; its 20 clips begin with clip00"),
        (["mamp"], "clip13", 0, "draws: found 0, expected 1 or more"),
        (["linear"], "clip13", 5, "expected a run of maskel pretrain, found one of maskel linear"),
    ],
)
def test_masks_of_nothing_are_refused(
    folder: Path, tmp_path: Path, runs: list[str], clip: str, draws: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        masks([folder / run for run in runs], folder / "set", clip, draws=draws, out=tmp_path / "masks.html")
    tiny.write_set(tmp_path / "other")
    with pytest.raises(InputError, match=r"reads layout kinect20 \(x, y, z\), but .* holds ntu25 \(x, y, z\)"):
        masks([folder / "mamp"], tmp_path / "other", "clip13", out=tmp_path / "masks.html")
    assert not (tmp_path / "masks.html").exists()


def test_lengths_are_averaged_over_the_frames_and_joints_of_a_token() -> None:
    config = replace(tiny.ENCODER, patch_frames=4, patch_joints=2)
    values = np.zeros((8, 4, 3), np.float32)
    values[4:, 2] = (3, 4, 0)  # the later patch of the second pair of joints: half of its joints are 5 long
    assert per_token(values, config).tolist() == [[0, 0], [0, 2.5]]


def test_predictions_of_other_streams_are_not_drawn_on_joints(folder: Path, tmp_path: Path) -> None:
    tiny.tiny_pretrain(folder / "set", tmp_path / "bones", encoder=replace(tiny.ENCODER, stream="bone"))
    elements = Elements(page_of(tmp_path, tmp_path, "bones"))
    assert "reads the bone stream" in elements.text
    assert elements.classes["skeleton"] == PANELS
    assert "predicted" not in elements.classes


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        (f"linear/{PREDICTIONS}", "linear has no predictions.csv"),
        (f"linear/{METRICS}", "linear has no metrics.csv"),
        (f"mamp/{METRICS}", "mamp has no metrics.csv"),
        (f"knn/{RESULT}", "knn: it has no result.json, so it is not finished"),
        (f"linear/{RESULT}", "linear: it has no result.json, so it is not finished"),
        ("mamp/last.safetensors", "last.safetensors: not a whole saved state"),
        ("mamp/encoder.safetensors", "no such encoder"),
    ],
)
def test_what_a_run_lacks_is_said_and_the_rest_is_shown(
    folder: Path, copies: Path, tmp_path: Path, lost: str, sentence: str
) -> None:
    (copies / lost).unlink()
    elements = Elements(page_of(copies, tmp_path))
    assert sentence in elements.text
    kept = RunFolder(folder / "linear-untrained").result
    assert f"{kept['correct']} / {kept['seen']}" in elements.text
    methods = 2 if lost in ("mamp/last.safetensors", "mamp/encoder.safetensors") else 3
    assert elements.classes["skeleton"] == methods * PANELS


def test_a_column_that_metrics_lack_is_named(copies: Path, tmp_path: Path) -> None:
    metrics = copies / "mamp" / METRICS
    metrics.write_text(metrics.read_text().replace("lr", "rate", 1))
    assert "Not shown: mamp: its metrics have no column lr." in Elements(page_of(copies, tmp_path)).text


def test_a_set_that_moved_or_changed_is_said(copies: Path, tmp_path: Path, folder: Path) -> None:
    config = (copies / "mamp/config.yaml").read_text()
    (copies / "mamp/config.yaml").write_text(config.replace(str(folder / "set"), str(tmp_path / "gone")))
    split = json.loads((copies / "mae" / RESULT).read_text())["split"]
    change(copies / "mae", split=split | {"test": {"size": 8, "hash": "0" * 16}})
    elements = Elements(page_of(copies, tmp_path))
    assert f"Not shown: {tmp_path / 'gone'} does not exist" in elements.text
    assert "have changed since the run" in elements.text
    assert elements.classes["skeleton"] == PANELS  # of the third method


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"kind": "knn"}', '{"kind": "linear", "per_class": [1]}'])
def test_a_damaged_result_is_said(copies: Path, tmp_path: Path, content: str) -> None:
    (copies / "linear" / RESULT).write_text(content)
    text = Elements(page_of(copies, tmp_path)).text
    assert re.search(r"linear: .*result\.json", text)
    assert "linear-untrained" in text


def test_a_sum_of_nothing_is_said(copies: Path, tmp_path: Path) -> None:
    for damage in ({"runs": 3}, {"runs": [{"run": "a"}]}, {"runs": [{"run": "a", "weight": "x"}]}):
        change(copies / "ensemble", **damage)
        text = Elements(page_of(copies, tmp_path, "ensemble", "finetune")).text
        assert "ensemble: its result.json is not what maskel ensemble writes" in text


def test_a_sum_of_runs_that_no_path_can_name_is_shown(copies: Path, tmp_path: Path) -> None:
    runs = [{"run": f"nowhere\0{number}", "weight": 1.0, "correct": 1, "seen": 2} for number in range(2)]
    change(copies / "ensemble", runs=runs)
    assert "ensemble adds up" in Elements(page_of(copies, tmp_path, "ensemble", "finetune")).text


def test_what_pre_training_adds_is_said_both_ways(copies: Path, tmp_path: Path) -> None:
    change(copies / "linear", correct=3)
    change(copies / "linear-untrained", correct=5)
    text = Elements(page_of(copies, tmp_path)).text
    assert (
        "linear: linear, pre-trained, gets 2 clips fewer right than linear-untrained, untrained (-25.0 points)." in text
    )
    assert "knn: there is no knn run with the untrained encoder" in text
    change(copies / "linear", correct=5)
    assert "gets as many clips right as linear-untrained" in Elements(page_of(copies, tmp_path)).text
    config = (copies / "linear/config.yaml").read_text()
    (copies / "linear/config.yaml").write_text(config.replace("augment: true", "augment: false"))
    text = Elements(page_of(copies, tmp_path)).text
    assert "linear, pre-trained, is not compared with linear-untrained, untrained: the two differ in augment." in text
    assert "points)" not in text


def test_runs_on_other_labels_or_training_clips_are_not_compared(copies: Path, tmp_path: Path) -> None:
    other = {"size": 1, "hash": "0" * 16}
    change(copies / "linear", labels=other)
    text = Elements(page_of(copies, tmp_path)).text
    assert "the two differ in labelled clips." in text
    result = RunFolder(copies / "linear-untrained").result
    change(copies / "linear", labels=result["labels"], split=result["split"] | {"train": other})
    assert "the two differ in training clips." in Elements(page_of(copies, tmp_path)).text


def test_seeds_given_one_by_one_are_joined(copies: Path, tmp_path: Path) -> None:
    for name, counts in (("linear", (2, 4)), ("linear-untrained", (1, 1))):
        for seed, correct in enumerate(counts):
            shutil.copytree(copies / name, copies / f"{name}-{seed}")
            config = copies / f"{name}-{seed}" / "config.yaml"
            config.write_text(re.sub(r"^seed: \d+$", f"seed: {seed}", config.read_text(), flags=re.MULTILINE))
            change(copies / f"{name}-{seed}", correct=correct)
    runs = ("mamp", "linear-0", "linear-1", "linear-untrained-0", "linear-untrained-1")
    text = Elements(page_of(copies, tmp_path, *runs)).text
    assert "Seeds of equal runs" in text
    assert (
        "linear: linear-0, linear-1, pre-trained, get 37.5 ± 17.7 %, linear-untrained-0, linear-untrained-1, "
        "untrained, 12.5 ± 0.0 % (+25.0 points)." in text
    )
    shutil.copytree(copies / "linear-0", copies / "again")
    text = Elements(page_of(copies, tmp_path, "mamp", "linear-0", "again")).text
    assert "Seeds of equal runs" not in text  # one seed twice says nothing of seeds


def test_counts_on_other_clips_are_not_compared(copies: Path, tmp_path: Path) -> None:
    split = json.loads((copies / "linear" / RESULT).read_text())["split"]
    change(copies / "linear", split=split | {"test": {"size": 8, "hash": "0" * 16}})
    text = Elements(page_of(copies, tmp_path)).text
    assert "cannot be compared, so they are in separate tables" in text
    assert "linear: there is no linear run with the untrained encoder" in text


def test_runs_of_one_name_are_told_apart_and_a_run_given_twice_is_shown_once(copies: Path, tmp_path: Path) -> None:
    shutil.copytree(copies / "knn", copies / "other" / "knn")
    text = Elements(page_of(copies, tmp_path, "knn", "other/knn", "knn")).text
    assert f"maskel report: {copies / 'knn'}, {copies / 'other' / 'knn'}" in text


@pytest.mark.parametrize("content", [None, "data: x\n", "- 1\n"])
def test_a_folder_that_is_no_run_is_refused(copies: Path, tmp_path: Path, content: str | None) -> None:
    (tmp_path / "folder").mkdir()
    if content:
        (tmp_path / "folder" / "config.yaml").write_text(content)
    with pytest.raises(InputError, match="expected"):
        page_of(copies, tmp_path, "knn", "folder")
    assert not (tmp_path / "report.html").exists()


def test_wrong_arguments_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run folder"):
        report([], tmp_path / "report.html")
    with pytest.raises(InputError, match="found -1, expected 0 or more"):
        report([folder / "knn"], tmp_path / "report.html", clips=-1)
    with pytest.raises(InputError, match="cannot be written"):
        report([folder / "knn"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_confusions_are_counted_by_true_and_predicted_class(tmp_path: Path) -> None:
    table = tmp_path / PREDICTIONS
    table.write_text('name,class,predicted\na,x,x\nb,x,"y,z"\nc,x,"y,z"\n')
    assert read_confusion(table, ("x", "y,z")).tolist() == [[1, 2], [0, 0]]
    with pytest.raises(InputError, match="not a table of this run's classes"):
        read_confusion(table, ("x", "y"))


def test_many_classes_have_no_text_in_cells() -> None:
    names = [f"c{number}" for number in range(21)]
    few, many = (Elements(confusion_matrix(np.eye(k, dtype=np.int64) * 777, names[:k])) for k in (20, 21))
    assert few.text.count("777") == 40  # a cell and a sum for each class
    assert "777" not in many.text


def test_curves_leave_out_what_is_not_finite() -> None:
    drawn = line_chart("loss", "epoch", [Line("run", [1.0, 2.0, 3.0], [1.0, float("nan"), 2.0])])
    assert Elements(drawn).tags["circle"] == 2
    assert "No finite value" in line_chart("loss", "epoch", [Line("run", [1.0], [float("inf")])])
    farthest = line_chart("loss", "epoch", [Line("run", [1.0, 2.0], [-1.7e308, 1.7e308])])  # no number is their span
    assert Elements(farthest).tags["circle"] == 2
    assert Elements(line_chart("loss", "epoch", [Line("run", [1.0], [0.0])])).tags["circle"] == 1
