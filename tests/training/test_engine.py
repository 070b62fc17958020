import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

import tiny
from maskel.datasets.store import SkeletonSet
from maskel.draws import Purpose, body_keys, clip_keys, uniform
from maskel.errors import InputError, Stopped, TrainingError
from maskel.methods import METHODS
from maskel.methods.masked import MaskedMethod
from maskel.models.loading import load_encoder
from maskel.training import engine
from maskel.training.engine import Session, fit
from maskel.training.loading import ClipBatches
from maskel.training.optim import AdamWConfig, SGDConfig
from maskel.training.precision import Precision
from maskel.training.pretrained import load_method
from maskel.training.run import CONFIG, ENCODER, METRICS, RunFolder
from maskel.transforms import TrainView

methods = pytest.mark.parametrize("name", METHODS)
Load = Callable[..., Any]


def batches_of(data: SkeletonSet, batch_size: int = 5, seed: int = 0) -> ClipBatches:
    positions = data.split("xsub", "train")
    window = tiny.ENCODER.window
    return ClipBatches(data, positions, batch_size, seed, window, TrainView(), "zero", tiny.ALONE.device)


def assert_same_run(one: RunFolder, other: RunFolder) -> None:
    """The same weights, optimiser, metrics and options, bit for bit."""
    tiny.assert_identical(tiny.state_of(one), tiny.state_of(other))
    tiny.assert_identical(load_file(one.path / ENCODER), load_file(other.path / ENCODER))
    for name in (METRICS, CONFIG):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


def take_then(monkeypatch: pytest.MonkeyPatch, count: int, do: Callable[[], Any]) -> None:
    """Call ``do`` when the ``count``-th batch is taken."""
    tiny.as_steps_begin(monkeypatch, lambda step: do() if step == count else None)


@methods
def test_the_loss_of_clips_seen_again_and_again_falls(name: str, tiny_set: SkeletonSet, tmp_path: Path) -> None:
    method = tiny.tiny_method(name, bodies="present")
    positions = tiny_set.split("xsub", "train")[:4]
    batches = ClipBatches(tiny_set, positions, 4, 0, 8, None, "zero", tiny.ALONE.device)
    training = AdamWConfig(epochs=60, batch_size=4, lr=5e-3, warmup_epochs=1.0, save_epochs=60)
    outcome = fit(method, batches, Session(training, RunFolder(tmp_path), tiny.ALONE))
    losses = [row["loss"] for row in outcome.rows]
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:5])


@methods
@pytest.mark.parametrize("when", [1, 5, 9])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    name: str, when: int, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.tiny_pretrain(prepared, tmp_path / "whole", method=name)
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        take_then(patched, when, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Stopped, match=f"after step {when}; go on with --resume .*parts"):  # 9 is the last of all
            tiny.tiny_pretrain(prepared, tmp_path / "parts", method=name)
        assert not (tmp_path / "parts" / "result.json").exists()
    assert signal.getsignal(signal.SIGINT) is before
    parts = tiny.tiny_pretrain(prepared, tmp_path / "parts", method=name, resume=True)
    assert_same_run(parts, whole)
    assert len(parts.metrics) == tiny.TRAINING.epochs
    assert parts.result["loss"] == whole.result["loss"]


