"""AMR against naive loops, and what its options change."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from maskel.cli import main
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.layouts import NTU25
from maskel.losses import energy_weights
from maskel.methods import AMR
from maskel.methods.base import build_seeded
from maskel.methods.released import save_release
from maskel.models.encoder import Encoder
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder

WINDOW = 24


def amr(window: int = WINDOW, **options: Any) -> AMR:
    encoder = Encoder(NTU25, replace(tiny.ENCODER, window=window))
    return build_seeded(lambda: AMR(encoder, **(tiny.OPTIONS | options)), 0)


def naive_weights(body: Tensor, windows: tuple[int, ...], k: float) -> Tensor:
    """(T, V), one joint and one window at a time."""
    weights = torch.zeros(body.shape[:2])
    for length in windows:
        starts = range(0, len(body), length)
        energy = {(start, joint): 0.0 for start in starts for joint in range(body.shape[1])}
        for start, joint in energy:
            span = body[start : start + length, joint]
            energy[start, joint] = ((span - span.mean(0)) ** 2).mean().item()
        mean = sum(energy.values()) / len(energy)
        for (start, joint), value in energy.items():
            weights[start : start + length, joint] += 1 / (1 + k * mean / (value + 1e-8)) / len(windows)
    return weights


@pytest.mark.parametrize(("windows", "k"), [((4, 8, 12), 0.01), ((6,), 1.0)])
def test_the_energy_weights_equal_a_naive_loop(windows: tuple[int, ...], k: float) -> None:
    bodies = torch.randn(3, 24, 5, 3).cumsum(1)
    bodies[2] = 0.0  # an absent body
    found = energy_weights(bodies, windows, k)
    for body, weights in zip(bodies, found, strict=True):
        torch.testing.assert_close(weights, naive_weights(body, windows, k))
    assert (found[2] == 1).all()
    assert found.min() > 0


def naive_standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / (values.var() + 1e-6).sqrt()


@pytest.mark.parametrize("target", ["joints", "motion", "both"])
@pytest.mark.parametrize("standardise", ["query", "joint", "clip"])
def test_the_loss_equals_a_naive_loop(target: str, standardise: str) -> None:
    method = amr(target=target, standardise=standardise, query_frames=8, energy=0.5, energy_windows=(4, 12))
    batch = tiny.random_batch(NTU25, clips=2, window=WINDOW)
    keys = clip_keys(0, 0, batch.clips)
    joints, draws = method.masked_inputs(batch, keys)
    mask = method.mask(joints, draws)
    out = method.decoder(method.encoder(joints, mask.keep), mask.keep)
    total, count = 0.0, 0
    for row, body in enumerate(joints):
        weights = naive_weights(body, (4, 12), 0.5)
        motion = torch.zeros_like(body)
        motion[:-1] = body[1:] - body[:-1]
        signals = {"joints": [body], "motion": [motion], "both": [body, motion]}[target]
        for place, signal in enumerate(signals):
            if standardise == "clip":
                signal = naive_standard(signal)
            for joint in range(25):
                one = naive_standard(signal[:, joint]) if standardise == "joint" else signal[:, joint]
                for span in range(3):
                    frames = slice(8 * span, 8 * span + 8)
                    wanted = naive_standard(one[frames]) if standardise == "query" else one[frames]
                    said = out[row, span * 25 + joint].view(len(signals), 8, 3)[place]
                    total += ((said - wanted) ** 2 * weights[frames, joint, None]).sum().item()
                    count += wanted.numel()
    assert method(batch, keys)["loss"].item() == pytest.approx(total / count, rel=1e-4)


def test_an_energy_of_zero_weighs_everything_alike() -> None:
    batch = tiny.random_batch(NTU25, window=WINDOW)
    keys = clip_keys(0, 0, batch.clips)
    plain, weighted = (amr(energy=energy)(batch, keys)["loss"] for energy in (0.0, 1.0))
    assert weighted < plain


def test_what_is_drawn_is_the_query_in_the_units_of_the_joints() -> None:
    """A decoder that answers with the truth is drawn on the truth."""
    method = amr(query_frames=12)
    joints = tiny.random_batch(NTU25, window=WINDOW).joints.flatten(0, 1)
    truth = method._targets(joints)  # (R, Q, F, S, V, C)
    answers = truth.permute(0, 1, 4, 3, 2, 5).flatten(3).flatten(1, 2)

    class Knowing(torch.nn.Module):
        def forward(self, visible: Tensor, keep: Tensor) -> Tensor:
            return answers

    method.decoder = Knowing()  # type: ignore[assignment]
    result = method.reconstruct(joints, torch.rand(len(joints), method.encoder.num_tokens))
    torch.testing.assert_close(result.predicted, result.target, atol=1e-5, rtol=1e-5)
    assert result.target.abs().max() > 1


@pytest.mark.parametrize(
    ("window", "spans", "energies"), [(120, 24, (4, 8, 12)), (60, 12, (4, 12)), (8, 8, (4, 8)), (14, 2, (14,))]
)
def test_spans_and_windows_fit_the_encoders_window(window: int, spans: int, energies: tuple[int, ...]) -> None:
    method = AMR(Encoder(NTU25, replace(tiny.ENCODER, window=window, patch_frames=2)), decoder_dim=16)
    assert (method.query_frames, method.energy_windows) == (spans, energies)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_frames": 7}, "found query_frames 7, expected a number that divides the window of 24"),
        ({"query_frames": 0}, "found query_frames 0"),
        ({"energy_windows": (4, 9)}, "found energy_windows 9, expected a number that divides the window of 24"),
        ({"energy_windows": ()}, "no energy_windows"),
        ({"energy_windows": (1,)}, "a span of one frame"),
        ({"energy": -0.1}, "found energy -0.1, expected 0 or more"),
        ({"energy": float("nan")}, "found energy nan"),
        ({"decoder_depth": 0}, "expected 1 to"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        amr(**options)


def test_a_run_with_windows_of_its_own_resumes(tmp_path: Path) -> None:
    """A list on the command line and in YAML is a tuple to the method."""
    data, run = tiny.write_set(tmp_path / "set", train=4, test=2), tmp_path / "run"
    sizes = ["--encoder.window", "24", "--encoder.dim", "16", "--encoder.depth", "1", "--encoder.num_heads", "2"]
    sizes += ["--training.batch_size", "2", "--training.epochs", "1", "--training.warmup_epochs", "0"]
    words = ["--method", "amr", "--amr.energy_windows", "[4, 8]", "--amr.decoder_dim", "16", "--device", "cpu"]
    assert main(["pretrain", "--data", str(data), "--out", str(run), *sizes, *words]) == 0
    assert main(["pretrain", "--resume", str(run)]) == 0
    method = load_method(RunFolder(run))
    assert isinstance(method, AMR)
    assert method.energy_windows == (4, 8)


def test_a_release_of_it_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no public code"):
        save_release(amr(), tmp_path / "a.pth")


def test_the_encoder_reads_bodies_in_2d_with_scores() -> None:
    method = AMR(Encoder(NTU25, replace(tiny.ENCODER, window=WINDOW), ("x", "y", "score")), decoder_dim=16)
    batch = tiny.random_batch(NTU25, window=WINDOW)
    assert method(batch, clip_keys(0, 0, batch.clips))["loss"].isfinite()
