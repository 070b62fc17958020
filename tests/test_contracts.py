"""What holds for every registered method, masking, target and layout; what is added later is tested by being there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from maskel.draws import clip_keys
from maskel.errors import InputError
from maskel.layouts import LAYOUTS, NTU25, Layout, layout_named
from maskel.masking import Masking
from maskel.methods import METHODS
from maskel.methods.base import Method
from maskel.models.encoder import Encoder
from maskel.models.patches import to_patches
from maskel.targets import Target
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder


def concrete(base: type) -> list[type]:
    """All subclasses that can be made, ours only."""
    found = [*base.__subclasses__()]
    for kind in found:
        found.extend(sub for sub in kind.__subclasses__() if sub not in found)
    return [kind for kind in found if not kind.__abstractmethods__ and kind.__module__.startswith("maskel.")]


MASKINGS = concrete(Masking)
TARGETS = concrete(Target)
methods = pytest.mark.parametrize("name", METHODS)
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def test_there_is_something_to_test() -> None:
    assert {kind.__name__ for kind in MASKINGS} >= {"RandomMasking", "MotionAwareMasking"}
    assert {kind.__name__ for kind in TARGETS} >= {"JointTarget", "MotionTarget"}
    assert set(METHODS) >= {"amr", "hacm", "mae", "mamp"}


@pytest.mark.parametrize("kind", MASKINGS)
@settings(max_examples=25, deadline=None)
@given(
    bodies=st.integers(1, 3),
    grid=st.tuples(st.integers(1, 6), st.integers(2, 9)),
    ratio=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**16),
)
def test_a_mask_is_a_partition(
    kind: type[Masking], bodies: int, grid: tuple[int, int], ratio: float, seed: int
) -> None:
    masking = kind(ratio)
    count = grid[0] * grid[1]
    draws = torch.rand(bodies, count, generator=torch.Generator().manual_seed(seed))
    patches = torch.randn(bodies, *grid, 12, generator=torch.Generator().manual_seed(seed + 1))
    kept = int(count * (1 - ratio))
    if not 0 < kept < count:
        with pytest.raises(InputError, match=f"keeps {kept} of {count}"):
            masking(patches, draws)
        return
    mask = masking(patches, draws)
    assert mask.keep.shape == (bodies, kept)
    assert mask.masked.shape == (bodies, count - kept)
    assert torch.equal(torch.cat((mask.keep, mask.masked), 1).sort(1).values, torch.arange(count).expand(bodies, -1))
    assert mask.hidden.shape == (bodies, count)
    assert not mask.hidden.gather(1, mask.keep).any()
    assert mask.hidden.gather(1, mask.masked).all()
    again = masking(patches, draws)
    assert torch.equal(again.keep, mask.keep)
    assert torch.equal(again.masked, mask.masked)


@pytest.mark.parametrize("kind", MASKINGS)
def test_other_draws_give_another_mask(kind: type[Masking]) -> None:
    patches = torch.randn(1, 5, 20, 12)
    one, other = (kind(0.5)(patches, torch.rand(1, 100)).hidden for _ in range(2))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", MASKINGS)
def test_a_body_is_masked_by_itself(kind: type[Masking]) -> None:
    patches, draws = torch.randn(3, 5, 6, 12), torch.rand(3, 30)
    together = kind(0.7)(patches, draws).hidden
    for body in range(3):
        assert torch.equal(kind(0.7)(patches[body : body + 1], draws[body : body + 1]).hidden[0], together[body])


@pytest.mark.parametrize("kind", MASKINGS)
@pytest.mark.parametrize("extreme", [0.0, 1 - 2.0**-24])
def test_still_bodies_and_extreme_draws_are_masked(kind: type[Masking], extreme: float) -> None:
    mask = kind(0.5)(torch.zeros(2, 3, 4, 12), torch.full((2, 12), extreme))
    assert mask.hidden.sum(1).tolist() == [6, 6]


@pytest.mark.parametrize("kind", MASKINGS)
@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_an_impossible_ratio_is_refused(kind: type[Masking], ratio: float) -> None:
    with pytest.raises(InputError, match="expected a number between 0 and 1"):
        kind(ratio)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(("patch_frames", "patch_joints"), [(4, 1), (2, 5), (8, 1), (1, 25)])
def test_a_target_has_one_finite_row_per_token(kind: type[Target], patch_frames: int, patch_joints: int) -> None:
    joints = torch.randn(3, 8, 25, 3)
    for normalize in (True, False):
        target = kind(normalize=normalize)(joints, patch_frames, patch_joints)
        assert target.shape == (3, 8 // patch_frames * (25 // patch_joints), patch_frames * patch_joints * 3)
        assert target.isfinite().all()
    assert kind().signal(joints).shape == joints.shape
    plain = kind(normalize=False)(joints, patch_frames, patch_joints)
    assert torch.equal(plain, to_patches(kind().signal(joints), patch_frames, patch_joints).flatten(1, 2))


@pytest.mark.parametrize("kind", TARGETS)
def test_the_target_of_an_absent_body_is_zero(kind: type[Target]) -> None:
    assert not kind()(torch.zeros(1, 8, 25, 3), 4, 1).any()


@methods
@layouts
@pytest.mark.parametrize("bodies", ["all", "present"])
@pytest.mark.parametrize("stream", ["joint", "bone", "motion", "bone_motion"])
def test_every_parameter_gets_a_gradient(name: str, layout: Layout, bodies: str, stream: str) -> None:
    encoder = Encoder(layout, replace(tiny.encoder_for(name), stream=stream))
    method = METHODS[name](encoder, **tiny.OPTIONS, bodies=bodies)
    batch = tiny.random_batch(layout, window=encoder.config.window)
    result = method(batch, clip_keys(0, 0, batch.clips))
    assert result["loss"].isfinite()
    assert result["weight"].item() == (8 if bodies == "all" else 6)
    assert set(result) == {"loss", "weight", *method.logged}
    result["loss"].backward()
    for parameter_name, parameter in method.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@methods
def test_present_bodies_alone_are_trained_on(name: str) -> None:
    batch = tiny.random_batch(NTU25, window=tiny.encoder_for(name).window)
    changed = batch.joints.clone()
    changed[~batch.present] = 5.0
    other, keys = batch.with_joints(changed), clip_keys(0, 0, batch.clips)
    for bodies, same in (("present", True), ("all", False)):
        method = tiny.tiny_method(name, bodies=bodies)
        assert (method(batch, keys)["loss"] == method(other, keys)["loss"]).item() is same


@methods
def test_the_loss_of_a_clip_does_not_depend_on_its_batch(name: str) -> None:
    batch, method = tiny.random_batch(NTU25, window=tiny.encoder_for(name).window), tiny.tiny_method(name)
    keys = clip_keys(1, 2, batch.clips)
    entry = "reconstruction" if method.needs_whole_batch else "loss"  # a contrast does depend on the others
    whole = method(batch, keys)[entry]
    alone = []
    for clip in range(len(batch)):
        part = type(batch)(
            *(t[clip : clip + 1] for t in (batch.joints, batch.lengths, batch.present, batch.labels, batch.clips))
        )
        alone.append(method(part, keys[clip : clip + 1])[entry])
    torch.testing.assert_close(torch.stack(alone).mean(), whole)


@methods
def test_a_method_never_looks_at_labels(name: str) -> None:
    batch, method = tiny.random_batch(NTU25, window=tiny.encoder_for(name).window), tiny.tiny_method(name)
    keys = clip_keys(0, 0, batch.clips)
    assert torch.equal(method(batch, keys)["loss"], method(replace(batch, labels=batch.labels + 9), keys)["loss"])


@methods
def test_methods_share_the_contract(name: str) -> None:
    method = tiny.tiny_method(name)
    assert isinstance(method, Method)
    assert method.encoder.config == tiny.encoder_for(name)
    with pytest.raises(InputError, match=r"keeps 0 of (150|50|18)"):
        tiny.tiny_method(name, ratio=0.999)
    with pytest.raises(InputError, match="do not divide decoder_dim 15"):
        tiny.tiny_method(name, decoder_dim=15)


@layouts
def test_a_layout_is_one_tree_and_its_mirror_image_is_the_same_tree(layout: Layout) -> None:
    assert layout_named(layout.name) is layout
    assert layout.parents[layout.root] == -1
    assert len(layout.edges) == len(layout) - 1
    mirrored = list(range(len(layout)))
    for left, right in layout.mirror:
        assert layout.joints[left] == layout.joints[right].replace("right", "left") != layout.joints[right]
        mirrored[left], mirrored[right] = right, left
    for joint, parent in enumerate(layout.parents):
        assert layout.parents[mirrored[joint]] == (-1 if parent == -1 else mirrored[parent]), layout.joints[joint]
        assert layout.neighbours[mirrored[joint]] == mirrored[layout.neighbours[joint]], layout.joints[joint]
    sided = {joint for pair in layout.mirror for joint in pair}
    assert sided == {joint for joint, name in enumerate(layout.joints) if "left" in name or "right" in name}


@layouts
def test_every_joint_is_found_by_its_name(layout: Layout) -> None:
    assert [layout.index(joint) for joint in layout.joints] == list(range(len(layout)))
    with pytest.raises(KeyError, match="third_arm"):
        layout.index("third_arm")


@layouts
def test_bones_start_at_the_neighbour_and_the_root_has_none(layout: Layout) -> None:
    assert layout.neighbours[layout.root] == layout.root
    for joint, neighbour in enumerate(layout.neighbours):
        assert neighbour == layout.published_bones.get(joint, neighbour)
        assert joint == layout.root or neighbour != joint


@layouts
def test_kept_and_root_joints_are_all_joints(layout: Layout) -> None:
    kept, roots = layout.group("kept"), layout.group("roots")
    assert sorted(kept + roots) == list(range(len(layout)))
    with pytest.raises(InputError, match=f"layout {layout.name} has no group of joints called 'tails'; it has: kept"):
        layout.group("tails")


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(InputError, match=r"'ntu26'; did you mean ntu25\? known are .*kinect20, .*ntu25"):
        layout_named("ntu26")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": ("a", "b", "a")}, "repeat"),
        ({"parents": (-1, 0)}, "3 joints but 2 parents"),
        ({"parents": (-1, -1, 0)}, "exactly one root"),
        ({"parents": (1, 0, 0)}, "exactly one root"),
        ({"parents": (-1, 2, 1)}, "cycle"),
        ({"parents": (-1, 1, 0)}, "cycle"),
        ({"parents": (-1, 3, 0)}, "not one of the 3 joints"),
        ({"parents": (-1, -2, 0)}, "not one of the 3 joints"),
        ({"published_bones": {3: 0}}, "bone 3:0"),
        ({"published_bones": {0: -1}}, "bone 0:-1"),
        ({"joints": (), "parents": ()}, "exactly one root"),
        ({"roots": ("a", "d")}, "roots"),
        ({"roots": ("a", "a")}, "roots"),
        ({"roots": ("a", "b", "c")}, "roots"),
    ],
)
def test_a_malformed_layout_is_refused(changes: dict, message: str) -> None:
    good = {"name": "stick", "joints": ("a", "b", "c"), "parents": (-1, 0, 0)}
    assert len(Layout(**good)) == 3
    with pytest.raises(ValueError, match=message):
        Layout(**(good | changes))


def test_criteria_of_hacm_that_are_alike_are_saved_and_come_back(prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", method="hacm", options=tiny.OPTIONS | {"masking": "temporal"})
    weights = load_method(run).state_dict()
    assert torch.equal(weights["masking.even.query_weight"], weights["masking.odd.query_weight"])


@methods
def test_a_method_learns_from_the_command(name: str, prepared: Path, tmp_path: Path) -> None:
    run = tiny.tiny_pretrain(prepared, tmp_path / "run", method=name)
    assert isinstance(run, RunFolder)
    losses = [row["loss"] for row in run.metrics]
    assert len(losses) == tiny.TRAINING.epochs
    assert np.isfinite(losses).all()