def test_a_run_can_be_stopped_many_times(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny.tiny_pretrain(prepared, tmp_path / "whole")
    for attempt in range(8):
        with monkeypatch.context() as patched:
            take_then(patched, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(Stopped, match=f"after step {attempt + 1};"):
                tiny.tiny_pretrain(prepared, tmp_path / "parts", resume=attempt > 0)
    parts = tiny.tiny_pretrain(prepared, tmp_path / "parts", resume=True)
    assert_same_run(parts, whole)


def test_a_second_interrupt_stops_at_once(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    take_then(monkeypatch, 2, twice)
    with pytest.raises(KeyboardInterrupt):
        tiny.tiny_pretrain(prepared, tmp_path / "run")


def test_a_killed_run_goes_on_from_its_last_saved_epoch(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise MemoryError

    whole = tiny.tiny_pretrain(prepared, tmp_path / "whole")
    with monkeypatch.context() as patched:
        take_then(patched, 8, die)  # two of three epochs are saved, one step of the third is lost
        with pytest.raises(MemoryError):
            tiny.tiny_pretrain(prepared, tmp_path / "parts")
    parts = tiny.tiny_pretrain(prepared, tmp_path / "parts", resume=True)
    assert_same_run(parts, whole)


class Reads(TorchFunctionMode):
    """Notes every value that Python reads from a tensor: on a GPU each waits for all that was launched."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.events = events

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ in ("tolist", "item", "__bool__", "__int__", "__float__", "__index__"):
            self.events.append("read")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("in_flight", [0, 1])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_reads_once_and_the_next_batch_is_loaded_before(
    accumulate: int, in_flight: int, tiny_set: SkeletonSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    load: Load = ClipBatches.load

    def hooked(self: ClipBatches, epoch: int, clips: np.ndarray) -> Any:
        events.append("load")
        return load(self, epoch, clips)

    monkeypatch.setattr(ClipBatches, "load", hooked)
    monkeypatch.setattr(engine, "steps_ahead", lambda device: in_flight)
    method = tiny.tiny_method("mamp", bodies="present")
    method.register_forward_hook(lambda *_: events.append("forward"))
    training = replace(tiny.TRAINING, epochs=2, accumulate=accumulate, save_epochs=2)
    with Reads(events):
        fit(method, batches_of(tiny_set), Session(training, RunFolder(tmp_path), tiny.ALONE))
    launch, last = ["forward", "load"] * accumulate, [*["forward", "load"] * (accumulate - 1), "forward"]
    if in_flight:  # a step late, and at the end of an epoch what is left
        expected = [*launch, *launch, "read", *launch, "read", "read", *launch, *launch, "read", *last, "read", "read"]
    else:
        expected = [*[*launch, "read"] * 5, *last, "read"]
    assert events == ["load", *expected]


def test_a_clip_that_cannot_be_read_leaves_the_step_before(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load: Load = ClipBatches.load
    bad = batches_of(SkeletonSet.open(prepared)).step_clips(1, 0)

    def refused(self: ClipBatches, epoch: int, clips: np.ndarray) -> Any:
        if (epoch, clips.tolist()) == (1, bad.tolist()):
            raise InputError("a clip holds a coordinate that is not finite")
        return load(self, epoch, clips)

    monkeypatch.setattr(ClipBatches, "load", refused)
    with pytest.raises(InputError, match="not finite"):
        tiny.tiny_pretrain(prepared, tmp_path / "run")
    assert RunFolder(tmp_path / "run").load_state()["step"] == 3  # the whole first epoch


def one_gradient(data: SkeletonSet, out: Path, accumulate: int, method: MaskedMethod) -> dict[str, torch.Tensor]:
    """The gradient of one step over 7 clips, as plain SGD at rate 1 leaves it in the weights."""
    before = {name: weight.detach().clone() for name, weight in method.named_parameters()}
    training = SGDConfig(epochs=1, batch_size=7, lr=1.0, momentum=0.0, accumulate=accumulate)
    batches = batches_of(data, 7)
    batches.positions = batches.positions[:7]
    fit(method, batches, Session(training, RunFolder(out), tiny.ALONE))
    return {name: before[name] - weight.detach() for name, weight in method.named_parameters()}


@methods
@pytest.mark.parametrize("bodies", ["all", "present"])
def test_micro_batches_change_nothing_but_rounding(
    name: str, bodies: str, tiny_set: SkeletonSet, tmp_path: Path
) -> None:
    options = {"cc_alpha": 0.0} if name == "hacm" else {}  # its contrast needs the whole batch at once
    found = {}
    for accumulate in (1, 3, 7):
        out = tmp_path / str(accumulate)
        out.mkdir()
        method = tiny.tiny_method(name, bodies=bodies, **options)
        assert not method.needs_whole_batch
        found[accumulate] = one_gradient(tiny_set, out, accumulate, method)
        assert RunFolder(out).metrics[0]["loss"] == pytest.approx(
            RunFolder(tmp_path / "1").metrics[0]["loss"], rel=1e-6
        )
    method = tiny.tiny_method(name, bodies=bodies, **options)
    batch = batches_of(tiny_set, 7).load(0, tiny_set.split("xsub", "train")[:7])
    method(batch, clip_keys(0, 0, batch.clips))["loss"].backward()
    for parameter, weight in method.named_parameters():
        gradient = weight.grad
        assert gradient is not None, parameter
        assert gradient.any(), parameter
        for accumulate in found:
            torch.testing.assert_close(found[accumulate][parameter], gradient, rtol=1e-4, atol=5e-7)


def test_a_batch_that_cannot_be_cut_is_refused(prepared: Path, tmp_path: Path) -> None:
    training = replace(tiny.TRAINING, accumulate=6)
    with pytest.raises(InputError, match="batch_size 5 cannot be shared by 1 processes with accumulate 6"):
        tiny.tiny_pretrain(prepared, tmp_path / "run", training=training)


def test_micro_batches_of_a_loss_over_the_whole_batch_are_refused(prepared: Path, tmp_path: Path) -> None:
    training = replace(tiny.TRAINING, accumulate=2)
    with pytest.raises(InputError, match="hacm compares the clips of a whole batch; accumulate must be 1"):
        tiny.tiny_pretrain(prepared, tmp_path / "run", method="hacm", training=training)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
def test_a_set_on_the_device_changes_nothing(kind: str, prepared: Path, tmp_path: Path) -> None:
    train = tiny.tiny_pretrain if kind == "pretrain" else tiny.tiny_finetune
    runs = [train(prepared, tmp_path / name, resident=name == "resident") for name in ("resident", "mapped")]
    tiny.assert_identical(*map(tiny.state_of, runs))


@methods
def test_same_seed_same_result_other_seed_another(name: str, prepared: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = tiny.tiny_pretrain(prepared, tmp_path / "one", method=name, seed=4)
    torch.manual_seed(2)  # torch's own generator decides nothing
    np.random.seed(2)  # noqa: NPY002 (nor does NumPy's)
    same = tiny.tiny_pretrain(prepared, tmp_path / "same", method=name, seed=4)
    other = tiny.tiny_pretrain(prepared, tmp_path / "other", method=name, seed=5)
    assert_same_run(one, same)
    assert one.metrics != other.metrics


def test_a_run_leaves_the_random_generator_alone(prepared: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    tiny.tiny_pretrain(prepared, tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)


@methods
def test_a_clip_has_its_view_and_mask_in_any_batch(name: str, tiny_set: SkeletonSet) -> None:
    batches, method = batches_of(tiny_set), tiny.tiny_method(name)
    clips = tiny_set.split("xsub", "train")

    def views_and_masks(some: np.ndarray, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        batch = batches.load(epoch, some)
        keys = body_keys(clip_keys(batches.seed, epoch, batch.clips), batch.joints.shape[1])
        draws = uniform(keys.flatten(), Purpose.MASK, method.encoder.num_tokens)
        return batch.joints, method.mask(batch.joints.flatten(0, 1), draws).hidden.unflatten(0, (len(some), -1))

    joints, hidden = views_and_masks(clips, 3)
    for place in (0, 5, 11):
        alone = views_and_masks(clips[place : place + 1], 3)
        assert torch.equal(alone[0][0], joints[place])
        assert torch.equal(alone[1][0], hidden[place])
    backwards = views_and_masks(clips[::-1].copy(), 3)
    assert torch.equal(backwards[0].flip(0), joints)
    assert torch.equal(backwards[1].flip(0), hidden)
    later = views_and_masks(clips, 4)
    assert not torch.equal(later[0], joints)
    assert not torch.equal(later[1], hidden)


def test_bodies_of_a_clip_have_masks_of_their_own(tiny_set: SkeletonSet) -> None:
    keys = body_keys(clip_keys(0, 0, torch.arange(50)), 2)
    assert len(set(keys.flatten().tolist())) == 100


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_is_not_finite_names_step_and_clips_and_keeps_the_state(
    precision: Precision, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = replace(tiny.TRAINING, precision=precision)
    load: Load = ClipBatches.load
    calls: list[int] = []

    def poisoned(self: ClipBatches, epoch: int, clips: np.ndarray) -> Any:
        batch = load(self, epoch, clips)
        calls.append(epoch)
        if len(calls) == 5:
            return batch.with_joints(batch.joints * float("inf"))
        return batch

    with monkeypatch.context() as patched:
        patched.setattr(ClipBatches, "load", poisoned)
        with pytest.raises(TrainingError) as caught:
            tiny.tiny_pretrain(prepared, tmp_path / "run", training=training)
    data = SkeletonSet.open(prepared)
    clips = batches_of(data).step_clips(1, 1)
    assert "not finite at step 4 (epoch 1" in str(caught.value)
    assert ", ".join(data.clips[clip].name for clip in clips) in str(caught.value)
    run = RunFolder(tmp_path / "run")
    state = run.load_state()
    assert state["step"] == 4
    assert all(weight.isfinite().all() for weight in state["method"].values())
    resumed = tiny.tiny_pretrain(prepared, run.path, training=training, resume=True)  # the fault was a passing one
    assert_same_run(resumed, tiny.tiny_pretrain(prepared, tmp_path / "whole", training=training))


def fit_alone(method: MaskedMethod, data: SkeletonSet, out: Path) -> None:
    fit(method, batches_of(data), Session(tiny.TRAINING, RunFolder(out), tiny.ALONE))


def test_a_weight_that_is_not_finite_stops_the_run(tiny_set: SkeletonSet, tmp_path: Path) -> None:
    method = tiny.tiny_method("mamp")
    with torch.no_grad():
        method.encoder.patch_embed.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"step 0 .*weights were not finite either.*begin with clip15, clip06, "):
        fit_alone(method, tiny_set, tmp_path)
    assert not RunFolder(tmp_path).has_state  # weights that are not finite are worth nothing


def test_a_loss_that_is_not_finite_leaves_the_state_before_it(tiny_set: SkeletonSet, tmp_path: Path) -> None:
    method, steps = tiny.tiny_method("mamp"), []

    def poison(module: torch.nn.Module, arguments: tuple, result: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps.append(0)
        return result | {"loss": result["loss"] * (float("nan") if len(steps) == 2 else 1.0)}

    method.register_forward_hook(poison)
    with pytest.raises(TrainingError, match=r"the loss is not finite at step 1 .*the state before it is saved in "):
        fit_alone(method, tiny_set, tmp_path)
    assert RunFolder(tmp_path).load_state()["step"] == 1


def test_the_learning_rate_rises_falls_and_ends_near_its_end(prepared: Path, tmp_path: Path) -> None:
    training = AdamWConfig(epochs=50, batch_size=16, lr=1e-3, min_lr=2e-4, warmup_epochs=5.0, save_epochs=50)
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", training=training)
    rates = [row["lr"] for row in run.metrics]
    assert rates == [training.learning_rate(float(epoch)) for epoch in range(50)]
    assert max(rates) == rates[5] == 1e-3
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(2e-4, rel=0.01)
    assert run.load_state()["optimizer"]["param_groups"][0]["lr"] == rates[-1]


def test_the_learning_rate_moves_with_every_step(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run")  # three steps an epoch; metrics hold the last one's rate
    rates = [row["lr"] for row in run.metrics]
    assert rates == [tiny.TRAINING.learning_rate(epoch + 2 / 3) for epoch in range(3)]


@pytest.mark.parametrize(("epochs", "said"), [(1, True), (2, False)])
def test_a_warm_up_that_would_never_end_is_shorter_and_named(
    epochs: int, said: bool, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = replace(tiny.TRAINING, epochs=epochs, warmup_epochs=1.0)
    for check in (True, False):
        tiny.tiny_pretrain(prepared, tmp_path / "run", training=training, check=check)
        assert ("0.05 epochs of warm-up instead of 1, as there are 1 epochs in all" in capsys.readouterr().err) is said


@methods
def test_biases_and_norms_have_no_weight_decay(name: str) -> None:
    method = tiny.tiny_method(name)
    names = {id(parameter): parameter_name for parameter_name, parameter in method.named_parameters()}
    decay = {}
    for group in tiny.TRAINING.optimizer(method).param_groups:
        decay |= {names[id(parameter)]: group["weight_decay"] for parameter in group["params"]}
    assert set(decay) == set(names.values())
    for parameter_name, value in decay.items():
        one_dimensional = parameter_name.endswith(".bias") or ".norm" in parameter_name
        assert value == (0.0 if one_dimensional else 0.05), parameter_name
    for embedded in ("encoder.time_embed", "encoder.joint_embed", "decoder.mask_token", "decoder.time_embed"):
        assert decay.get(embedded, 0.05) == 0.05  # not every decoder has a mask token


def test_weight_decay_pulls_on_weights(tiny_set: SkeletonSet, tmp_path: Path) -> None:
    moved = []
    for decay in (0.0, 10.0):
        method = tiny.tiny_method("mae")
        training = AdamWConfig(epochs=1, batch_size=16, warmup_epochs=0.0, lr=1e-3, weight_decay=decay)
        fit(method, batches_of(tiny_set, 16), Session(training, RunFolder(tmp_path), tiny.ALONE))
        moved.append(dict(method.named_parameters()))
    start = dict(tiny.tiny_method("mae").named_parameters())
    for parameter in ("encoder.patch_embed.weight", "decoder.mask_token"):
        torch.testing.assert_close(moved[1][parameter], moved[0][parameter] - 1e-2 * start[parameter])
    assert torch.equal(moved[1]["encoder.patch_embed.bias"], moved[0]["encoder.patch_embed.bias"])


def test_clipping_bounds_the_gradient(tiny_set: SkeletonSet, tmp_path: Path) -> None:
    method = tiny.tiny_method("mae")
    before = [weight.detach().clone() for weight in method.parameters()]
    training = SGDConfig(epochs=1, batch_size=16, lr=1.0, momentum=0.0, clip_grad=1e-3)
    fit(method, batches_of(tiny_set, 16), Session(training, RunFolder(tmp_path), tiny.ALONE))
    steps = [(old - new).flatten() for old, new in zip(before, method.parameters(), strict=True)]
    assert torch.cat(steps).norm().item() == pytest.approx(1e-3, rel=0.01)


@methods
def test_bfloat16_is_close(name: str, prepared: Path, tmp_path: Path) -> None:
    single = tiny.tiny_pretrain(prepared, tmp_path / "fp32", method=name)
    training = replace(tiny.TRAINING, precision="bf16")
    half = tiny.tiny_pretrain(prepared, tmp_path / "bf16", method=name, training=training)
    losses = [[row["loss"] for row in run.metrics] for run in (single, half)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert all(weight.dtype == torch.float32 for weight in half.load_state()["method"].values())


def test_too_few_clips_are_refused(tiny_set: SkeletonSet) -> None:
    with pytest.raises(InputError, match=r"16 clips, fewer than one batch of 17; use --training.batch-size 16 or less"):
        batches_of(tiny_set, 17)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"training": replace(tiny.TRAINING, epochs=2)}, r"training\.epochs"),
        ({"method": "mae"}, "(method|mae)"),
    ],
)
def test_other_options_cannot_resume(
    changes: dict[str, Any], named: str, pretrained: RunFolder, prepared: Path
) -> None:
    before = {file.name: file.read_bytes() for file in pretrained.path.iterdir()}
    with pytest.raises(InputError, match=f"was started with {named} .*resume with the same options"):
        tiny.tiny_pretrain(prepared, pretrained.path, resume=True, **changes)
    assert {file.name: file.read_bytes() for file in pretrained.path.iterdir()} == before


def test_nothing_to_resume_is_refused(prepared: Path, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="there is nothing to resume"):
            tiny.tiny_pretrain(prepared, out, resume=True)


def test_a_taken_folder_is_refused_and_left_alone(prepared: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.tex").write_text("all of it")
    with pytest.raises(InputError, match=r"taken exists and is not empty; choose another --out"):
        tiny.tiny_pretrain(prepared, taken)
    with pytest.raises(InputError, match="exists and is not empty"):
        tiny.tiny_pretrain(prepared, taken / "thesis.tex")
    assert [file.name for file in taken.iterdir()] == ["thesis.tex"]
    assert (taken / "thesis.tex").read_text() == "all of it"


def test_an_empty_folder_may_be_used(prepared: Path, tmp_path: Path) -> None:
    assert tiny.tiny_pretrain(prepared, tmp_path).result["kind"] == "pretrain"


def test_the_default_folder_is_the_next_free_one(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = [tiny.tiny_pretrain(prepared, None).path for _ in range(2)]
    assert found == [Path("runs/pretrain-001"), Path("runs/pretrain-002")]


def test_a_finished_run_says_what_it_was(pretrained: RunFolder, prepared: Path) -> None:
    result = pretrained.result
    data = SkeletonSet.open(prepared)
    assert sorted(file.name for file in pretrained.path.iterdir()) == [
        "config.yaml",
        "encoder.safetensors",
        "last.safetensors",
        "metrics.csv",
        "result.json",
    ]
    assert result["split"] == {
        "train": {"size": 16, "hash": data.split_hash("xsub", "train")},
        "test": {"size": 8, "hash": data.split_hash("xsub", "test")},
    }
    assert result["steps"] == 9
    assert result["loss"] == pretrained.metrics[-1]["loss"]
    method = load_method(pretrained)
    assert result["parameters"] == sum(weight.numel() for weight in method.parameters())
    ours = load_encoder(pretrained.path)
    for name, weight in method.encoder.state_dict().items():
        assert torch.equal(weight, ours.state_dict()[name])


class Hostile:
    """Unpickling runs a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def interrupted(prepared: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    with monkeypatch.context() as patched:
        take_then(patched, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Stopped):
            tiny.tiny_pretrain(prepared, out)
    return RunFolder(out)


@pytest.mark.parametrize("kind", ["random", "truncated", "empty", "pickle", "torch pickle", "foreign", "list"])
def test_a_damaged_or_hostile_state_is_refused_and_never_run(
    kind: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(prepared, tmp_path / "run", monkeypatch)
    file, mark = run.path / "last.safetensors", tmp_path / "mark"
    whole = file.read_bytes()
    if kind == "random":
        file.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "pickle":
        file.write_bytes(pickle.dumps(Hostile(mark)))
    elif kind == "torch pickle":
        torch.save({"format": "maskel state 1", "method": Hostile(mark)}, file)
    else:
        torch.save({"model": {}} if kind == "foreign" else [1, 2], file)
    with pytest.raises(InputError, match=r"last.safetensors: not a .*saved state.*start the run again"):
        tiny.tiny_pretrain(prepared, run.path, resume=True)
    assert not mark.exists()
    with pytest.raises(InputError, match=r"last.safetensors: not a"):
        run.load_state()


@pytest.mark.parametrize("content", [None, "", "[1, 2]", "a: [", "!!python/object/apply:os.system ['true']"])
def test_options_that_cannot_be_read_are_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(InputError, match=r"config.yaml: expected the options of a run"):
        RunFolder(tmp_path).read_config()


@pytest.mark.parametrize("content", [None, "loss\nmuch\n", "loss,lr\n1\n"])
def test_metrics_that_cannot_be_read_are_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(InputError, match=r"metrics.csv: expected a table of numbers"):
        _ = RunFolder(tmp_path).metrics


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_a_result_that_cannot_be_read_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError, match=r"result.json: expected the result of a finished run"):
        _ = RunFolder(tmp_path).result


def test_load_method_names_a_folder_that_is_no_pretraining_run(pretrained: RunFolder, tmp_path: Path) -> None:
    config = pretrained.read_config()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"method": "nonsense"}))
    with pytest.raises(InputError, match="expected a pre-training run"):
        load_method(RunFolder(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiling_changes_nothing_but_rounding(prepared: Path, tmp_path: Path) -> None:
    sizes = "--encoder.window 8 --encoder.dim 16 --encoder.depth 1 --encoder.num_heads 2".split()
    sizes += "--mae.decoder_dim 16 --mae.decoder_depth 1 --training.epochs 2 --training.batch_size 5".split()
    losses, names = [], []
    for compiled in ("false", "true"):
        out = str(tmp_path / compiled)
        # in a process of its own: the compiler cannot trace the shape checks of these tests
        command = [sys.executable, "-m", "maskel", "pretrain", "--method", "mae", "--data", str(prepared), "--out", out]
        subprocess.run([*command, *sizes, "--device", "cpu", "--training.compile", compiled], check=True)
        losses.append([row["loss"] for row in RunFolder(Path(out)).metrics])
        names.append(list(RunFolder(Path(out)).load_state()["method"]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert names[0] == names[1]
