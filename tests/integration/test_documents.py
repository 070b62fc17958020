"""What README and docs show is executed, or at least parsed."""

import ast
import functools
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import maskel
import own
import tiny
from maskel.cli import COMMANDS, main
from maskel.commands.export import FORMATS
from maskel.commands.prepare import prepare
from maskel.commands.view import PICTURES
from maskel.datasets import SOURCES
from maskel.layouts import KINECT20
from maskel.methods import METHODS
from maskel.methods.base import Method
from maskel.models.encoder import Encoder, EncoderConfig
from maskel.protocols import PROTOCOLS
from maskel.training.pretrained import load_method
from maskel.training.run import RunFolder

ROOT = Path(__file__).parents[2]


def blocks(path: str, language: str) -> list[tuple[str, str]]:
    """(what the comment above says of it, code) of every block in a language."""
    text = (ROOT / path).read_text()
    pattern = rf"(?:<!-- (?P<note>[^\n]*) -->\n)?```{language}\n(?P<code>.*?)```"
    return [(match["note"] or "", match["code"]) for match in re.finditer(pattern, text, re.DOTALL)]


def commands(code: str) -> list[list[str]]:
    lines = (shlex.split(line, comments=True) for line in code.splitlines())
    return [words[1:] for words in lines if words and words[0] == "maskel"]


