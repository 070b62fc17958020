"""The estimators: those of maskel in other clothes, and good citizens of scikit-learn."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

import tiny
from maskel.commands.embed import embed
from maskel.commands.finetune import finetune
from maskel.commands.linear import linear
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import COCO17
from maskel.models.loading import load_encoder
from maskel.sklearn import SkeletonClassifier, SkeletonTransformer
from maskel.training.optim import FinetuneConfig
from maskel.training.run import RunFolder
from maskel.training.scores import Scores

SMALL: dict[str, Any] = {
    "encoder": tiny.ENCODER,
    "options": tiny.OPTIONS,
    "training": tiny.TRAINING,
    "layout": "ntu25",
    "device": "cpu",
}


@pytest.fixture(scope="module")
def clips(prepared: Path) -> list[np.ndarray]:
    data = SkeletonSet.open(prepared)
    return [data.sequence(position).joints for position in range(len(data))]


@pytest.fixture(scope="module")
def labels(prepared: Path) -> np.ndarray:
    data = SkeletonSet.open(prepared)
    return np.array(data.classes)[data.labels]


@pytest.fixture(scope="module")
def subjects(prepared: Path) -> list[str]:
    return [clip.subject for clip in SkeletonSet.open(prepared).clips]


@pytest.mark.parametrize("pool", ["mean", "regions"])
def test_features_are_those_of_embed(
    pool: Any, prepared: Path, pretrained: RunFolder, clips: list[np.ndarray], tmp_path: Path
) -> None:
    with np.load(embed(pretrained.path, prepared, tmp_path / "f.npz", pool=pool, device="cpu")) as stored:
        expected = stored["features"]
    of_arrays = SkeletonTransformer(pretrained.path, pool, device="cpu").fit(clips)
    assert np.array_equal(of_arrays.transform(clips), expected)
    np.testing.assert_allclose(of_arrays.transform(clips[:1]), expected[:1], atol=1e-5)
    of_set = SkeletonTransformer(str(pretrained.path), pool, data=prepared, device="cpu").fit([0, 1])
    assert np.array_equal(of_set.transform(np.arange(len(clips))), expected)
    assert np.array_equal(of_set.transform(np.arange(len(clips))[:, None]), expected)
    assert len(of_set.get_feature_names_out()) == expected.shape[1]


def test_present_bodies_are_those_of_encode(pretrained: RunFolder, clips: list[np.ndarray]) -> None:
    encoder = load_encoder(pretrained.path)
    transformer = SkeletonTransformer(encoder, bodies="present", device="cpu").fit(clips[:1])
    assert len(clips[0]) == 1 < len(clips[1])
    found = transformer.transform(clips[:2])
    for row, clip in zip(found, clips, strict=False):
        np.testing.assert_allclose(row, encoder.encode(clip[None])[0].numpy(), atol=1e-5)
    with pytest.warns(UserWarning, match="1 of 2 clips have more bodies than the 1 of the clips that were fitted"):
        SkeletonTransformer(encoder, device="cpu").fit(clips[:1]).transform(clips[:2])
    one = SkeletonTransformer(encoder, device="cpu").fit([clips[0][0]])  # (T, V, C)
    assert np.array_equal(one.transform([clips[0][0]]), one.transform(np.stack([clips[0]])))


def test_an_encoder_is_mapped_and_stays_as_it_is(pretrained: RunFolder, capsys: pytest.CaptureFixture) -> None:
    encoder = load_encoder(pretrained.path)
    flat = [np.random.default_rng(0).normal(size=(30, 17, 3))]
    transformer = SkeletonTransformer(encoder, window=16, layout="coco17", device="cpu").fit(flat)
    assert (transformer.encoder_.layout, transformer.encoder_.config.window) == (COCO17, 16)
    assert "joint embeddings mapped from ntu25 to coco17" in capsys.readouterr().err
    assert transformer.transform(flat).shape == (1, 16)
    assert encoder.config.window == tiny.ENCODER.window
    assert all(weight.requires_grad for weight in encoder.parameters())


def test_a_classifier_on_an_encoder_is_the_regularised_probe(
    prepared: Path, pretrained: RunFolder, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    run = linear(pretrained.path, prepared, probe="regularised", device="cpu", out=tmp_path / "run")
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")
    model = SkeletonClassifier(pretrained.path, data=prepared, device="cpu").fit(train, tiny_set.labels[train])
    assert model.strength_ == run.result["C"]
    assert model.chosen_on_ == run.result["chosen_on"] == "held-out training subjects"
    expected = torch.as_tensor(Scores.read(run.path).scores).softmax(1).numpy()
    np.testing.assert_allclose(model.predict_proba(test), expected, atol=1e-5)
    assert model.score(test, tiny_set.labels[test]) == run.result["accuracy"]


@pytest.mark.parametrize("bodies", ["all", "present"])
def test_a_finetuned_classifier_is_that_of_finetune(
    bodies: Any, prepared: Path, pretrained: RunFolder, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"bodies": bodies, "device": "cpu"}
    run = finetune(prepared, pretrained.path, training=tiny.FINETUNE, seed=3, out=tmp_path / "run", **options)
    train, test = tiny_set.split("xsub", "train"), tiny_set.split("xsub", "test")
    encoder = load_encoder(pretrained.path).requires_grad_(False)  # as that of a fitted estimator
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    options |= {"data": prepared, "probe": "finetune", "finetuning": tiny.FINETUNE, "random_state": 3}
    model = SkeletonClassifier(encoder, **options).fit(train, tiny_set.labels[train])
    expected = torch.as_tensor(Scores.read(run.path).scores)
    np.testing.assert_allclose(model.decision_function(test), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(test), expected.softmax(1), atol=1e-6)
    assert model.score(test, tiny_set.labels[test]) == run.result["accuracy"]
    assert all(torch.equal(weight, before[name]) for name, weight in encoder.state_dict().items())
    assert not torch.equal(model.encoder_.patch_embed.weight, encoder.patch_embed.weight)
    again = clone(model)
    assert again.get_params()["finetuning"] == tiny.FINETUNE
    scores = again.fit(train, tiny_set.labels[train]).decision_function(test)
    assert np.array_equal(scores, model.decision_function(test))
    assert np.array_equal(pickle.loads(pickle.dumps(model)).decision_function(test), scores)


def test_finetuning_learns_the_labels_given_and_leaves_no_probe_behind(prepared: Path, pretrained: RunFolder) -> None:
    flat = [np.random.default_rng(number).normal(size=(20, 25, 3)) for number in range(16)]
    for clip in flat[::2]:
        clip[:, :, 1] += 3
    names = np.array(["up", "down"] * 8)
    model = SkeletonClassifier(pretrained.path, device="cpu").fit(flat, names)
    assert hasattr(model, "strength_")
    model.set_params(probe="finetune", finetuning=FinetuneConfig(epochs=12, batch_size=8, lr=3e-3)).fit(flat, names)
    assert not hasattr(model, "strength_")
    assert not hasattr(model, "chosen_on_")
    assert model.score(flat, names) == 1
    assert model.decision_function(flat).shape == (16,)
    assert set(model.predict(flat)) == {"up", "down"}
    assert model.set_params(probe="regularised", finetuning=None).fit(flat, names).strength_ > 0
    with pytest.raises(InputError, match=r"y: found two labels for clip clip\d\d, which X has twice"):
        SkeletonClassifier(pretrained.path, data=prepared, probe="finetune").fit([0, 0, 1], ["a", "b", "a"])


def test_finetuning_without_an_encoder_pretrains_one(clips: list[np.ndarray], labels: np.ndarray) -> None:
    model = SkeletonClassifier(**SMALL, probe="finetune", finetuning=tiny.FINETUNE).fit(clips, labels)
    before = clone(model).set_params(probe="regularised", finetuning=None).fit(clips, labels)
    assert not torch.equal(model.encoder_.patch_embed.weight, before.encoder_.patch_embed.weight)
    np.testing.assert_allclose(model.predict_proba(clips).sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("method", ["mamp", "hacm"])
def test_a_classifier_that_pretrains_is_a_function_of_its_options(
    method: str, clips: list[np.ndarray], labels: np.ndarray, subjects: list[str], capsys: pytest.CaptureFixture
) -> None:
    options = SMALL | {"method": method, "encoder": tiny.encoder_for(method)}
    model = SkeletonClassifier(**options).fit(clips, labels, groups=subjects)
    shown = capsys.readouterr()
    assert "epoch" not in shown.out + shown.err
    assert model.chosen_on_ == "held-out training subjects"
    assert "clips cannot be held out" in clone(model).fit(clips, labels).chosen_on_
    assert list(model.classes_) == sorted(tiny.CLASSES)
    assert set(model.predict(clips)) <= set(tiny.CLASSES)
    shares = model.predict_proba(clips)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert np.array_equal(model.classes_[shares.argmax(1)], model.predict(clips))
    again = clone(model).fit(clips, labels, groups=subjects)
    assert np.array_equal(again.decision_function(clips), model.decision_function(clips))
    other = clone(model).set_params(random_state=1).fit(clips, labels, groups=subjects)
    assert not np.array_equal(other.decision_function(clips), model.decision_function(clips))
    copied = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copied.predict_proba(clips), shares)


def test_pretraining_sees_neither_labels_nor_other_clips(prepared: Path, tiny_set: SkeletonSet) -> None:
    options = {name: value for name, value in SMALL.items() if name != "layout"} | {"data": prepared}
    some = np.arange(12)
    model = SkeletonClassifier(**options).fit(some, tiny_set.labels[some])
    changed = SkeletonClassifier(**options).fit(some, tiny_set.labels[some][::-1])
    for one, other in zip(model.encoder_.parameters(), changed.encoder_.parameters(), strict=True):
        assert torch.equal(one, other)
    arrays = [tiny_set.sequence(position).joints for position in some.tolist()]
    alone = SkeletonClassifier(**SMALL).fit(arrays, tiny_set.labels[some])
    for one, other in zip(model.encoder_.parameters(), alone.encoder_.parameters(), strict=True):
        assert torch.equal(one, other)


def test_two_classes_have_one_score_and_machines_no_probabilities(
    pretrained: RunFolder, clips: list[np.ndarray], labels: np.ndarray
) -> None:
    two = labels != "kick"
    some, named = [clip for clip, kept in zip(clips, two, strict=True) if kept], labels[two]
    model = SkeletonClassifier(pretrained.path, device="cpu").fit(some, named)
    scores = model.decision_function(some)
    assert scores.shape == (len(some),)
    np.testing.assert_allclose(model.predict_proba(some)[:, 1], 1 / (1 + np.exp(-scores)))
    assert np.array_equal(model.classes_[(scores > 0).astype(int)], model.predict(some))
    machine = SkeletonClassifier(pretrained.path, probe="svm", device="cpu").fit(some, named)
    assert not hasattr(machine, "predict_proba")
    assert np.array_equal(machine.classes_[(machine.decision_function(some) > 0).astype(int)], machine.predict(some))


def test_splits_pipelines_and_searches_work(
    prepared: Path, pretrained: RunFolder, tiny_set: SkeletonSet, clips: list[np.ndarray], labels: np.ndarray
) -> None:
    groups, folds = [clip.subject for clip in tiny_set.clips], GroupKFold(2)
    pipeline = make_pipeline(SkeletonTransformer(pretrained.path, bodies="present"), LogisticRegression())
    of_arrays = cross_val_score(pipeline, clips, labels, groups=groups, cv=folds, error_score="raise")
    pipeline.set_params(skeletontransformer__data=prepared)
    positions = np.arange(len(clips))
    of_set = cross_val_score(pipeline, positions, labels, groups=groups, cv=folds, error_score="raise")
    assert np.array_equal(of_arrays, of_set)
    model = SkeletonClassifier(pretrained.path, data=prepared, device="cpu")
    search = GridSearchCV(model, {"pool": ["mean", "joints"]}, cv=folds, error_score="raise")
    search.fit(positions, labels, groups=groups)
    assert search.best_params_["pool"] in ("mean", "joints")
    assert len(search.predict(positions)) == len(positions)


class Rows:
    """Takes the matrices of scikit-learn's checks: each row becomes a clip of four frames."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags

    def clips(self, rows: Any, reset: bool) -> np.ndarray:
        rows = validate_data(self, rows, reset=reset)
        filled = np.pad(rows, ((0, 0), (0, 300 - rows.shape[1])), constant_values=1.0)
        return filled.reshape(len(rows), 4, 25, 3)


