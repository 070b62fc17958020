"""Models go to a stand-in Hub and come back; what a stranger's model holds is refused in one sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

import hub_server
import tiny
from hub_server import Hub, Model
from maskel import hub as maskel_hub
from maskel import load_classifier, load_encoder
from maskel.commands.export_run import _opened
from maskel.commands.linear import linear
from maskel.errors import InputError
from maskel.training.deployed import DeployedClassifier
from maskel.training.pretrained import names_of_pretraining
from maskel.training.run import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the library uploads
hugging = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: maskel[hub]")


@pytest.fixture(scope="module")
def probed(prepared: Path, pretrained: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("probed") / "run"
    return linear(pretrained.path, prepared, training=tiny.PROBE, device="cpu", out=out)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in Hub, and a cache of its own."""
    from huggingface_hub import constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    with hub_server.serving() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        hugging.close_session()
        yield served
        hugging.close_session()


@pytest.fixture
def walker(hub: Hub, pretrained: RunFolder) -> Model:
    """A model on the Hub with the files of a run, and one that nobody asks for."""
    names = ("config.yaml", "result.json", "encoder.safetensors")
    files = {name: (pretrained.path / name).read_bytes() for name in names}
    hub.models["me/walker"] = Model({"huge.bin": b"x", **files})
    return hub.models["me/walker"]


def same_encoder(one: torch.nn.Module, other: torch.nn.Module) -> None:
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


def card_words(card: str, command: str, data: Path) -> list[str]:
    """The command that a model card shows, on a set."""
    line = next(line for line in card.splitlines() if line.startswith(f"maskel {command} "))
    return [str(data) if word == "SET" else word for word in line.split()[1:]]


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hugging.close_session()


