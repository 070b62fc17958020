"""One door for JSON: nothing writes a number that is not finite."""

import json
import math
import re
from pathlib import Path

import pytest

import maskel
from maskel.files import json_line, json_text
from maskel.training.state import write_state

SOURCE = Path(maskel.__file__).parent
IN_MEMORY = {
    "files/writing.py": "the door itself",
    "parsing.py": "options on their way to the parser",
    "datasets/nw_ucla.py": "a label in a sentence",
}


def test_only_the_door_writes_json() -> None:
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"\bjson\.(dumps?|JSONEncoder)\b", path.read_text(encoding="utf-8"))
    }
    assert users == set(IN_MEMORY)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_number_that_is_not_finite_is_never_written(value: float, indent: int | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"loss": [value]}, indent=indent)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_state(tmp_path / "last.safetensors", {"loss": value}, tmp_path / "previous.safetensors")
    assert not list(tmp_path.iterdir())
    assert json.loads(json_line({"loss": (value, Path("set"))})) == {"loss": [str(value), "set"]}


def test_lines_and_pieces_are_the_same_document() -> None:
    document = {"b": [1, {"c": "é", "d": None}], "a": (), "e": 0.5}
    assert (
        json.loads(json_text(document, indent=1)) == json.loads(json_text(document)) == json.loads(json_line(document))
    )
    assert json_text(document, indent=1) == json.dumps(document, indent=1) + "\n"
