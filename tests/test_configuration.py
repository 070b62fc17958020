import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from maskel.configuration import merge, merge_recipes, read_recipe
from maskel.errors import InputError


def write_recipe(folder: Path, name: str, content: dict[str, Any]) -> str:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content))
    return str(file)


def test_merging_leaves_its_source_alone() -> None:
    base: dict[str, Any] = {"a": {"b": 1, "c": [1]}, "d": 2}
    new = {"a": {"b": {"x": 1}, "e": 3}, "d": {"y": 1}}
    before = json.dumps(new)
    merge(base, new)
    assert base == {"a": {"b": {"x": 1}, "c": [1], "e": 3}, "d": {"y": 1}}
    base["a"]["b"]["x"] = 5
    assert json.dumps(new) == before


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file and no recipe"):
        read_recipe(str(tmp_path), "pretrain")


def test_recipes_merge_in_order_and_a_commands_own_section_wins(tmp_path: Path) -> None:
    first = write_recipe(tmp_path, "first", {"seed": 1, "training": {"epochs": 7, "lr": 0.5}, "knn": {"k": 3}})
    second = write_recipe(tmp_path, "second", {"seed": 2, "linear": {"seed": 3, "training": {"epochs": 9}}})
    names, groups = {"seed", "training", "k"}, {"training"}
    assert merge_recipes([first, second], "linear", names, groups) == {"seed": 3, "training": {"epochs": 9, "lr": 0.5}}
    assert merge_recipes([second, first], "linear", names, groups)["training"] == {"epochs": 7, "lr": 0.5}
    assert merge_recipes([first], "knn", names, groups)["k"] == 3
    assert merge_recipes([], "knn", names, groups) == {}


def test_what_a_command_has_no_option_for_is_named_with_its_file(tmp_path: Path) -> None:
    wrong, flat = write_recipe(tmp_path, "wrong", {"sead": 1}), write_recipe(tmp_path, "flat", {"training": 3})
    with pytest.raises(InputError, match=r"wrong\.yaml is no recipe for it: no option is called 'sead'"):
        merge_recipes([wrong], "linear", {"seed"}, set())
    with pytest.raises(InputError, match=r"wrong\.yaml is not a run of maskel linear: no option is called 'sead'"):
        merge_recipes([wrong], "linear", {"seed"}, set(), resumed=True)
    with pytest.raises(InputError, match=r"flat\.yaml: expected a mapping of options under 'training', found 3"):
        merge_recipes([flat], "linear", {"training"}, {"training"})