def test_an_encoder_is_fetched_once_and_then_read_from_the_cache(
    hub: Hub, walker: Model, pretrained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hf://me/walker", "hf://me/walker@v1", f"hf://me/walker@{walker.commit}", Path("hf://me/walker")):
        same_encoder(load_encoder(name), pretrained.encoder)
    assert hub.downloads() == ["config.yaml", "result.json", "encoder.safetensors"]
    hub.requests.clear()
    load_encoder(f"hf://me/walker@{walker.commit}")
    assert not hub.requests  # a commit never changes
    offline(monkeypatch)
    same_encoder(load_encoder("hf://me/walker"), pretrained.encoder)
    with pytest.raises(InputError, match=r"hf://me/other: HF_HUB_OFFLINE is set, and the cache has no encoder"):
        load_encoder("hf://me/other")


def test_a_hub_that_does_not_answer_leaves_the_copy_in_the_cache(
    hub: Hub, walker: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_encoder("hf://me/walker")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    capsys.readouterr()
    load_encoder("hf://me/walker")
    said = capsys.readouterr().err
    assert "the Hub cannot be reached" in said
    assert f"the copy in the cache is used, of commit {walker.commit}" in said
    with pytest.raises(InputError, match=r"cannot be reached .* and the cache has no classifier"):
        load_classifier("hf://me/walker")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf://me", "expected hf://user/name"),
        ("hf://me/../walker", "expected hf://user/name"),
        ("hf://me/walker@..", "expected hf://user/name"),
        ("hf://me/walker@a/../b", "expected hf://user/name"),
        ("hf://me/walker/file", "expected hf://user/name"),
        ("hf://me/nobody", "hf://me/nobody: the Hub shows no such model"),
        ("hf://me/walker@v2", "hf://me/walker@v2: the Hub shows no such revision"),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, sentence: str, walker: Model) -> None:
    with pytest.raises(InputError, match=sentence):
        load_encoder(name)


def test_a_stranger_s_model_is_refused_before_it_is_fetched(hub: Hub, walker: Model) -> None:
    walker.said["encoder.safetensors"] = {"size": 3 << 30}
    with pytest.raises(InputError, match=r"encoder.safetensors has 3221225472 bytes, expected 2,147,483,648 at most"):
        load_encoder("hf://me/walker")
    walker.said = {"config.yaml": {"size": 100_001}}
    with pytest.raises(InputError, match=r"config.yaml has 100001 bytes"):
        load_encoder("hf://me/walker")
    assert "encoder.safetensors" not in hub.downloads()
    walker.said = {}
    with pytest.raises(InputError, match=r"found huge.bin, .*, expected classifier.safetensors, as maskel push"):
        load_classifier("hf://me/walker")
    walker.gated = True
    with pytest.raises(InputError, match="its owner grants access on the Hub"):
        load_encoder("hf://me/walker")


def test_a_file_that_is_not_what_the_hub_says_is_refused(
    hub: Hub, walker: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = walker.files["encoder.safetensors"]
    told = {"size": len(content), "sha256": "0" * 64, "pointerSize": 1}
    walker.said["encoder.safetensors"] = {"lfs": told}
    with pytest.raises(InputError, match=r"encoder.safetensors has .* is not what the Hub says, by size or hash"):
        load_encoder("hf://me/walker")
    walker.said = {}
    load_encoder("hf://me/walker")
    found = next((tmp_path / "cache").rglob("encoder.safetensors")).resolve()
    found.write_bytes(content[:-1] + b"\1")  # a disk that forgets
    offline(monkeypatch)
    with pytest.raises(InputError, match=r"is not what the Hub says.*remove .*blobs"):
        load_encoder("hf://me/walker")


def test_whole_files_of_strangers_are_read_as_every_encoder_is(hub: Hub, walker: Model) -> None:
    walker.files["encoder.safetensors"] = b"\x80\x04pickle" * 100
    with pytest.raises(InputError, match="not a whole maskel encoder"):
        load_encoder("hf://me/walker")


def test_a_run_goes_out_and_its_encoder_comes_back(
    run: Callable[..., tuple[int, str]],
    hub: Hub,
    prepared: Path,
    pretrained: RunFolder,
    probed: RunFolder,
    tmp_path: Path,
) -> None:
    code, text = run("push", pretrained.path, "me/new", "--license", "cc-by-4.0", "--evaluations", probed.path)
    model = hub.models["me/new"]
    name = f"hf://me/new@{model.commit}"
    assert (code, text.split()[-1]) == (0, name), text
    assert set(model.files) == {"README.md", "config.yaml", "encoder.safetensors", "result.json"}
    assert not any(str(prepared.parent).encode() in content for content in model.files.values())  # no paths
    card = model.files["README.md"].decode()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["library_name"]) == ("cc-by-4.0", "maskel")
    result = probed.result
    assert f"| linear | generated, xsub | {result['correct']} | {result['seen']} |" in card
    assert f"| train clips | 16 (hash of their names {result['split']['train']['hash']}) |" in card
    assert 'maskel.load_encoder("hf://me/new")' in card
    given = (*card_words(card, "linear", prepared), "--training.epochs", "2", "--training.batch-size", "8")
    assert run(*given, "--device", "cpu", "--out", tmp_path / "probe")[0] == 0
    probe = RunFolder(tmp_path / "probe")
    assert probe.read_config()["encoder"] == probe.result["encoder"] == name
    assert probe.result["pretraining"]["method"] == "mamp"
    model.files["README.md"] = b"another commit"
    assert run(*given, "--resume", tmp_path / "probe")[0] == 2  # main is another commit by now
    assert run("linear", "--resume", tmp_path / "probe")[0] == 0
    for use in ("init", "encoder"):
        command = "pretrain" if use == "init" else "knn"
        more = ("--training.epochs", "1", "--mamp.decoder-dim", "16") if use == "init" else ("--k", "1")
        out = ("--device", "cpu", "--out", tmp_path / use)
        assert run(command, f"--{use}", "hf://me/new", "--data", prepared, *more, *out)[0] == 0
    went_on = RunFolder(tmp_path / "init").result["init"]
    assert went_on["encoder"].startswith("hf://me/new@")
    assert went_on["pretraining"]["method"] == "mamp"


def test_a_classifier_goes_out_and_comes_back(
    run: Callable[..., tuple[int, str]], hub: Hub, prepared: Path, probed: RunFolder, tmp_path: Path
) -> None:
    assert run("push", probed.path, "me/classes", "--license", "other", "--private")[0] == 0
    assert hub.models["me/classes"].private
    same_encoder(load_classifier("hf://me/classes"), probed.classifier)
    result = json.loads(hub.models["me/classes"].files["result.json"])
    assert "subjects" not in str(result)
    given = ("--classifier", "hf://me/classes", "--data", prepared, "--device", "cpu")
    assert run("evaluate", *given, "--out", tmp_path / "evaluated")[0] == 0
    evaluated = RunFolder(tmp_path / "evaluated").result
    assert evaluated["correct"] == probed.result["correct"]
    assert evaluated["trained"]["kind"] == "linear"
    card = hub.models["me/classes"].files["README.md"].decode()
    *predict, _ = card_words(card, "predict", prepared)
    assert run(*predict, tmp_path / "predictions.csv", "--device", "cpu")[0] == 0
    exported = _opened(Path("hf://me/classes"), tmp_path / "model.onnx", ".onnx", "mean", "all", None, None)
    assert isinstance(exported, DeployedClassifier)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("me", "--license", "other"), "repo: found me, expected user/name"),
        (("me/new@v1", "--license", "other"), "without a revision"),
        (("me/new", "--license", "my own"), "license: found 'my own', expected a name of the Hub's list"),
        (("me/new",), "license"),
    ],
)
def test_what_cannot_be_pushed_is_refused(
    words: tuple[str, ...], sentence: str, run: Callable[..., tuple[int, str]], hub: Hub, pretrained: RunFolder
) -> None:
    code, text = run("push", pretrained.path, *words)
    assert code == 2
    assert sentence in text
    assert not hub.requests


