"""Pre-training on several sets at once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from maskel.commands.pretrain import pretrain
from maskel.conversion import conversion
from maskel.datasets.base import Split
from maskel.datasets.joined import JoinedSets
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.draws import clip_keys
from maskel.errors import InputError, Stopped
from maskel.layouts import COCO17, KINECT20, NTU25, Layout
from maskel.methods import METHODS
from maskel.methods.base import build_seeded
from maskel.models.encoder import Encoder
from maskel.models.loading import load_encoder
from maskel.sequence import SkeletonBatch, SkeletonPart
from maskel.training import graph
from maskel.training.loading import ClipBatches
from maskel.training.pretrained import names_of_pretraining
from maskel.training.run import RunFolder
from maskel.training.sets import PretrainingSets, SetBatches, clips_of_epoch, joints_seen
from maskel.transforms import TrainView

Run = Callable[..., tuple[int, str]]
Told = pytest.CaptureFixture[str]
CPU = torch.device("cpu")


def write(out: Path, layout: Layout, first: int, train: int, test: int = 2, channels: Any = ("x", "y", "z")) -> Path:
    """Clips numbered from ``first`` on; the last ones test."""
    with SetWriter(out, layout, tiny.CLASSES, "generated", {}, channels) as writer:
        for number in range(first, first + train + test):
            writer.add(tiny.generated_clip(number, layout, channels))
        whole = tuple(range(train + test))
        writer.finish({"xsub": Split(whole[:train], whole[train:]), "other": Split(whole[:4], whole[4:])})
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Fourteen training clips of Kinect v2, and six of Kinect v1, which lacks five joints."""
    path = tmp_path_factory.mktemp("sets")
    return write(path / "ntu25", NTU25, 0, 14), write(path / "kinect20", KINECT20, 20, 6)


def batches_of(paths: tuple[Path, ...], shares: str = "size", view: TrainView = TrainView()) -> SetBatches:
    made = PretrainingSets.open(paths, "xsub", None, shares).batches(5, 3, 8, view, "zero", CPU)  # type: ignore[arg-type]
    assert isinstance(made, SetBatches)
    return made


def test_an_epoch_is_one_pass_over_all_sets(folders: tuple[Path, Path]) -> None:
    batches = batches_of(folders)
    assert batches.steps_per_epoch == 4
    orders = []
    for epoch in (0, 1):
        clips = np.concatenate([batches.step_clips(epoch, step) for step in range(4)])
        assert sorted(clips.tolist()) == [*range(14), *range(16, 22)]
        orders.append(clips.tolist())
    assert orders[0] != orders[1]
    assert any(0 < sum(clip < 14 for clip in orders[0][start : start + 5]) < 5 for start in range(0, 20, 5))  # mixed


def test_a_clip_has_its_name_each_time_it_comes(folders: tuple[Path, Path]) -> None:
    batches = batches_of(folders, "equal")
    again = next(clips for step in range(4) if ((clips := batches.step_clips(0, step)) >= 24).any())
    assert batches.names(again) == [batches.dataset.clips[clip % 24].name for clip in again.tolist()]


