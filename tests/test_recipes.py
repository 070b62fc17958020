"""Merged recipes give the published settings of MAMP (arXiv 2308.07092), MAE and HA-CM (arXiv 2409.17951)."""

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from maskel.cli import COMMANDS
from maskel.configuration import RECIPES, shipped_recipes
from maskel.protocols import STAGES
from maskel.published import BENCHMARKS, PUBLISHED, published

Run = Callable[..., tuple[int, str]]

SPLIT = {name: name.rpartition("_")[2] for name in BENCHMARKS}
COPIED = ("ntu120_xsub", "ntu120_xset")
"""Where a clip's only body stands in the second slot as well."""
OFF = {"mirror": False, "speed": 0.0, "joint_dropout": 0.0, "noise": 0.0}
VIEW = {"p_min": 0.5, "p_max": 1.0, "min_frames": 64, "max_angle": 0.3} | OFF
PLAIN = {"accumulate": 1, "clip_grad": 0.0, "precision": "fp32", "compile": False, "save_epochs": 1}
PLAIN |= {"save_steps": 0, "deterministic": False, "graph": "off"}
PRETRAINING = {"lr": 1e-3, "min_lr": 5e-4, "warmup_epochs": 20.0, "weight_decay": 0.05, "beta1": 0.9, "beta2": 0.95}
BLOCKS = {"stream": "joint", "patch_joints": 1, "dim": 256, "depth": 8, "num_heads": 8, "mlp_ratio": 4.0}
MAMP_ENCODER = {"window": 120, "patch_frames": 4, "joints": "all", "geometry": "euclidean", **BLOCKS}
HACM_ENCODER = {"window": 72, "patch_frames": 3, "joints": "kept", "geometry": "poincare", **BLOCKS}
DECODER_BLOCKS = dict.fromkeys(BENCHMARKS, 5) | {"ntu60_xsub": 3, "ntu60_xview": 3}
TAU = dict.fromkeys(BENCHMARKS, 0.8) | {"ntu120_xsub": 0.75, "ntu120_xset": 0.75}
LINEAR_BATCH = dict.fromkeys(BENCHMARKS, 256) | {"pku1_xsub": 128, "pku2_xsub": 32}
LINEAR_RATE = dict.fromkeys(BENCHMARKS, 0.1) | {"pku2_xsub": 0.01}


