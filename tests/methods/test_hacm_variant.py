"""HA-CM's switches in one place, and the earlier name of one of them in recipes, runs and results."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from maskel.cli import main
from maskel.commands.results import read_results
from maskel.configuration import read_recipe, renamed
from maskel.layouts import NTU25
from maskel.methods import HACM, default_options
from maskel.methods.hacm_variant import HACMVariant
from maskel.models.encoder import Encoder
from maskel.training.pretrained import load_method
from maskel.training.run import CONFIG, RESULT, RunFolder

TINY = ["--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--encoder.window=12", "--device=cpu"]
TINY += ["--training.epochs=1", "--training.batch_size=8", "--training.warmup_epochs=0"]
TINY += ["--hacm.decoder_dim=16", "--hacm.decoder_depth=1", "--hacm.ratio=0.8"]


def test_the_released_variant_is_that_of_the_recipe() -> None:
    recipe = HACMVariant(**read_recipe("hacm_released", "pretrain")["hacm"])
    assert recipe == HACMVariant.released() != HACMVariant()


def test_switches_are_options_and_reach_the_method() -> None:
    assert vars(HACMVariant()).items() <= default_options("hacm").items()
    given: dict[str, Any] = {"distance": "euclidean", "cc_alpha": 0.0}
    method = HACM(Encoder(NTU25, tiny.encoder_for("hacm")), ratio=0.5, **given)
    assert method.variant == HACMVariant(**given)
    with pytest.raises(TypeError, match="layuot"):
        HACM(Encoder(NTU25, tiny.encoder_for("hacm")), layuot="scrambled")


def test_earlier_names_are_read_and_todays_win() -> None:
    old = {"method": "hacm", "hacm": {"ratio": 0.5, "layout": "scrambled"}, "data": {"layout": "ntu25"}}
    new = {"method": "hacm", "hacm": {"ratio": 0.5, "token_order": "scrambled"}, "data": {"layout": "ntu25"}}
    assert renamed(old) == renamed(new) == new
    assert renamed({"runs": [{"pretraining": {"config": old}}]}) == {"runs": [{"pretraining": {"config": new}}]}
    both = {"hacm": {"layout": "scrambled", "token_order": "natural"}}
    assert renamed(both) == both  # and is then refused: no option is called layout


def test_a_run_of_an_earlier_version_still_resumes_loads_and_is_listed(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "own.yaml").write_text("hacm: {layout: natural}")
    run = RunFolder(tmp_path / "run")
    given = ["--config=hacm_released", f"--config={tmp_path / 'own.yaml'}", f"--data={prepared}"]
    assert main(["pretrain", *given, f"--out={run.path}", *TINY, "--hacm.layout", "scrambled"]) == 0
    assert run.read_config()["hacm"]["token_order"] == "scrambled"
    for name, read, write in ((CONFIG, yaml.safe_load, yaml.safe_dump), (RESULT, json.loads, json.dumps)):
        text = (run.path / name).read_text()
        assert "token_order" in text
        content = read(text)
        config = content if name == CONFIG else content["config"]
        config["hacm"]["layout"] = config["hacm"].pop("token_order")
        (run.path / name).write_text(write(content))
    assert "token_order" not in (run.path / CONFIG).read_text()
    method = load_method(run)
    assert isinstance(method, HACM)
    assert method.scrambled
    (result,) = read_results([run.path]).values()
    assert result["config"]["hacm"]["token_order"] == "scrambled"
    assert main(["pretrain", f"--resume={run.path}", "--hacm.token-order=natural"]) == 2
    assert "hacm.token_order scrambled, found natural" in capsys.readouterr().err.replace("\n", " ")
    assert main(["pretrain", f"--resume={run.path}", "--training.epochs=2"]) == 0
    assert len(run.metrics) == 2
