"""The built wheel, in an environment that holds nothing of the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(command: list[str], cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=kept | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_brings_recipes_and_runs_without_the_checkout(tmp_path: Path) -> None:
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)], ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    for part in ("maskel/py.typed", "maskel/recipes/pretrain/mamp.yaml", "maskel/recipes/demo.yaml"):
        assert part in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    # Only the wheel and its dependencies: -I leaves out the current folder and the user's site; the checkout, which is
    # installed in editable mode here, must not be what is imported.
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import maskel, maskel.cli; "
        "assert maskel.__file__.startswith(sys.path[0]), maskel.__file__; sys.exit(maskel.cli.main(sys.argv[1:]))"
    )
    maskel = [sys.executable, "-I", "-c", program, str(tmp_path / "site")]
    assert run([*maskel, "--version"], tmp_path).strip()
    run([*maskel, "synthesize", "--out", "raw", "--performers", "2", "--replications", "1", "--cameras", "1"], tmp_path)
    run([*maskel, "prepare", "synthetic", "raw", "--out", "set", "--workers", "2"], tmp_path, PYTHONPATH="")
    small = ["--config", "mamp", "--config", "demo", "--training.epochs", "1", "--training.batch-size", "8"]
    run([*maskel, "pretrain", *small, "--data", "set", "--out", "run", "--encoder.dim", "16"], tmp_path)
    assert (tmp_path / "run" / "encoder.safetensors").is_file()
    run([*maskel, "report", "run", "--out", "report.html"], tmp_path)
    assert "<html" in (tmp_path / "report.html").read_text()