@pytest.fixture
def merged(run: Run, seen: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """What a command is called with after merging recipes."""

    def call(command: str, *recipes: str, **needed: str) -> dict[str, Any]:
        options = [f"--{name}={value}" for name, value in {"data": "x", **needed}.items()]
        code, text = run(command, *(f"--config={name}" for name in recipes), *options)
        assert code == 0, text
        return seen

    return call


@pytest.mark.parametrize("data", BENCHMARKS)
@pytest.mark.parametrize("method", ["mamp", "mae", "hacm"])
def test_pretraining(method: str, data: str, merged: Callable[..., dict[str, Any]]) -> None:
    found = merged("pretrain", method, data)
    hacm = method == "hacm"
    assert found["method"] == method
    assert found["benchmark"] == SPLIT[data]
    assert found["single_body"] == ("copy" if data in COPIED else "zero")
    assert asdict(found["encoder"]) == (HACM_ENCODER if hacm else MAMP_ENCODER)
    assert asdict(found["view"]) == VIEW
    assert asdict(found["training"]) == {"epochs": 400, "batch_size": 64 if hacm else 128} | PRETRAINING | PLAIN
    expected: dict[str, Any] = {"ratio": 0.9, "normalize_target": True, "decoder_dim": 256, "bodies": "all"}
    expected |= {"decoder": "full", "decoder_depth": 3 if hacm else DECODER_BLOCKS[data]}
    if method == "mamp":
        expected |= {"tau": TAU[data], "motion_stride": 1}
    if hacm:
        expected |= {"mask_tau": 0.9, "distance": "poincare", "root_weight": 0.01, "temporal_softmax": "time"}
        expected |= {
            "attn_scale": "div",
            "attn_proj": "frozen",
            "criterion_sign": "keep_high",
            "token_order": "natural",
        }
        expected |= {"target": "motion", "cc_alpha": 0.5, "cc_inter": False, "cc_rows": "valid"}
        expected |= {"cc_reduction": "mean", "masking": "cross"}
    assert found["options"] == expected


@pytest.mark.parametrize("data", BENCHMARKS)
def test_linear_evaluation(data: str, merged: Callable[..., dict[str, Any]]) -> None:
    found = merged("linear", data, encoder="e")
    assert (found["benchmark"], found["augment"], found["labels"]) == (SPLIT[data], True, 1.0)
    assert found["single_body"] == ("copy" if data in COPIED else "zero")
    assert asdict(found["view"]) == VIEW
    assert asdict(found["training"]) == {
        **{"epochs": 100, "batch_size": LINEAR_BATCH[data], "lr": LINEAR_RATE[data], "min_lr": 0.0},
        **{"warmup_epochs": 0.0, "weight_decay": 0.0, "momentum": 0.9},
        **PLAIN,
    }


@pytest.mark.parametrize("data", BENCHMARKS)
@pytest.mark.parametrize(
    ("protocol", "labels", "layer_decay"),
    [
        ("finetune", 1.0, 0.8),
        ("semi_1", 0.01, None),
        ("semi_10", 0.1, None),
        ("transfer", 1.0, 0.8),
        ("scratch", 1.0, 1.0),
    ],
)
def test_fine_tuning(
    protocol: str, labels: float, layer_decay: float | None, data: str, merged: Callable[..., dict[str, Any]]
) -> None:
    scratch = protocol == "scratch"
    found = merged("finetune", data, protocol, **({} if scratch else {"encoder": "e"}))
    assert (found["benchmark"], found["labels"]) == (SPLIT[data], labels)
    assert found["single_body"] == ("copy" if data in COPIED else "zero")
    assert (found["head_dim"], found["dropout"], found["bodies"]) == (2048, 0.3, "all")
    assert (found["drop_path"], found["label_smoothing"]) == (0.3, 0.1)
    assert asdict(found["training"]) == {
        **{"epochs": 100, "batch_size": 48, "lr": 3e-4, "min_lr": 1e-5, "warmup_epochs": 5.0, "weight_decay": 0.05},
        **{"beta1": 0.9, "beta2": 0.999, "layer_decay": layer_decay},  # None: 0.8 with an encoder to start from
        **PLAIN,
    }
    assert asdict(found["encoder"]) == MAMP_ENCODER if scratch else found["encoder"] == Path("e")


@pytest.mark.parametrize("method", ["mamp", "mae", "hacm", "amr", "masked"])
def test_fast_changes_precision_and_bodies_and_nothing_else(method: str, merged: Callable[..., dict[str, Any]]) -> None:
    def flat(command: str, *recipes: str, **needed: str) -> dict[str, Any]:
        found = dict(merged(command, *recipes, **needed))
        options = found.pop("options", {})
        found |= {f"training.{name}": value for name, value in asdict(found.pop("training")).items()}
        return found | {f"options.{name}": value for name, value in options.items()}

    calls: list[tuple[str, tuple[str, ...], dict[str, str]]] = [("pretrain", (method, "ntu60_xsub"), {})]
    calls.append(("finetune", ("ntu60_xsub", "finetune"), {"encoder": "e"}))
    calls.append(("linear", ("ntu60_xsub",), {"encoder": "e"}))
    changes = []
    for command, recipes, needed in calls:
        before, after = flat(command, *recipes, **needed), flat(command, *recipes, "fast", **needed)
        assert before.keys() == after.keys()
        changes.append({name: after[name] for name in after if after[name] != before[name]})
    bf16 = {"training.precision": "bf16"}
    assert changes == [bf16 | {"options.bodies": "present"}, bf16 | {"bodies": "present"}, bf16]


def test_hacm_on_pku2_has_batches_of_its_own(merged: Callable[..., dict[str, Any]]) -> None:
    assert merged("linear", "pku2_xsub", "hacm_pku2_xsub", encoder="e")["training"].batch_size == 128
    assert merged("linear", "pku2_xsub", "hacm_pku2_xsub", encoder="e")["training"].lr == 0.01
    assert merged("finetune", "pku2_xsub", "finetune", "hacm_pku2_xsub", encoder="e")["training"].batch_size == 8


def test_hacm_from_scratch_is_of_its_sizes(merged: Callable[..., dict[str, Any]]) -> None:
    assert asdict(merged("finetune", "hacm", "ntu60_xsub", "scratch")["encoder"]) == HACM_ENCODER


def test_hacm_as_released_on_ntu60(merged: Callable[..., dict[str, Any]]) -> None:
    found = merged("pretrain", "hacm_released", "ntu60_xsub")
    assert asdict(found["training"]) == {"epochs": 500, "batch_size": 64} | PRETRAINING | PLAIN
    assert (found["options"]["distance"], found["options"]["token_order"]) == ("factor4", "scrambled")


@pytest.mark.parametrize(
    ("method", "data", "protocol", "expected"),
    [
        ("mamp", "ntu60_xsub", "linear", "84.9"),
        ("mamp", "pku2_xsub", "linear", "53.8"),
        ("mamp", "ntu120_xset", "finetune", "91.5"),
        ("mamp", "ntu60_xview", "semi_1", "68.7"),
        ("mamp", "ntu60_xsub", "semi_10", "88.0"),
        ("mamp", "ntu120_xsub", "semi_1", "none published"),
        ("mae", "pku1_xsub", "linear", "82.8"),
        ("mae", "ntu60_xsub", "finetune", "none published"),
        ("hacm", "pku2_xsub", "linear", "50.9"),
        ("hacm", "pku1_xsub", "linear", "none published"),
        ("mamp", "nw_ucla_xsub", "linear", "none published"),
    ],
)
def test_published_accuracies(method: str, data: str, protocol: str, expected: str) -> None:
    assert published(method, data, protocol) == expected


def test_published_accuracies_are_of_recipes_that_exist() -> None:
    shipped = {file.stem for file in RECIPES.rglob("*.yaml")}
    for method, data, protocol in PUBLISHED:
        assert {method, data} <= shipped
        assert protocol in STAGES
        assert protocol in {*shipped, "linear"}


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_says_what_was_published_and_its_command(name: str) -> None:
    """The numbers in its heading are those of the table: of the benchmark, the method or the protocol it is for."""
    heading = " ".join(line.lstrip("# ") for line in shipped_recipes()[name].read_text().splitlines() if line[0] == "#")
    assert set(re.findall(r"maskel (\w+)", heading)) & set(COMMANDS)
    assert re.search(r"published[^.]*: |none published|not a published", heading.lower())
    known = {key: each.percent for key, each in PUBLISHED.items()}
    kind = shipped_recipes()[name].parent.name
    if kind == "data":
        expected = {percent for (_, data, _), percent in known.items() if data == name}
    elif kind == "pretrain":
        method, released, _ = name.partition("_released")  # the release's settings are those of one benchmark
        data = ("ntu60_xsub",) if released else BENCHMARKS
        expected = {known[key] for key in known if key[0] == method and key[1] in data and key[2] == "linear"}
    elif name == "hacm_pku2_xsub":
        expected = {known["hacm", "pku2_xsub", "linear"]}
    else:
        expected = {percent for (*_, protocol), percent in known.items() if protocol == name}
    assert {float(number) for number in re.findall(r"\b\d\d\.\d\b", heading)} == expected