class RowsTransformer(Rows, SkeletonTransformer):
    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(self.clips(X, reset=True), y)

    def transform(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().transform(self.clips(X, reset=False))


class RowsClassifier(Rows, SkeletonClassifier):
    def fit(self, X: Any, y: Any, groups: Any = None) -> Any:
        _, y = validate_data(self, X, y)
        return super().fit(self.clips(X, reset=True), y, groups)

    def _scored(self, given: Any) -> Any:
        check_is_fitted(self)
        return super()._scored(self.clips(given, reset=False))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RowsTransformer, RowsClassifier])
def test_the_checks_of_scikit_learn_pass_but_for_those_of_the_docs(kind: type, pretrained: RunFolder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of checks that need packages that are not here
        found = check_estimator(kind(pretrained.path, device="cpu"), on_fail=None, on_skip=None)
    failed = {check["check_name"] for check in found if check["status"] == "failed"}
    failed -= {"check_do_not_raise_errors_in_init_or_set_params"}  # the type checks of our tests do
    page = (Path(__file__).parents[1] / "docs" / "sklearn.md").read_text()
    said = set(re.findall(r"`(check_\w+)`", page.partition("pass\nbut for these:")[2]))
    assert len(said) == 2
    assert failed == (said if kind is RowsClassifier else set())
    assert sum(check["status"] == "passed" for check in found) > 40


@pytest.mark.parametrize(
    ("change", "given", "message"),
    [
        (
            {},
            [np.zeros((5, 17, 3))],
            r"X\[0\]: found float64 \(5, 17, 3\), expected numbers \(T, 25, 3\) or \(M, T, 25",
        ),
        ({}, [np.ones((5, 25, 3)), np.zeros((5, 25, 3))], r"X\[1\]: found nothing but zeros"),
        ({}, [np.full((5, 25, 3), np.nan)], r"X\[0\]: found a coordinate that is not finite"),
        ({}, [np.full((5, 25, 3), 1e300)], r"X\[0\]: found a coordinate that is not finite"),
        ({}, [np.full((5, 25, 3), "a")], r"X\[0\]: found <U1 \(5, 25, 3\), expected numbers"),
        ({}, [[[1, 2], [3]]], r"X\[0\]: found"),
        ({}, [], "X: found no clip"),
        ({"data": "SET"}, [0, 99], "X: found positions 0 to 99, expected 0 to 23"),
        ({"data": "SET"}, [0.5], r"X: found float64 \(1,\), expected positions in .*, integers"),
        ({"data": "SET", "layout": "ntu25"}, [0], "says its layout itself; leave it out"),
        ({"data": "nowhere"}, [0], "nowhere does not exist"),
        ({"encoder": None}, [0], "encoder: found None, expected a run folder"),
        ({"encoder": "nowhere"}, [0], "nowhere: no such encoder"),
        ({"layout": "coco71"}, [0], "no joint layout is called 'coco71'; did you mean coco17"),
    ],
)
def test_what_is_no_clip_is_refused_in_a_sentence(
    change: dict[str, Any], given: list[Any], message: str, prepared: Path, pretrained: RunFolder
) -> None:
    change = {name: prepared if value == "SET" else value for name, value in change.items()}
    transformer = SkeletonTransformer(**{"encoder": pretrained.path, "device": "cpu"} | change)
    with pytest.raises(InputError, match=message):
        transformer.fit(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": None}, "layout: found none, expected the joint layout of the arrays by name"),
        ({"window": 8}, "window: of an encoder that is pre-trained here it is in its sizes"),
        ({"method": "mump"}, "no method is called 'mump'"),
        ({"options": {"colour": 1}}, "mamp has no option 'colour'"),
        ({"channels": ("x", "y")}, r"expected numbers \(T, 25, 2\)"),
        ({"random_state": -1}, "random_state: found -1, expected a whole number"),
        ({"data": "SET"}, "says its own; leave them out"),
        ({"finetuning": tiny.FINETUNE}, "finetuning: does nothing with probe='regularised'"),
        ({"probe": "svm", "finetuning": tiny.FINETUNE}, "finetuning: does nothing with probe='svm'"),
        ({"probe": "finetune", "pool": "joints"}, "pool: found 'joints', but the head of probe='finetune' has its own"),
        ({"probe": "finetune", "finetuning": FinetuneConfig(batch_size=1)}, "needs a batch_size of 2 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    change: dict[str, Any], message: str, prepared: Path, clips: list[np.ndarray], labels: np.ndarray
) -> None:
    change = {name: prepared if value == "SET" else value for name, value in change.items()}
    with pytest.raises(InputError, match=message):
        SkeletonClassifier(**(SMALL | change)).fit(clips, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": "region"}, "pool: found 'region', expected mean or regions or joints or regions_time"),
        ({"bodies": "some"}, "bodies: found 'some', expected all or present"),
        ({"probe": "sgd"}, "probe: found 'sgd', expected regularised or svm or finetune"),
    ],
)
def test_words_that_do_not_exist_are_refused(
    change: dict[str, str], message: str, pretrained: RunFolder, clips: list[np.ndarray], labels: np.ndarray
) -> None:
    for estimator in (SkeletonTransformer(pretrained.path), SkeletonClassifier(pretrained.path)):
        if set(change) <= set(estimator.get_params()):
            with pytest.raises(InputError, match=message):
                estimator.set_params(**change).fit(clips, labels)


def test_micro_batches_are_refused_where_a_method_compares_clips(clips: list[np.ndarray], labels: np.ndarray) -> None:
    options = SMALL | {"method": "hacm", "encoder": tiny.encoder_for("hacm")}
    options["training"] = type(tiny.TRAINING)(epochs=1, batch_size=4, accumulate=2)
    with pytest.raises(InputError, match="hacm compares the clips of a whole batch; accumulate must be 1"):
        SkeletonClassifier(**options).fit(clips, labels)


def test_one_class_and_other_lengths_are_refused(pretrained: RunFolder, clips: list[np.ndarray]) -> None:
    model = SkeletonClassifier(pretrained.path, device="cpu")
    with pytest.raises(InputError, match="clips of one class only"):
        model.fit(clips, ["a"] * len(clips))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(clips, ["a", "b"])
    with pytest.raises(NotFittedError):
        model.predict(clips)
    with pytest.raises(NotFittedError):
        SkeletonTransformer(pretrained.path).transform(clips)


def test_the_example_of_the_docs_runs(capsys: pytest.CaptureFixture) -> None:
    page = (Path(__file__).parents[1] / "docs" / "sklearn.md").read_text()
    (code,) = re.findall(r"<!-- executed -->\n```python\n(.*?)```", page, re.DOTALL)
    (more,) = re.findall(r"<!-- executed after it -->\n```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "sklearn.md", "exec"), names)
    scores, best = capsys.readouterr().out.splitlines()
    exec(compile(more, "sklearn.md", "exec"), names)
    assert re.fullmatch(r"\[[\d. ]+\]", capsys.readouterr().out.strip())
    turned = names["from_collection"](names["collection"])
    assert all(np.array_equal(one, other) for one, other in zip(turned, names["clips"], strict=True))
    assert re.fullmatch(r"\[[\d. ]+\]", scores)
    assert "skeletontransformer__pool" in best
