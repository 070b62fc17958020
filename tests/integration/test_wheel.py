"""The built wheel, installed into an environment that holds nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from maskel.version import __version__
from try_wheel import try_wheel

ROOT = Path(__file__).parents[2]


def run(command: list[str], cwd: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=kept)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_environment(tmp_path: Path) -> None:
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)], ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    encoder = "maskel/encoders/synthetic-small/encoder.safetensors"
    for part in ("maskel/py.typed", "maskel/recipes/pretrain/mamp.yaml", "maskel/recipes/demo.yaml", encoder):
        assert part in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]

    run([sys.executable, "-m", "venv", "empty"], tmp_path)
    python = str(tmp_path / "empty" / "bin" / "python")
    run([python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)], tmp_path)
    maskel = [str(tmp_path / "empty" / "bin" / "maskel")]
    where = run([python, "-c", "import maskel; print(maskel.__file__)"], tmp_path)
    assert where.startswith(str(tmp_path / "empty"))
    assert run([*maskel, "--version"], tmp_path).strip()
    run([*maskel, "synthesize", "--out", "raw", "--performers", "2", "--replications", "1", "--cameras", "1"], tmp_path)
    run([*maskel, "prepare", "synthetic", "raw", "--out", "set", "--workers", "2"], tmp_path)
    small = ["--config", "mamp", "--config", "demo", "--training.epochs", "1", "--training.batch-size", "8"]
    run([*maskel, "pretrain", *small, "--data", "set", "--out", "run", "--encoder.dim", "16"], tmp_path)
    assert (tmp_path / "run" / "encoder.safetensors").is_file()
    run([*maskel, "report", "run", "--out", "report.html"], tmp_path)
    assert "<html" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_distribution_is_checked_and_tried(tmp_path: Path) -> None:
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path)], ROOT)
    wheel, source = sorted(tmp_path.iterdir(), key=lambda path: path.suffix, reverse=True)
    assert wheel.name == f"maskel-{__version__}-py3-none-any.whl"
    assert source.name == f"maskel-{__version__}.tar.gz"
    assert run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(source)], ROOT).count("PASSED") == 2
    assert try_wheel(tmp_path) == __version__


def test_the_citation_is_of_this_version() -> None:
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
