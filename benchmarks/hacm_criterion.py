"""What HA-CM's choice of tokens costs: its share of a training step, and against the release's way of computing it.

`python benchmarks/hacm_criterion.py` alternates a whole step at the published size (72 frames, 18 joints, 8 + 3 blocks)
with the mask as maskel draws it, and the spatial criterion in two ways: maskel's, and the release's, which builds the
differences of all pairs of tokens, (B, 12, 18, 18, 256), and keeps them for a gradient that nothing asks for. Before
timing, both must give the same scores.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from maskel import distributed
from maskel.draws import clip_keys
from maskel.geometry import exp_map
from maskel.layouts import NTU25
from maskel.masking.hierarchy_aware import JointHierarchy
from maskel.methods import HACM
from maskel.methods.base import build_seeded
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.sequence import SkeletonBatch


def clips(count: int) -> SkeletonBatch:
    """Clips of two bodies, random walks in metres."""
    generator = torch.Generator().manual_seed(0)
    joints = 0.02 * torch.randn(count, 2, 72, 25, 3, generator=generator).cumsum(2)
    joints += 0.3 * torch.randn(count, 2, 1, 25, 3, generator=generator)
    positions = torch.arange(count)
    present = torch.ones(count, 2, dtype=torch.bool)
    return SkeletonBatch(joints, torch.full((count,), 72), present, torch.zeros_like(positions), positions)


def released_scores(tokens: Tensor, roots: Tensor) -> Tensor:
    """The spatial criterion as the release computes it."""
    points = exp_map(tokens)
    centre = exp_map(roots).mean(2, keepdim=True)

    def distance(one: Tensor, other: Tensor) -> Tensor:
        apart = 2 * (one - other).norm(dim=-1)
        room = (1 - one.square().sum(-1)) * (1 - other.square().sum(-1))
        return torch.arccosh(1 + apart**2 / room)

    pairs = distance(points[:, :, :, None], points[:, :, None])
    root = 0.01 * distance(centre, points)
    return torch.cat((pairs, root[:, :, None]), 2).sum(2)


def main() -> None:
    """Alternate what is measured and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    distributed.start("cpu")
    config = EncoderConfig(window=72, patch_frames=3, joints="kept", geometry="poincare")
    method = build_seeded(lambda: HACM(Encoder(NTU25, config)), 0)
    optimizer = torch.optim.AdamW(method.parameters(), fused=True)
    batch = clips(options.clips)
    joints, draws = method.masked_inputs(batch, clip_keys(0, 0, batch.clips))
    tokens = method.encoder.embed(method.encoder.patches(joints)).unflatten(1, method.encoder.grid)[:, 1::2]
    roots = method.embed(joints)[1][:, 1::2]
    hierarchy = {name: JointHierarchy(name) for name in ("poincare", "factor4")}
    near = 3 / tokens.detach().norm(dim=-1).max()  # farther out the release's points fall on the boundary
    found, expected = hierarchy["factor4"](near * tokens, near * roots), released_scores(near * tokens, near * roots)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=0)

    def step() -> None:
        method(batch, clip_keys(0, 0, batch.clips))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    def spatial() -> None:
        with torch.no_grad():
            hierarchy["poincare"](tokens, roots)

    measured: dict[str, Callable[[], object]] = {
        "training step": step,
        "choice of tokens, all of it": lambda: method.mask(joints, draws),
        "spatial criterion": spatial,
        "spatial criterion, release's way": lambda: released_scores(tokens, roots),
    }
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(options.rounds + 1):
        for name, run in measured.items():
            started = time.perf_counter()
            run()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - started)
    whole = statistics.median(seconds["training step"])
    print(f"{options.clips} clips x 2 bodies, {torch.get_num_threads()} threads, median of {options.rounds}")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:34} {1000 * median:8.1f} ms {100 * median / whole:6.2f} % of a step")


if __name__ == "__main__":
    main()
