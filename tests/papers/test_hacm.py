"""What HA-CM means, against loops and planted values; equality with its release is in `test_golden_hacm`."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import tiny
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.geometry import exp_map, log_map, poincare_distance
from maskel.layouts import KINECT20, NTU25, Layout
from maskel.losses import Reduction, cross_contrast
from maskel.masking.hierarchy_aware import CrossMasking, JointHierarchy, TemporalAttention, Uniform
from maskel.methods import HACM
from maskel.models.encoder import Encoder
from maskel.models.patches import to_patches
from maskel.targets import HyperbolicMotionTarget, MotionTarget

WINDOW = 24  # 6 patches in time


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def hacm(layout: Layout = NTU25, **options: object) -> HACM:
    torch.manual_seed(0)
    config = replace(tiny.encoder_for("hacm"), window=WINDOW)
    return HACM(Encoder(layout, config), **({"decoder_dim": 16, "decoder_depth": 1} | options))


def test_hierarchy_is_the_sum_of_distances_to_the_joints_of_its_time_and_to_the_root() -> None:
    tokens, roots = 2 * drawn(2, 3, 4, 8), drawn(2, 3, 5, 8, seed=1)
    found = JointHierarchy(root_weight=0.3)(tokens, roots)
    for body in range(2):
        for time in range(3):
            root = log_map(exp_map(roots[body, time]).mean(0, keepdim=True))
            for joint in range(4):
                own = tokens[body, time, joint][None]
                others = [poincare_distance(own, tokens[body, time, other][None]) for other in range(4)]
                expected = torch.stack(others).sum() + 0.3 * poincare_distance(own, root)[0, 0]
                torch.testing.assert_close(found[body, time, joint], expected)
    euclidean = JointHierarchy("euclidean", 0.0)(tokens, roots)
    torch.testing.assert_close(euclidean[0, 0, 0], (tokens[0, 0] - tokens[0, 0, 0]).norm(dim=1).sum())


@pytest.mark.parametrize("projections", ["frozen", "none"])
def test_attention_received_is_summed_over_the_times_that_attend(projections: str) -> None:
    criterion = TemporalAttention(8, projections=projections)
    tokens = drawn(2, 5, 3, 8)
    found = criterion(tokens, drawn(2, 5, 7, 8))
    for joint in range(3):
        own = tokens[1, :, joint]
        weights = (criterion.query_weight, criterion.key_weight)
        query, key = (own, own) if projections == "none" else (own @ weight.T for weight in weights)
        attention = (query @ key.T / 8**0.5).softmax(1)  # each time attends, and gives one in all
        torch.testing.assert_close(found[1, :, joint], attention.sum(0))
    torch.testing.assert_close(found.sum(1), torch.full((2, 3), 5.0))
    released = TemporalAttention(8, softmax="joint", scale="mul", projections="none")(tokens, tokens)
    attention = torch.stack([tokens[0, :, v] @ tokens[0, :, v].T * 8**0.5 for v in range(3)]).softmax(0)
    torch.testing.assert_close(released[0].T, attention.sum(1))


@pytest.mark.parametrize(("sign", "least", "most"), [("keep_high", 0.15, 0.25), ("keep_low", 0.0, 0.04)])
def test_one_huge_score_is_seen_at_its_own_place(sign: str, least: float, most: float) -> None:
    """Alignment of scores and tokens, and the sign: 5.3 allows at most e^1.11 between two tokens."""

    class Planted(Uniform):
        def __init__(self, time: int, joint: int) -> None:
            super().__init__()
            self.at = (time, joint)

        def forward(self, tokens: Tensor, roots: Tensor) -> Tensor:
            scores = 1e-3 * super().forward(tokens, roots)
            scores[:, self.at[0], self.at[1]] = 1
            return scores

    masking = CrossMasking(Planted(1, 2), Planted(0, 4), ratio=0.9, tau=0.9, sign=sign)
    count = 4000
    tokens, roots = torch.zeros(count, 6, 10, 4), torch.zeros(count, 6, 7, 4)
    mask = masking(tokens, roots, torch.rand(count, 60, generator=torch.Generator().manual_seed(0)))
    seen = 1 - mask.hidden.float().mean(0).view(6, 10)
    for time, joint in ((2, 2), (1, 4)):  # even patch 1 is time 2, odd patch 0 is time 1
        assert least < seen[time, joint] < most
        seen[time, joint] = 2 / 30  # what all others are near: 2 of each half of 30 stay visible
    torch.testing.assert_close(seen, torch.full_like(seen, 2 / 30), rtol=0, atol=0.015)


@pytest.mark.parametrize("masking", ["cross", "spatial", "temporal", "random"])
def test_a_mask_keeps_the_same_share_of_even_and_odd_times(masking: str) -> None:
    method = hacm(masking=masking)
    joints, draws = drawn(3, WINDOW, 25, 3), torch.rand(3, 6 * 18)
    mask = method.mask(joints, draws)
    assert method.kept == (5, 5)
    assert mask.keep.shape == (3, 10)
    assert ((mask.keep // 18) % 2).tolist() == [[0] * 5 + [1] * 5] * 3
    assert torch.equal(torch.cat((mask.keep, mask.masked), 1).sort(1).values, torch.arange(108).expand(3, -1))
    for body in range(3):
        assert torch.equal(method.mask(joints[body][None], draws[body][None]).hidden[0], mask.hidden[body])
    extreme = method.mask(torch.zeros(2, WINDOW, 25, 3), torch.tensor([[0.0], [1 - 2.0**-24]]).expand(2, 108))
    assert (~extreme.hidden).sum(1).tolist() == [10, 10]


def test_an_odd_number_of_patches_has_halves_of_its_own_size() -> None:
    config = replace(tiny.encoder_for("hacm"), window=20)  # 5 patches: 3 even ones, 2 odd ones
    method = HACM(Encoder(KINECT20, config), ratio=0.8, decoder_dim=16, decoder_depth=1)
    assert method.kept == (7, 5)
    batch = tiny.random_batch(KINECT20, window=20)
    assert method(batch, clip_keys(0, 0, batch.clips))["loss"].isfinite()


def test_a_tagged_token_comes_back_to_its_own_place() -> None:
    """What the release gets wrong (R4-R7): visible tokens, predictions and targets are of the tokens they name."""
    method = hacm()
    joints, draws = drawn(2, WINDOW, 25, 3), torch.rand(2, 108)
    result = method.reconstruct(joints, draws)
    patches = to_patches(joints[:, :, NTU25.group("kept")], 4).flatten(1, 2)
    every = exp_map(method.encoder.embed(method.encoder.patches(joints)))
    visible = method.encoder.transformer(every.gather(1, result.mask.keep[:, :, None].expand(-1, -1, 16)))
    torch.testing.assert_close(result.visible, visible)
    plain = MotionTarget()(joints[:, :, NTU25.group("kept")], 4, 1)
    assert patches.shape[1] == plain.shape[1] == 108
    torch.testing.assert_close(result.target, plain.gather(1, result.mask.masked[:, :, None].expand(-1, -1, 12)))
    grids = []
    (block,) = method.decoder.transformer.blocks  # the only one: it sees the whole grid as the context of masked tokens
    block.register_forward_pre_hook(lambda _, args, named: grids.append(named["context"].detach()), with_kwargs=True)
    method.decoder(result.visible, result.mask)
    positions = (method.decoder.time_embed + method.decoder.joint_embed).flatten(1, 2)
    tokens = grids[0] - positions
    torch.testing.assert_close(
        tokens.gather(1, result.mask.keep[:, :, None].expand(-1, -1, 16)), method.decoder.embed(result.visible)
    )
    mask_tokens = tokens.gather(1, result.mask.masked[:, :, None].expand(-1, -1, 16))
    torch.testing.assert_close(mask_tokens, method.decoder.mask_token.expand_as(mask_tokens))


def test_the_hyperbolic_target_is_nearly_the_motion() -> None:
    joints = 0.01 * drawn(2, 8, 18, 3)
    plain, mapped = MotionTarget()(joints, 4, 1), HyperbolicMotionTarget()(joints, 4, 1)
    difference = (plain - mapped).square().mean().sqrt()
    assert 0 < difference < 1e-2


def test_contrast_is_that_of_loops() -> None:
    even, odd = drawn(4, 8), drawn(4, 8, seed=1)
    whole = (even + odd) / 2

    def term(one: Tensor, other: Tensor) -> Tensor:
        similar = (one @ other.T).softmax(1)
        entries = [(similar[i, j] - float(i == j)) ** 2 for i in range(4) for j in range(4)]
        return torch.stack(entries).mean()

    two = term(odd, whole) + term(even, whole)
    torch.testing.assert_close(cross_contrast(even, odd, whole), two)
    torch.testing.assert_close(cross_contrast(even, odd, whole, inter=True), two + term(even, odd))
    torch.testing.assert_close(cross_contrast(even, odd, whole, reduction="row_sum"), 4 * two)


def test_bodies_that_look_alike_cost_what_a_uniform_guess_costs() -> None:
    same = torch.zeros(5, 8)
    assert cross_contrast(same, same, same).item() == pytest.approx(2 * 4 / 25)
    nothing = torch.zeros(0, 8)
    assert cross_contrast(nothing, nothing, nothing).item() == 0


@pytest.mark.parametrize("inter", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "row_sum"])
@pytest.mark.parametrize("counted", [[1, 3, 4], [2], [0, 1, 2, 3, 4], []])
def test_bodies_that_do_not_count_might_as_well_not_be_there(
    inter: bool, reduction: Reduction, counted: list[int]
) -> None:
    some = torch.tensor(counted, dtype=torch.int64)
    mask = torch.zeros(5, dtype=torch.bool).index_fill(0, some, True)
    halves = [100 * drawn(5, 8, seed=seed).requires_grad_() for seed in (0, 1)]
    for half in halves:
        half.retain_grad()
    masked = cross_contrast(*halves, sum(halves), inter, reduction, mask)  # type: ignore[arg-type]
    masked.backward()
    alone = [half.detach().index_select(0, some).requires_grad_() for half in halves]
    expected = cross_contrast(*alone, sum(alone), inter, reduction)  # type: ignore[arg-type]
    expected.backward()
    torch.testing.assert_close(masked, expected)
    for half, own in zip(halves, alone, strict=True):
        assert half.grad is not None
        assert own.grad is not None
        torch.testing.assert_close(half.grad.index_select(0, some), own.grad)
        assert not half.grad[~mask].any()


@pytest.mark.parametrize("bodies", ["all", "present"])
def test_absent_copied_and_empty_bodies_are_not_contrasted(bodies: str) -> None:
    batch = tiny.random_batch(NTU25, window=WINDOW)  # bodies (1, 2, 1, 2)
    keys = clip_keys(0, 0, batch.clips)
    method = hacm(bodies=bodies)
    seen = []
    method.contrast = lambda visible, rows: seen.append(rows) or visible.sum()  # type: ignore[method-assign]
    method(batch, keys)
    copies = batch.joints.clone()
    copies[0, 1], copies[1, 1] = copies[0, 0], 0  # a copy, and a body that the view has lost
    method(batch.with_joints(copies), keys)
    method.variant = replace(method.variant, cc_rows="all")
    method(batch, keys)
    expected = {
        "all": [[0, 2, 3, 4, 6, 7], [0, 2, 4, 6, 7], [*range(8)]],
        "present": [[*range(6)], [0, 1, 3, 4, 5], [*range(6)]],
    }
    assert [rows.nonzero().squeeze(1).tolist() for rows in seen] == expected[bodies]


def test_the_loss_weighs_contrast_and_reconstruction() -> None:
    batch = tiny.random_batch(NTU25, window=WINDOW)
    keys = clip_keys(0, 0, batch.clips)
    for alpha, of_contrast, of_reconstruction in ((0.5, 0.5, 0.5), (0.2, 0.2, 0.8), (0.0, 0.0, 1.0), (None, 1.0, 1.0)):
        method = hacm(cc_alpha=alpha)
        found = method(batch, keys)
        expected = of_contrast * found["contrast"] + of_reconstruction * found["reconstruction"]
        torch.testing.assert_close(found["loss"], expected)
        assert found["contrast"] > 0
        assert method.needs_whole_batch == (alpha != 0)


def test_projections_are_saved_never_trained_and_take_no_gradient() -> None:
    method = hacm()
    names = {name for name, _ in method.named_parameters()}
    assert not any("query" in name or "key" in name for name in names)
    assert {f"masking.even.{name}_{kind}" for name in ("query", "key") for kind in ("weight", "bias")} <= set(
        method.state_dict()
    )
    joints = drawn(2, WINDOW, 25, 3).requires_grad_()
    assert not any(part.requires_grad for part in method.embed(joints))
    assert set(hacm(attn_proj="none").state_dict()) == names


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ({"joints": "all"}, {}, "as --config hacm sets; found all, poincare and 1"),
        ({"geometry": "euclidean"}, {}, "found kept, euclidean and 1"),
        ({"patch_joints": 2}, {}, "found kept, poincare and 2"),
        ({"window": 4}, {}, "found 1 patches in time, expected 2 or more"),
        ({"window": 20}, {"token_order": "scrambled"}, "found 5 patches in time, expected an even number"),
        ({}, {"token_order": "scrambled", "ratio": 0.4}, "expected 0.5 or more with the scrambled token order"),
        ({}, {"cc_alpha": 1.0}, "found cc_alpha 1.0, expected null or a number from 0 to below 1"),
        ({}, {"root_weight": -1.0}, "found root_weight -1.0, expected 0 or more"),
        ({}, {"mask_tau": 0.0}, "found mask_tau 0.0, expected a number above 0"),
        ({}, {"ratio": 1.0}, "found ratio 1.0, expected a number between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_named(encoder: dict, options: dict, message: str) -> None:
    config = replace(tiny.encoder_for("hacm"), **encoder)
    with pytest.raises(InputError, match=message):
        HACM(Encoder(NTU25, config), **({"decoder_dim": 16, "decoder_depth": 1, "ratio": 0.8} | options))


def test_a_layout_without_the_groups_is_named() -> None:
    stick = Layout("stick", ("hip", "neck", "head"), (-1, 0, 1))
    with pytest.raises(InputError, match="layout stick has no group of joints called 'kept'; it has: none"):
        Encoder(stick, tiny.encoder_for("hacm"))
    method = HACM(Encoder(replace(stick, roots=("hip",)), tiny.encoder_for("hacm")), ratio=0.5, decoder_dim=16)
    assert method.encoder.joints == ("neck", "head")
