"""``maskel push``: a run's model on the Hugging Face Hub, with its options, its result and a model card."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from maskel.commands.results import markdown_table, without_paths
from maskel.configuration import COMMAND
from maskel.errors import InputError
from maskel.files import json_text, read_bounded, yaml_text
from maskel.hub import CLASSIFIER, CONFIG, ENCODER, MOST_WEIGHTS, RESULT, Reference, upload
from maskel.models.loading import load_encoder
from maskel.text import shown
from maskel.training.classifiers import load_classifier
from maskel.training.finished import Run
from maskel.version import __version__

CARD = "README.md"


def push(
    run: Path,
    repo: str,
    license: str,
    evaluations: Sequence[Path] | None = None,
    private: bool = False,
    check: bool = False,
) -> list[str]:
    """Put the encoder or classifier of a finished run on the Hugging Face Hub, for ``hf://user/name``.

    Beside the weights go ``config.yaml`` and ``result.json``, without the paths of this machine, without names of
    subjects and without the classes' counts, and a model card that is written from them. Earlier files of these names
    are replaced; the Hub keeps them in its history. Needs the extra ``hub`` and a token that may write (``hf auth
    login``).

    Args:
        run: A run folder of pretrain, linear or finetune.
        repo: The model's name on the Hub, ``user/name``; it is made where there is none.
        license: The licence of the weights, by its name on the Hub: ``apache-2.0``, ``cc-by-nc-4.0``, ``other``.
        evaluations: Finished evaluations of this encoder, whose right answers the card shows.
        private: Make a model that only its owner sees.
        check: Only show files and card; nothing is sent.

    Returns:
        Lines for a person to read; the last is the model's name for ``--encoder`` or ``--classifier``.

    Raises:
        InputError: If the run left no whole model or is not finished, an evaluation is not one of it, name or licence
            is none, or the Hub cannot be reached or refuses.
    """
    try:
        reference = Reference.read(f"hf://{repo}")
    except InputError as fault:
        raise InputError(f"repo: found {repo}, expected user/name") from fault
    if reference.repo != repo:
        raise InputError(f"repo: found {repo}, expected user/name without a revision")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        raise InputError(f"license: found {license!r}, expected a name of the Hub's list, such as apache-2.0 or other")
    found = Run.open(run)
    found.require_finished()
    found.require_one_fold("has no model of its own")
    evaluated = [_evaluation(found, path) for path in evaluations or ()]
    weights = _weights_of(run)
    files = {**files_of(found, weights), CARD: model_card(found, repo, license, weights, evaluated).encode()}
    lines = [f"{name}: {len(content):,} bytes" for name, content in files.items()]
    if check:
        return [*lines, "", *files[CARD].decode().splitlines(), "The check sent nothing."]
    commit = upload(repo, files, f"{found.kind} by maskel {__version__}", private)
    return [*lines, str(commit)]


def files_of(run: Run, weights: str) -> dict[str, bytes]:
    """Return a run's weights, options and result for others: without paths of this machine, and names of subjects.

    Args:
        run: The finished run.
        weights: Name of the file of weights.
    """
    config = {COMMAND: run.kind, **without_paths(run.folder.read_config())}
    return {
        weights: read_bounded(run.folder.path / weights, MOST_WEIGHTS),
        CONFIG: yaml_text(config).encode(),
        RESULT: json_text(without_paths(run.result, without=("per_class", "subjects")), indent=1).encode(),
    }


def model_card(run: Run, repo: str, license: str, weights: str, evaluated: Sequence[Run] = ()) -> str:
    """Write the page that the Hub shows of a model, from a run's options and result.

    Args:
        run: The finished run.
        repo: The model's name on the Hub.
        license: Name of the licence.
        weights: Name of the file of weights.
        evaluated: Evaluations of the model.

    Returns:
        Markdown, below the entries that the Hub reads.
    """
    encodes = weights == ENCODER
    head = {"license": license, "library_name": "maskel", "tags": _tags(run, encodes)}
    about, counted = _about(run), [row for one in (run, *evaluated) for row in _counts(one)]
    lines = [
        *("---", yaml_text(head).rstrip(), "---", f"# {repo}", ""),
        f"{'An encoder' if encodes else 'A classifier'} of human skeleton sequences, trained with maskel "
        f"{run.about('versions', 'maskel')}. This page was written from the files of the run.",
        *("", "## Use", "", "```python", "import maskel", ""),
        f'model = maskel.load_{"encoder" if encodes else "classifier"}("hf://{repo}")',
        *("```", "", "```sh", "pip install 'maskel[hub]'"),
        f"maskel linear --encoder hf://{repo} --data SET"
        if encodes
        else f"maskel predict SET --classifier hf://{repo} --out predictions.csv",
        *("```", "", "## Training", "", *markdown_table(["", ""], about), ""),
        f"Every option is in [{CONFIG}]({CONFIG}), the whole result in [{RESULT}]({RESULT}).",
        *("", "## Numbers", ""),
    ]
    if counted:
        lines += markdown_table(
            ["protocol", "data", "correct", "seen", "accuracy, %", "95 % interval, %", "best epoch, %", "seed"], counted
        )
        lines += ["", "The accuracy is the last epoch's where there are epochs; the best epoch was chosen on the clips"]
        lines[-1] += " that it is counted on."
    else:
        lines.append("Nothing was counted: the run says how well the encoder learned its own task, not what it is for.")
    commands = dict.fromkeys(_command(one) for one in (run, *evaluated))
    return "\n".join([*lines, "", "## Commands", "", "```", *commands, "```", ""])


def _weights_of(run: Path) -> str:
    """Return the name of a run's file of weights, once it is read as a whole; refuse a damaged one."""
    if (run / ENCODER).is_file():
        load_encoder(run)
        return ENCODER
    if (run / CLASSIFIER).is_file():
        load_classifier(run)
        return CLASSIFIER
    raise InputError(f"{run}: found no {ENCODER} and no {CLASSIFIER}; expected a run of pretrain, linear or finetune")


