import re
from collections.abc import Callable
from pathlib import Path

import pytest

import tiny
from maskel.commands.knn import knn
from maskel.commands.linear import linear
from maskel.commands.pretrain import pretrain
from maskel.configuration import data_recipes
from maskel.datasets.stand_in import CLIPS, UNKNOWN, write_stand_in
from maskel.datasets.store import SkeletonSet
from maskel.layouts import KINECT20
from maskel.training.run import RunFolder

Run = Callable[..., tuple[int, str]]


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_pretraining(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_of(prepared.parent)
    found = pretrain(
        prepared, options=tiny.OPTIONS, encoder=tiny.ENCODER, training=tiny.TRAINING, device="cpu", check=True
    )
    method = tiny.tiny_method("mamp")
    assert found.parameters == found.trained == sum(weight.numel() for weight in method.parameters())
    assert (found.epochs, found.steps_per_epoch, found.steps) == (3, tiny.TRAIN // 5, 9)
    assert found.seconds_per_step > 0
    assert found.hours == pytest.approx(9 * found.seconds_per_step / 3600)
    assert re.match(r"\d+\.\d\d GiB at most in this process", found.memory)
    assert "wrote nothing" in str(found)
    assert files_of(prepared.parent) == before
    assert not files_of(tmp_path)


@pytest.mark.parametrize("cache_features", [True, False])
def test_linear_evaluation(
    cache_features: bool, pretrained: RunFolder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_of(pretrained.path)
    options = {"augment": not cache_features, "cache_features": cache_features, "training": tiny.PROBE}
    found = linear(pretrained.path, prepared, device="cpu", check=True, **options)
    assert found.trained == 3 * (tiny.ENCODER.dim + 1)
    assert found.parameters > found.trained
    assert found.steps == 4 * (tiny.TRAIN // 8)
    assert found.clips_read == tiny.TEST + tiny.TRAIN * cache_features
    assert found.seconds_per_clip > 0
    assert files_of(pretrained.path) == before
    assert not files_of(tmp_path)


def test_nearest_neighbours(
    pretrained: RunFolder, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = knn(pretrained.path, prepared, k=3, device="cpu", check=True)
    assert (found.steps, found.clips_read) == (0, tiny.TEST + tiny.TRAIN)
    assert "epoch" not in str(found)
    assert not files_of(tmp_path)


def test_a_stand_in_is_as_long_as_what_it_stands_for(tmp_path: Path) -> None:
    assert write_stand_in(tmp_path / "ntu", "ntu120", "xset")
    clips = SkeletonSet.open(tmp_path / "ntu")
    assert (len(clips), len(clips.classes)) == (CLIPS, 120)
    assert {name: (len(split.train), len(split.test)) for name, split in clips.benchmarks.items()} == {
        "xsub": (63_026, 50_919),
        "xset": (54_468, 59_477),
    }
    assert {1, 2} == set(clips.bodies.tolist())
    assert not write_stand_in(tmp_path / "ucla", "nw_ucla", "xsub")
    clips = SkeletonSet.open(tmp_path / "ucla")
    assert clips.layout == KINECT20
    assert len(clips.split("xsub", "train")) == UNKNOWN


DATA = list(data_recipes())
SHRINK = [
    *(
        "--encoder.window=24",
        "--encoder.dim=16",
        "--encoder.depth=1",
        "--encoder.num_heads=2",
        "--training.batch_size=1",
        "--device=cpu",
    ),
    *("--mamp.decoder_dim=16", "--mae.decoder_dim=16", "--hacm.decoder_dim=16"),
]


@pytest.mark.parametrize("method", ["mamp", "mae", "hacm", "hacm_released"])
@pytest.mark.parametrize("data", DATA)
def test_every_combination_of_recipes_trains(
    method: str, data: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = run("pretrain", "--config", method, "--config", data, "--check", *SHRINK)
    assert code == 0, text
    assert f"stand in for {data.replace('_x', ' x')}, " in text
    assert "wrote nothing" in text
    assert not files_of(tmp_path)


@pytest.mark.parametrize("protocol", ["finetune", "semi_1", "semi_10", "transfer", "scratch", "hacm_pku2_xsub"])
def test_every_protocol_trains(
    protocol: str, run: Run, pretrained: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = [] if protocol == "scratch" else ["--encoder", pretrained.path]
    sizes = (
        ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2"] if not start else []
    )
    shrunk = [*sizes, "--head_dim=4", "--training.batch_size=2", "--device=cpu"]
    code, text = run("finetune", "--config=ntu60_xsub", "--config", protocol, *start, "--check", *shrunk)
    assert code == 0, text
    labelled = {"semi_1": 400, "semi_10": 4009}.get(protocol, 40_091)
    assert f"{labelled // 2:,} an epoch, 100 epochs" in text
    assert "evaluation   1,648,700 clips to read" in text
    assert not files_of(tmp_path)


@pytest.mark.parametrize("recipes", [*((data,) for data in DATA), ("pku2_xsub", "hacm_pku2_xsub")])
def test_linear_evaluation_of_every_benchmark(recipes: tuple[str, ...], run: Run, pretrained: RunFolder) -> None:
    words = [word for name in recipes for word in ("--config", name)]
    code, text = run("linear", *words, "--encoder", pretrained.path, "--check", "--device=cpu")
    assert (code, "100 epochs" in text) == (0, True), text
    published = data_recipes()[recipes[0]].startswith("ntu") or recipes[0] == "nw_ucla_xview"
    assert ("to its published size" if published else "not published: steps and time are those of 1,024") in text


@pytest.mark.parametrize("name", ["pku1_mine.yaml", "folder_mine.yaml", "pku1_xsub"])
def test_a_recipe_of_ones_own_is_not_taken_for_a_shipped_one(
    name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("benchmark: xview\n")
    code, text = run("pretrain", "--config", name, "--check", *SHRINK)
    assert code == 0, text
    assert "stand in for ntu60 xview, repeated up to its published size" in text
    assert f"{37_646:,} an epoch" in text


def test_recipes_build_at_their_full_size(run: Run) -> None:
    code, text = run(
        "pretrain",
        "--config=mamp",
        "--config=ntu120_xsub",
        "--check",
        "--training.batch_size=1",
        "--mamp.bodies=present",
    )
    assert code == 0, text
    assert "parameters   10,368,524 (10,368,524 trained)" in text


def test_data_in_a_recipe_are_used(run: Run, prepared: Path, tmp_path: Path) -> None:
    tiny.tiny_pretrain(prepared, tmp_path / "run")
    code, text = run("pretrain", "--config", tmp_path / "run" / "config.yaml", "--check")
    assert code == 0, text
    assert "stand in" not in text
    assert "3 an epoch, 3 epochs: 9 in all" in text