def test_only_whole_runs_and_their_own_evaluations_are_pushed(
    run: Callable[..., tuple[int, str]], hub: Hub, prepared: Path, probed: RunFolder, tmp_path: Path
) -> None:
    other = tiny.tiny_pretrain(prepared, tmp_path / "other", training=replace(tiny.TRAINING, epochs=1))
    words = ("me/new", "--license", "other")
    assert (
        "expected an evaluation of the encoder of" in run("push", other.path, *words, "--evaluations", probed.path)[1]
    )
    (other.path / "encoder.safetensors").write_bytes(b"half")
    assert "not a whole maskel encoder" in run("push", other.path, *words)[1]
    (other.path / "encoder.safetensors").unlink()
    assert "found no encoder.safetensors and no classifier" in run("push", other.path, *words)[1]
    (other.path / "result.json").unlink()
    assert "it has no result.json" in run("push", other.path, *words)[1]
    assert not hub.requests


def test_a_hub_that_refuses_is_one_sentence(
    run: Callable[..., tuple[int, str]],
    hub: Hub,
    walker: Model,
    pretrained: RunFolder,
    probed: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walker.private = False
    words = ("me/walker", "--license", "other")
    before = dict(walker.files)
    assert "me/walker holds encoder.safetensors of another run" in run("push", probed.path, *words)[1]
    assert "me/walker exists and is public" in run("push", pretrained.path, *words, "--private")[1]
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    code, text = run("push", pretrained.path, *words)
    assert (code, "log in with a token that may write there" in text) == (2, True)
    offline(monkeypatch)
    assert "nothing is sent, as HF_HUB_OFFLINE is set" in run("push", pretrained.path, *words)[1]
    assert walker.files == before


def test_a_check_shows_the_card_and_sends_nothing(
    run: Callable[..., tuple[int, str]], hub: Hub, pretrained: RunFolder
) -> None:
    code, text = run("push", pretrained.path, "me/new", "--license", "mit", "--check")
    assert code == 0
    assert "license: mit" in text
    assert "The check sent nothing." in text
    assert not hub.requests


def test_names_of_pretraining_do_not_follow_a_stranger_s_file(hub: Hub, walker: Model, prepared: Path) -> None:
    load_encoder("hf://me/walker")
    result = json.loads(walker.files["result.json"])
    walker.files["result.json"] = json.dumps(result | {"init": {"encoder": "hf://me/walker"}}).encode()
    name = Path(str(maskel_hub.pinned(Path("hf://me/walker"), maskel_hub.ENCODER)))
    hub.requests.clear()
    assert names_of_pretraining(name) is None
    assert not hub.requests


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"huggingface_hub is not installed.*pip install 'maskel\[hub\]'"):
        load_encoder("hf://me/walker")


def test_the_settings_of_the_library_apply(hub: Hub, walker: Model, tmp_path: Path) -> None:
    """In processes of their own: endpoint, cache and the wish to stay offline are read at the start."""
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    code = "from maskel.hub import fetched; print(fetched('hf://me/walker', 'encoder.safetensors'))"

    def fetch(**more: str) -> tuple[str, str]:
        given = [sys.executable, "-c", code]
        ended = subprocess.run(given, env={**os.environ, **settings, **more}, capture_output=True, text=True)
        return ended.stdout.strip(), ended.stderr

    folder, said = fetch()
    assert Path(folder, "encoder.safetensors").read_bytes() == walker.files["encoder.safetensors"], said
    assert Path(folder).is_relative_to(tmp_path / "home")
    hub.requests.clear()
    assert fetch(HF_HUB_OFFLINE="1") == (folder, "")
    assert not hub.requests