def test_steps_whose_clips_lack_joints_are_not_recorded(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A recording would keep the rows of its first batch."""
    on_gpu = replace(tiny.ALONE, device=torch.device("cuda", 0))
    mamp = tiny.tiny_method("mamp")
    assert batches_of(folders).in_parts
    assert not batches_of((folders[0], write(tmp_path / "more", NTU25, 40, 6))).in_parts
    assert graph.records("on", mamp, on_gpu)
    assert not graph.records("auto", mamp, on_gpu, in_parts=True)
    with pytest.raises(InputError, match="the clips that have the same joints are others in every step"):
        graph.records("on", mamp, on_gpu, in_parts=True)


@pytest.mark.parametrize(("shares", "counts"), [("size", [14, 6]), ("sqrt", [12, 8]), ("equal", [10, 10])])
def test_shares(shares: str, counts: list[int], folders: tuple[Path, Path]) -> None:
    batches = batches_of(folders, shares)
    assert batches.counts == clips_of_epoch([14, 6], shares) == counts  # type: ignore[arg-type]
    chosen = []
    for epoch in range(6):
        clips = batches.epoch_clips(epoch)
        assert len(set(clips.tolist())) == 20
        places = Counter((clips % 24).tolist())
        first, second = ([places[at] for at in part] for part in (range(14), range(16, 22)))
        assert (sum(first), sum(second)) == tuple(counts)
        assert max(first) - min(first) <= 1
        assert max(second) - min(second) <= 1
        chosen.append(tuple(sorted(clips.tolist())))
        assert batches.epoch_clips(epoch).tolist() == clips.tolist()
    assert (len(set(chosen)) > 1) == (shares != "size")


def test_a_clip_that_comes_twice_is_seen_in_two_ways(folders: tuple[Path, Path]) -> None:
    batches = batches_of(folders, "equal")
    twice = np.array([16, 16 + 24])
    batch = batches.load(0, twice)
    assert batch.clips.tolist() == twice.tolist()
    assert not torch.equal(batch.joints[0], batch.joints[1])
    assert batches.load(0, twice[:1]).joints.equal(batch.joints[:1])
    assert len(set(clip_keys(0, 0, batch.clips).tolist())) == 2


def test_joints_are_those_of_each_set_by_name(folders: tuple[Path, Path]) -> None:
    data = JoinedSets(folders, "xsub")
    batches = batches_of(folders, view=TrainView(max_angle=0.0))
    clips = np.array([17, 3, 20])
    batch = batches.load(2, clips)
    one, other = (SkeletonSet.open(path) for path in folders)
    made = conversion(KINECT20, NTU25)
    assert data.there == (tuple(range(25)), made.copied)
    lacking = [NTU25.joints[joint] for joint in range(25) if joint not in made.copied]
    assert lacking == ["neck", "left_hand_tip", "left_thumb", "right_hand_tip", "right_thumb"]
    keys = clip_keys(3, 2, torch.from_numpy(clips))
    for row, (owner, place) in enumerate(((other, 1), (one, 3), (other, 4))):
        lengths = torch.tensor([owner.valid_frames[place]])
        frames = TrainView(max_angle=0.0).frames(lengths, keys[row : row + 1], 8)
        own = owner.gather(np.array([place]), 2, "zero", frames).joints[0]
        if owner is other:
            for joint in made.copied:
                assert torch.equal(batch.joints[row, :, :, joint], own[:, :, made.sources[joint][0]])
        else:
            assert torch.equal(batch.joints[row], own)
        assert batch.present[row].tolist() == [True, owner.bodies[place] == 2]
        assert batch.labels[row] == owner.labels[place]
    assert [(part.rows.tolist(), part.joints) for part in batch.parts] == [
        ([1], tuple(range(25))),
        ([0, 2], made.copied),
    ]


MASKED = [name for name in METHODS if METHODS[name].may_lack_joints]


def lacking_batch(count: int) -> tuple[SkeletonBatch, torch.Tensor]:
    batch = tiny.random_batch(NTU25, count)
    made = conversion(KINECT20, NTU25)
    return replace(batch, parts=(SkeletonPart(torch.arange(count), made.copied),)), clip_keys(0, 0, batch.clips)


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("stream", ["joint", "bone"])
def test_what_a_set_lacks_is_neither_seen_nor_predicted(name: str, stream: str) -> None:
    encoder = replace(tiny.encoder_for(name), stream=stream)
    method = build_seeded(lambda: METHODS[name](Encoder(NTU25, encoder), **tiny.OPTIONS), 0)
    batch, keys = lacking_batch(12)
    lacking = [joint for joint in range(25) if joint not in batch.parts[0].joints]
    loss = method(batch, keys)["loss"]
    changed = batch.joints.clone()
    changed[:, :, :, lacking] = 1e3 * torch.randn(changed[:, :, :, lacking].shape)
    other = method(replace(batch, joints=changed), keys)["loss"]
    assert torch.equal(loss, other)
    assert not torch.equal(loss, method(replace(batch, parts=()), keys)["loss"])
    gradients = torch.autograd.grad(loss, method.encoder.joint_embed)[0][0, 0]
    columns = method.encoder.columns(batch.parts[0].joints)
    assert not gradients[[place for place in range(25) if place not in columns]].any()
    assert gradients[list(columns)].any(1).all()


@pytest.mark.parametrize("name", MASKED)
def test_the_loss_of_a_mixed_batch_is_the_mean_over_its_clips(name: str) -> None:
    method = tiny.tiny_method(name)
    batch, keys = lacking_batch(5)
    whole = tuple(range(25))
    first, second = torch.tensor([0, 3]), torch.tensor([1, 2, 4])
    parts = tuple(replace(batch.parts[0], rows=rows, joints=there) for rows, there in
                  ((first, whole), (second, batch.parts[0].joints)))  # fmt: skip
    mixed = method(replace(batch, parts=parts), keys)
    every = replace(batch, parts=())
    alone = method(every.take(first), keys[first])["loss"]
    lacks = every.take(second)
    other = method(replace(lacks, parts=(replace(parts[1], rows=torch.arange(3)),)), keys[second])["loss"]
    assert mixed["loss"].item() == pytest.approx((2 * alone + 3 * other).item() / 5, rel=1e-5)
    assert mixed["weight"].item() == 10  # two bodies each
    same = method(replace(batch, parts=(replace(batch.parts[0], joints=whole),)), keys)["loss"]
    assert same.item() == pytest.approx(method(every, keys)["loss"].item(), rel=1e-6)


def test_mirrored_clips_show_both_joints_of_a_pair_or_none() -> None:
    hand, other = NTU25.index("left_hand"), NTU25.index("right_hand")
    there = tuple(joint for joint in range(25) if joint != hand)
    assert set(range(25)) - set(joints_seen(NTU25, there, TrainView(mirror=True))) == {hand, other}
    assert joints_seen(NTU25, there, TrainView()) == there


def train(paths: Any, out: Path, **changes: Any) -> RunFolder:
    return tiny.tiny_pretrain(paths, out, **({"training": replace(tiny.TRAINING, epochs=2)} | changes))


def test_a_run_learns_from_all_resumes_and_says_what_it_saw(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    run = train(list(folders), tmp_path / "run", shares="sqrt")
    assert (
        "lacks 5 of 25 joints of ntu25, which are masked in its clips: neck, left_hand_tip" in capsys.readouterr().err
    )
    with monkeypatch.context() as patched:
        tiny.as_steps_begin(patched, lambda step: tiny.ctrl_c_if(step == 3))
        with pytest.raises(Stopped):
            train(list(folders), tmp_path / "stopped", shares="sqrt")
    again = train(list(folders), tmp_path / "stopped", shares="sqrt", resume=True)
    tiny.assert_identical(tiny.state_of(again), tiny.state_of(run))
    micro = replace(tiny.TRAINING, epochs=2, accumulate=2)
    parts = train(list(folders), tmp_path / "micro", shares="sqrt", training=micro)
    for name, value in load_encoder(parts.path).state_dict().items():
        torch.testing.assert_close(value, load_encoder(run.path).state_dict()[name], rtol=1e-3, atol=1e-4)
    result, sets = run.result, [SkeletonSet.open(path) for path in folders]
    assert result["clips"]["labelled"] == 20
    assert [one["clips"]["labelled"] for one in result["sets"]] == [14, 6]
    assert [one["data"]["layout"] for one in result["sets"]] == ["ntu25", "kinect20"]
    assert (result["split"]["train"]["size"], result["split"]["test"]["size"]) == (20, 4)
    assert run.read_config()["data"] == [str(path) for path in folders]
    names = {one.clips[at].name for one in sets for at in one.split("xsub", "train").tolist()}
    assert names_of_pretraining(run.path, sets[0]) == names
    other = train(list(folders), tmp_path / "size")
    assert not torch.equal(load_encoder(other.path).joint_embed, load_encoder(run.path).joint_embed)


def test_one_set_is_as_before(folders: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    one, listed = train(folders[0], tmp_path / "one"), train([folders[0]], tmp_path / "listed")
    tiny.assert_identical(tiny.state_of(one), tiny.state_of(listed))
    assert "shares" not in one.read_config()
    assert "sets" not in one.result
    joined = SetBatches(JoinedSets([folders[0]], "xsub"), [np.arange(14)], "size", 5, 0, 8, TrainView(), "zero", CPU)
    alone = ClipBatches(SkeletonSet.open(folders[0]), np.arange(14), 5, 0, 8, TrainView(), "zero", CPU)
    for step in range(2):
        clips = joined.step_clips(1, step)
        assert clips.tolist() == alone.step_clips(1, step).tolist()
        assert torch.equal(joined.load(1, clips).joints, alone.load(1, clips).joints)
        assert joined.load(1, clips).parts == ()


def test_the_command_line_and_what_follows(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    small = ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"]
    small += ["--mamp.decoder_dim=16", "--mamp.decoder_depth=1", "--training.epochs=1", "--training.batch_size=5"]
    out, both = tmp_path / "run", ["--data", *folders]
    code, text = run("pretrain", *both, *small, "--out", out)
    assert code == 0, text
    assert run("pretrain", "--config", out / "config.yaml", "--out", tmp_path / "again")[0] == 0
    tiny.assert_identical(tiny.state_of(RunFolder(out)), tiny.state_of(RunFolder(tmp_path / "again")))
    for number, folder in enumerate(folders):
        code, text = run("knn", "--encoder", out, "--data", folder, "--device=cpu", "--out", tmp_path / f"knn{number}")
        assert code == 0, text
    assert RunFolder(tmp_path / "knn1").result["adapted"].startswith("joint embeddings mapped from ntu25")
    code, text = run("results", out, tmp_path / "knn0")
    assert code == 0, text
    assert run("report", out, tmp_path / "knn0", "--clips=1", "--out", tmp_path / "page.html")[0] == 0
    assert "Not shown" not in (tmp_path / "page.html").read_text().split("Masked clips")[1]
    assert run("pretrain", *both, *small, "--check", "--out", tmp_path / "no")[0] == 0
    assert run("pretrain", *both, *small, "--seeds=2", "--out", tmp_path / "seeds")[0] == 0
    assert run("pretrain", *both, *small, "--resume", out)[0] == 0
    code, text = run("pretrain", *both, *small, "--benchmark=folds", "--out", tmp_path / "no")
    assert code == 2
    assert "benchmark folds: takes one set;" in text


def test_a_layout_that_all_have_suits_every_method(folders: tuple[Path, Path], tmp_path: Path, capsys: Told) -> None:
    with pytest.raises(InputError, match=r"lacks neck, left_hand_tip, .* of layout ntu25, and hacm needs all joints"):
        train(list(folders), tmp_path / "no", method="hacm")
    assert not (tmp_path / "no").exists()
    run = train(list(folders), tmp_path / "run", method="hacm", to_layout="kinect20")
    assert "masked in its clips" not in capsys.readouterr().err
    assert load_encoder(run.path).layout == KINECT20
    alone = train(folders[0], tmp_path / "alone", to_layout="kinect20")
    assert load_encoder(alone.path).layout == KINECT20


def test_benchmarks_of_each_and_tests_of_others(folders: tuple[Path, Path], tmp_path: Path, capsys: Told) -> None:
    named = PretrainingSets.open(folders, "xsub,other")
    assert [len(part) for part in named.parts] == [14, 4]
    assert named.describe()["benchmark"] == "xsub,other"
    again = write(tmp_path / "again", NTU25, 0, 16, 0)  # the training clips and, here to train on, the test clips
    both = PretrainingSets.open((folders[0], again), "xsub")
    assert [len(part) for part in both.parts] == [14, 14]
    assert f"2 training clips of {again} test in another of the sets, and are left out" in capsys.readouterr().err


def test_sets_that_do_not_fit_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    flat = write(tmp_path / "flat", COCO17, 0, 6, channels=("x", "y"))
    for paths, changes, message in (
        ((folders[0], flat), {}, "has channels x, y, z, but .*flat has x, y; sets with different channels"),
        ((folders[0], folders[0]), {}, "twice; name each set once"),
        (folders, {"benchmark": "xsub,xsub,xsub"}, "found 3 names for 2 sets"),
        (folders, {"benchmark": "xview"}, "has no benchmark called 'xview'"),
        (folders, {"to_layout": "ntu"}, "ntu"),
        (folders[0], {"shares": "equal"}, "shares: found equal for one set"),
    ):
        with pytest.raises(InputError, match=message):
            pretrain(list(paths) if isinstance(paths, tuple) else paths, out=tmp_path / "no", device="cpu", **changes)
    assert not (tmp_path / "no").exists()