@pytest.mark.slow
def test_the_readme_path_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    (shell,) = [code for note, code in blocks("README.md", "sh") if note.startswith("executed")]
    (python,) = [code for note, code in blocks("README.md", "python") if note.startswith("executed")]
    steps = commands(shell)
    assert len(steps) >= 7
    for step in steps:
        assert main(step) == 0, (step, capsys.readouterr().err)
    page = (tmp_path / "report.html").read_text()
    assert "linear-untrained" in page
    capsys.readouterr()
    exec(compile(python, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("torch.Size([1, 64])")


def test_every_other_command_of_the_readme_parses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    parsed = [code for note, code in blocks("README.md", "sh") if note.startswith("parsed")]
    steps = [step for code in parsed for step in commands(code)]
    assert {step[0] for step in steps} >= {"prepare", "pretrain", "finetune", "reproduce", "convert"}
    for step in steps:
        assert main(step) == 2, step
        complaint = capsys.readouterr().err
        assert "option" not in complaint, complaint  # the data are missing; no option is wrong
        assert re.search(
            r"does not exist|not a folder|cannot read the list|no such|expected (one|a folder)", complaint
        ), complaint


def test_every_prepare_command_in_the_docs_parses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = [step for _, code in blocks("docs/data.md", "sh") for step in commands(code)]
    assert {step[1] for step in steps} >= {"ntu60", "ntu120", "pku1", "pku2", "nw_ucla"}
    for step in steps:
        assert main(step) == 2
        assert "option" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_example_with_own_recordings_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    record, loop = [code for note, code in blocks("docs/data.md", "python") if note.startswith("executed")]
    (shell,) = [code for note, code in blocks("docs/data.md", "sh") if note.startswith("executed")]
    exec(compile(record, "data.md", "exec"), {})
    for step in commands(shell):
        assert main(step) == 0, (step, capsys.readouterr().err)
    assert maskel.SkeletonSet.open("own").classes == ("bow", "wave")
    capsys.readouterr()
    exec(compile(loop, "data.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 16 + 2  # training clips and epochs
    assert shown[0].endswith("(1, 40, 17, 3)")


@pytest.mark.slow
def test_the_example_of_long_recordings_and_live_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    record, stream = [code for note, code in blocks("docs/live.md", "python") if note.startswith("executed")]
    names: dict[str, object] = {}
    exec(compile(record, "live.md", "exec"), names)
    steps = [
        step for note, code in blocks("docs/live.md", "sh") if note.startswith("executed") for step in commands(code)
    ]
    assert [step[0] for step in steps] == ["prepare", "finetune", "predict", "watch"]
    for step in steps:
        words, _, file = " ".join(step).partition(" < ")
        with Path(file or os.devnull).open() as content:
            monkeypatch.setattr(sys, "stdin", content)
            assert main(words.split()) == 0, (step, capsys.readouterr().err)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len(lines) > 10
    assert set(lines[0]) == set(json.loads(blocks("docs/live.md", "json")[1][1]))
    segments = (tmp_path / "segments.csv").read_text().splitlines()
    assert segments[0].startswith("recording,person,start_frame,end_frame,start_seconds,end_seconds,class,probability")
    assert "<h2>long</h2>" in (tmp_path / "timeline.html").read_text()
    exec(compile(stream, "live.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) == len(lines)


def test_the_commands_of_the_migration_page_parse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/migrating.md").read_text()
    steps = [step for _, code in blocks("docs/migrating.md", "sh") for step in commands(code)]
    steps += [shlex.split(line.replace("CONFIG", "ntu60_xsub"))[1:] for line in re.findall(r"`(maskel \w+ .*?)`", page)]
    assert {step[0] for step in steps} >= {"prepare", "pretrain", "linear", "finetune", "evaluate", "convert"}
    for step in steps:
        assert main(step) == 2, step
        complaint = capsys.readouterr().err
        assert "option" not in complaint, complaint  # files are missing; no option is wrong


def test_every_option_of_the_migration_page_exists(capsys: pytest.CaptureFixture) -> None:
    known = ""
    commands = [["linear"], ["knn"], ["finetune"], ["evaluate"], *(["pretrain", "--method", name] for name in METHODS)]
    for command in commands:
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        known += capsys.readouterr().out
    lines = (ROOT / "docs/migrating.md").read_text().split("## Arguments of the scripts")[1].splitlines()
    ours = [line.split("|")[2] for line in lines if line.count("|") == 3]
    named = re.findall(r"`(?:--)?([a-z]+(?:[._-][a-z_]+)*\.?)[`: ]", " ".join(ours))
    named = [name.replace("-", "_") for name in named]
    assert {"training.batch_size", "encoder.window", "mamp.tau", "label_smoothing"} <= set(named)
    values = {"kept", "mae", "hacm", "pretrain", "finetune", "torchrun", "motion", "bone", "bone_motion", "metrics.csv"}
    for name in set(named) - values:
        assert f"--{name.replace('_', '-')}" in known, name


PAGES = sorted(page.relative_to(ROOT).as_posix() for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
FOREIGN = {
    "--nproc_per_node": "torchrun's",
    "--eval": "of the published scripts",
    "--training.epoch": "an example of a mistake",
    "--joint_mamp.ratio": "of the method that a page adds",
    "--test_cameras": "of the data set that a page adds",
}
"""Options that are no command's of maskel."""


def words(page: str, heading: str = "") -> list[str]:
    """What stands between backticks in a page, or below one of its headings, outside its blocks of code."""
    text = (ROOT / page).read_text()
    if heading:
        text = text.partition(heading + "\n")[2].split("\n## ")[0]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def options_in(text: str) -> set[str]:
    """The options that a text names; - and _ are the same in them."""
    return {"--" + name.rstrip(".").replace("-", "_") for name in re.findall(r"(?<![\w-])--([a-z][\w.-]*)", text)}


def options_of(*command: str) -> set[str]:
    """The options that a command's help lists."""
    shown = io.StringIO()
    with redirect_stdout(shown), pytest.raises(SystemExit):
        main([*command, "--help"])
    return options_in(shown.getvalue())


@functools.cache
def every_option() -> set[str]:
    """The options of all commands, and of the scripts that measure."""
    commands = [(name,) for name in COMMANDS if name not in ("prepare", "export", "view")]
    commands += [("pretrain", "--method", method) for method in METHODS]
    commands += [("prepare", source) for source in SOURCES]
    commands += [("export", form) for form in FORMATS] + [("view", picture) for picture in PICTURES]
    scripts = " ".join(script.read_text() for script in ROOT.glob("benchmarks/*.py"))
    return set().union(*(options_of(*command) for command in commands), options_in(scripts))


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/migrating.md"])  # other scripts' options
def test_every_option_that_a_page_names_exists(page: str) -> None:
    assert options_in(" ".join(words(page))) - every_option() - set(FOREIGN) == set()


def test_the_options_for_own_recordings_are_those_of_folder() -> None:
    named = options_in(" ".join(words("docs/data.md", "## Own recordings")))
    assert len(named) > 15
    assert named <= options_of("prepare", "folder") | {"--as_prepared"}  # of predict


def test_what_is_said_of_own_recordings_parses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    said = [word for word in words("docs/data.md", "## Own recordings") if word.startswith("--") and " " in word]
    assert len(said) > 8
    for word in said:
        given = shlex.split(word.replace("K", "3").replace("FILE", "file.csv").replace(" N", " 3"))
        assert main(["prepare", "folder", "nowhere", "--layout", "coco17", "--out", "set", *given]) == 2
        assert "nowhere is not a folder" in capsys.readouterr().err, word


def parameters() -> dict[str, set[str]]:
    """The parameters of every function and method of maskel, and the members of every class, by its name.

    ``**`` stands for options that are handed on.
    """
    found: dict[str, set[str]] = {}
    for module in pkgutil.walk_packages(maskel.__path__, "maskel."):
        if module.name == "maskel.__main__":
            continue
        for name, item in vars(importlib.import_module(module.name)).items():
            if callable(item) and getattr(item, "__module__", "").startswith("maskel"):
                members = vars(item).items() if isinstance(item, type) else ()
                found.setdefault(name, set()).update(own for own, _ in members)
                for own, one in [(name, item), *((own, getattr(one, "__func__", one)) for own, one in members)]:
                    with suppress(ValueError, TypeError):  # what cannot be called has no parameters
                        given = inspect.signature(one).parameters.values()
                        names = {"**" if each.kind == each.VAR_KEYWORD else each.name for each in given}
                        found.setdefault(own, set()).update(names)
    return found


def test_every_argument_that_a_page_names_exists() -> None:
    known = parameters()
    anywhere = set().union(*known.values())
    checked = []
    for page in PAGES:
        for word in words(page):
            try:
                (statement,) = ast.parse(word).body
            except (SyntaxError, ValueError):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and node.keywords:
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    taken = known.get(name, set())
                    assert {keyword.arg for keyword in node.keywords} <= (anywhere if "**" in taken else taken), word
                    checked.append(name)
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                if name.isidentifier() and not name.isupper():
                    assert name in anywhere, (page, word)
                    checked.append(name)
    assert {"gather", "view"} <= set(checked)


@pytest.mark.slow
def test_the_examples_in_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = []
    for note, code in blocks("docs/python.md", "python"):
        assert note.startswith("executed")
        exec(compile(code, "python.md", "exec"), {})
        shown.append(capsys.readouterr().out)
    path, run, features, loop = shown
    assert re.search(r"^\d+ of \d+\n\{'name': '", path, re.MULTILINE)
    assert run == "mamp 64\n"
    assert features.startswith("(")
    assert "| linear | mamp |" in features
    assert [line.split()[0] for line in loop.splitlines()] == ["0", "1"]
    assert maskel.load_encoder("encoder.safetensors").config.window == 48


def test_the_target_of_the_docs_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(maskel.targets, "TARGETS", before := dict(maskel.targets.TARGETS))
    monkeypatch.setattr(maskel.methods.masked, "TARGETS", before)
    names: dict = {}
    (code,) = [code for note, code in blocks("docs/extend/target.md", "python") if note == "executed"]
    exec(compile(code, "target.md", "exec"), names)
    time = torch.arange(8.0)[None, :, None, None].expand(2, 8, 25, 3)
    accelerated = names["AccelerationTarget"]().signal(time**2)
    assert (accelerated[:, 1:-1] == 2).all()
    assert not accelerated[:, [0, -1]].any()
    tiny.write_set(Path("SET"))
    (shell,) = [code for note, code in blocks("docs/extend/target.md", "sh") if note == "executed"]
    (step,) = commands(shell)
    sizes = ["window=8", "dim=16", "depth=1", "num_heads=2"]
    small = [*(f"--encoder.{size}" for size in sizes), "--masked.decoder_dim=16", "--masked.decoder_depth=1"]
    small += ["--training.epochs=1", "--training.batch_size=8", "--training.warmup_epochs=0", "--device=cpu"]
    assert main([*step, *small]) == 0, capsys.readouterr().err
    assert type(load_method(RunFolder(Path("RUN"))).target).__name__ == "AccelerationTarget"
    assert main(["report", "RUN", "--out", "report.html"]) == 0
    page = Path("report.html").read_text()
    assert "The predictions of AccelerationTarget are not positions or motions of joints" in page
    assert ">true target" in page
    assert "true motion" not in page


def test_the_method_of_the_docs_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maskel.masking, "MASKINGS", dict(maskel.masking.MASKINGS))
    monkeypatch.setattr(maskel.methods.masked, "MASKINGS", maskel.masking.MASKINGS)
    names: dict = {}
    for _, code in blocks("docs/extend/method.md", "python"):
        exec(compile(code, "method.md", "exec"), names)
    chosen = maskel.methods.Masked(Encoder(KINECT20), masking="whole_joints", decoder_depth=1)
    assert isinstance(chosen.masking, names["JointMasking"])
    encoder = Encoder(KINECT20, EncoderConfig(window=8, dim=16, depth=1, num_heads=2))
    method = names["JointMAMP"](encoder, ratio=0.5, decoder_dim=16, decoder_depth=1)
    assert isinstance(method, Method)
    joints = torch.randn(3, 8, 20, 3)
    result = method.reconstruct(joints, torch.rand(3, 40))
    hidden = result.mask.hidden.view(3, 2, 20)
    assert torch.equal(hidden[:, 0], hidden[:, 1])  # whole joints, as the text says
    assert torch.isfinite(result.predicted).all()


PROTOCOL = """
import sys
from maskel.cli import main
encoder, data = sys.argv[1:]
given = ["class_mean", "--encoder", encoder, "--data", data, "--device=cpu"]
main(["--help"])
try:
    main(["class_mean", "--help"])
except SystemExit:
    pass
codes = [
    main([*given, "--config", "recipe.yaml", "--out", "means"]),
    main(["class_mean", "--config", "means/config.yaml", "--out", "again"]),
    main([*given, "--untrained", "--seeds=2", "--out", "untrained"]),
    main(["ensemble", "means", "untrained/seed-0", "--out", "sum"]),
    main(["results", "means", "untrained"]),
    main(["report", "means", "untrained"]),
    main(["class_mean", "--resume", "means"]),
]
print(codes)
"""


def test_the_protocol_of_the_docs_is_one_file_and_one_line(
    pretrained: RunFolder, prepared: Path, tmp_path: Path
) -> None:
    code, line = (code for _, code in blocks("docs/extend/protocol.md", "python"))
    package = tmp_path / "src" / "maskel"
    shutil.copytree(ROOT / "src" / "maskel", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "commands" / "class_mean.py").write_text(code)
    table = (package / "protocols.py").read_text()
    (package / "protocols.py").write_text(table.replace("\n}\n", f"\n{line}}}\n", 1))
    (tmp_path / "recipe.yaml").write_text("benchmark: xview\nclass_mean: {benchmark: xsub, seed: 3}\n")
    words = [sys.executable, "-c", PROTOCOL, str(pretrained.path), str(prepared)]
    done = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(package.parent)}, capture_output=True, text=True
    )
    assert "[0, 0, 0, 0, 0, 0, 2]" in done.stdout, done
    assert "classify by the nearest class mean" in done.stderr
    assert "by default the next free one under" in " ".join(done.stdout.split())
    config = (tmp_path / "means" / "config.yaml").read_bytes()
    assert config == (tmp_path / "again" / "config.yaml").read_bytes()
    assert {b"command: class_mean", b"seed: 3"} <= set(config.splitlines())
    result = RunFolder(tmp_path / "means").result
    counted = f"{result['correct']} of {result['seen']}"
    assert f"| class mean | mamp | 2 x 16, 8 frames, 3 epochs | – | 3 | {counted} |" in done.stdout
    assert "| class mean | untrained (mamp) | 2 x 16, 8 frames | – | 0, 1 |" in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert "class mean: means, pre-trained, get" in page or "class mean: means, pre-trained, gets" in page
    assert "means (class_mean)" in page[page.index("Confusions") :]


def test_the_commands_of_the_protocols_parse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = re.findall(r"`maskel ([^`]+)`", (ROOT / "docs/protocols.md").read_text())
    steps = [shlex.split(step) for step in shown if "--" in step]
    assert {step[0] for step in steps} == {*PROTOCOLS, "predict"}
    for step in steps:
        assert main(step) == 2
        complaint = capsys.readouterr().err
        assert re.search(r"does not exist|no such", complaint), complaint  # the data are missing; no option is wrong


def test_the_classifier_of_the_docs_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.tiny_finetune(tiny.write_set(Path("set")), Path("finetuned"))
    capsys.readouterr()
    (python,) = [code for note, code in blocks("docs/protocols.md", "python") if note.startswith("executed")]
    exec(compile(python, "protocols.md", "exec"), {})
    assert re.fullmatch(r"\[('(wave|clap|kick)'(, )?){4}\]\n", capsys.readouterr().out)


def test_the_commands_with_few_examples_run(
    pretrained: RunFolder,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("encoder").symlink_to(pretrained.path)
    Path("set").symlink_to(prepared)
    (shell,) = [
        code for note, code in blocks("docs/protocols.md", "sh") if note == "run by the tests" and "fewshot" in code
    ]
    for step in commands(shell):
        assert main(step) == 0, (step, capsys.readouterr().err)
    assert Path("found/neighbours.html").is_file()


def test_the_commands_of_robustness_run(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set").symlink_to(prepared)
    tiny.tiny_finetune(prepared, Path("finetuned"))
    (shell,) = [code for _, code in blocks("docs/protocols.md", "sh") if "maskel robustness" in code]
    for step in commands(shell):
        assert main(step) == 0, (step, capsys.readouterr().err)
    assert len(json.loads(Path("chosen/result.json").read_text())["noise"]["steps"]) == 2


def test_the_commands_with_several_sets_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_set(Path("set"))
    tiny.write_set(Path("kinect"), KINECT20)
    (shell,) = [
        code for note, code in blocks("docs/protocols.md", "sh") if note == "run by the tests" and "pretrain" in code
    ]
    small = ["--encoder.window=8", "--encoder.dim=16", "--encoder.depth=1", "--encoder.num_heads=2", "--device=cpu"]
    small += ["--mamp.decoder_dim=16", "--mamp.decoder_depth=1", "--training.epochs=1", "--training.batch_size=4"]
    for step in commands(shell):
        assert main([*step, *small]) == 0, (step, capsys.readouterr().err)
    assert [one["data"]["layout"] for one in RunFolder(Path("both")).result["sets"]] == ["ntu25", "kinect20"]


def test_the_commands_with_the_encoder_that_comes_with_maskel_run(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set").symlink_to(prepared)
    (shell,) = [code for note, code in blocks("docs/synthetic.md", "sh") if note == "run by the tests"]
    for step in commands(shell):
        few = ["--training.epochs=1", "--training.batch_size=8"] if step[0] == "pretrain" else []
        assert main([*step, *few, "--device=cpu"]) == 0, (step, capsys.readouterr().err)
    assert RunFolder(Path("further")).result["init"]["pretraining"]["source"] == "synthetic"


def test_the_folds_of_the_docs_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(f"{label}/{who}/{take}" for label in ("sit", "wave") for who in "abc" for take in "12"):
        own.write_array(Path("recordings", f"{name}.npy"), own.motion(frames=8, seed=seed))
    (shell,) = [code for note, code in blocks("docs/protocols.md", "sh") if note.startswith("executed")]
    small = ["--training.epochs=1", "--training.batch_size=4", "--device=cpu"]
    for step in commands(shell):
        more = {"pretrain": small, "linear": ["--device=cpu"]}.get(step[0], [])
        assert main([*step, *more]) == 0, (step, capsys.readouterr().err)
    counted = json.loads(Path("own-linear/result.json").read_text())
    assert [fold["subjects"] for fold in counted["folds"]] == [["a"], ["b"], ["c"]]
    assert (counted["seen"], counted["test_clips_in_pretraining"]) == (12, 0)


def test_the_layout_and_data_set_of_the_docs_are_whole(tmp_path: Path) -> None:
    names: dict = {}
    for page in ("layout", "dataset"):
        for _, code in blocks(f"docs/extend/{page}.md", "python"):
            exec(compile(code, f"{page}.md", "exec"), names)
    assert names["STICK"].edges == ((0, 1), (1, 2), (1, 3), (1, 4))
    assert (names["STICK"].mirror, names["STICK"].kept[0]) == (((3, 4),), "neck")
    assert names["made"].invented
    source = names["MySet"](test_cameras=["2"])
    with pytest.raises(maskel.errors.InputError, match=r"no \.npy file"):
        source.find([ROOT / "docs"])
    (tmp_path / "raw").mkdir()
    for number in range(1, 5):
        np.save(tmp_path / "raw" / f"walk_s{number:02}_c{number}.npy", np.arange(6 * 75).reshape(6, 25, 3) + number)
    np.save(tmp_path / "raw" / "walk_s05_c1.npy", np.zeros(3))
    summary = prepare(source, [tmp_path / "raw"], tmp_path / "set", workers=1)
    assert summary.faults == {"wrong count": 1}
    benchmarks = maskel.SkeletonSet.open(tmp_path / "set").benchmarks
    assert benchmarks["xsub"].train == (0, 2)
    assert benchmarks["xview"].test == (1,)


def test_relative_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target, _, part in re.findall(r"\]\((?!http)([^)#]*)(#([^)]+))?\)", page.read_text()):
            leads_to = page.parent / target if target else page
            assert leads_to.exists(), (page, target)
            if part:
                headings = re.findall(r"^#+ (.*)$", leads_to.read_text(), re.MULTILINE)
                assert part in [re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in headings], target