def _evaluation(run: Run, path: Path) -> Run:
    """Open a finished evaluation of a run's encoder; refuse anything else."""
    found = Run.open(path)
    found.require_finished()
    if found.encoder != run.folder.path.resolve() or not found.answers or found.untrained:
        raise InputError(f"{path}: found {found.row()}, expected an evaluation of the encoder of {run.folder.path}")
    return found


def _tags(run: Run, encodes: bool) -> list[str]:
    tags = ["skeleton", "action-recognition", "human-motion"]
    method = run.value("method") or run.value("pretraining", "method")
    return [*tags, *(["self-supervised"] if encodes else []), *([str(method)] if method else [])]


def _about(run: Run) -> Iterator[tuple[str, str]]:
    """List what was trained, and on what: names and values."""
    yield "protocol", run.row()
    yield "method", run.method
    yield "blocks x width, frames", run.size
    yield "weights", _number(run.result.get("parameters"))
    for one in run.result.get("sets", [run.result]):
        data = one.get("data", {})
        yield "data", f"{data.get('source')}, layout {data.get('layout')}, benchmark {one.get('benchmark')}"
        if options := without_paths(data.get("options") or {}):
            yield "prepared with", ", ".join(f"{name} {value}" for name, value in options.items())
        for part, split in (one.get("split") or {}).items():
            yield f"{part} clips", f"{_number(split.get('size'))} (hash of their names {split.get('hash')})"
    if "labels" in run.result:
        yield "labels used", _number(run.result["labels"].get("size"))
    for name in ("epochs", "precision", "seed", "loss", "adapted", "minutes"):
        if run.result.get(name) not in (None, ""):
            yield name, run.about(name)
    if encoder := run.result.get("encoder") or (run.result.get("init") or {}).get("encoder"):
        yield "starts from", str(without_paths(encoder))
    yield "machine", f"{run.hardware}; PyTorch {run.about('versions', 'torch')}"


def _counts(run: Run) -> Iterator[tuple[str, ...]]:
    """List a run's right answers, a row for each way of counting."""
    best = f"{100 * run.best_epoch[1].share:.1f} (epoch {run.best_epoch[0]})" if run.best_epoch else "–"
    data = f"{run.about('data', 'source')}, {run.about('benchmark')}"
    for answers in run.answers:
        count = answers.count
        yield (
            *(run.row(answers.key), data, str(count.correct), str(count.seen), f"{100 * count.share:.1f}"),
            *(answers.interval, "–" if answers.key else best, run.about("seed")),
        )


def _command(run: Run) -> str:
    """Return the command of a run, without the paths of its machine, as one line that ends no block of code."""
    return shown(without_paths(run.about("command"), "command")).replace("```", "'''")


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "not recorded"
