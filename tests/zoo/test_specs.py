"""Specs: what they load and what they say when they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.zoo.specs import load_spec

TINY = Path(__file__).parents[1] / "measure" / "tiny.py"


def test_a_function_that_returns_model_and_inputs() -> None:
    example = load_spec(f"{TINY}:leaving")
    assert example.name == "leaving"
    assert type(example.model).__name__ == "Leaving"
    assert len(example.inputs) == 6
    assert example.quality is None


def test_a_function_that_returns_an_example(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from condsim.zoo import load\ndef make():\n    return load('skip-fashion')\n")
    example = load_spec(f"{file}:make")
    assert example.name == "skip-fashion"
    assert example.quality_name == "accuracy"


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_spec_test.py").write_text("from torch import nn\nMODEL = nn.ReLU()\n")
    (tmp_path / "importing.py").write_text(
        "import beside_spec_test\ndef make():\n    return beside_spec_test.MODEL, []\n"
    )
    assert load_spec(f"{tmp_path / 'importing.py'}:make").inputs == []


def test_a_zoo_name() -> None:
    assert load_spec("exit-fashion").mechanism == "early_exit"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("exit-fashio", "unknown spec 'exit-fashio'; did you mean 'exit-fashion'"),
        ("nowhere.py:make", "there is no file nowhere.py"),
        (f"{TINY}", "names no function"),
        (f"{TINY}:leavin", "has no function 'leavin'; it has: .*leaving"),
        (
            f"{TINY}:wrong",
            r"wrong\(\) must return .*condsim.Training, or an Example, got int",
        ),
    ],
)
def test_what_cannot_be_loaded(spec: str, message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        load_spec(spec)


def test_a_tuple_of_something_else_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pair.py"
    file.write_text("def make():\n    return 1, 'two'\n")
    with pytest.raises(CondsimError, match="got a tuple of int, str"):
        load_spec(f"{file}:make")


def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import nothing_of_this_name\n")
    with pytest.raises(CondsimError, match=r"broken\.py cannot be imported: ModuleNotFoundError"):
        load_spec(f"{file}:make")


def test_a_setting_of_a_zoo_model_and_of_a_function(tmp_path: Path) -> None:
    assert load_spec("moe-bytes:top_k=1").model.config["top_k"] == 1
    file = tmp_path / "set.py"
    file.write_text("from torch import nn\ndef make(kept=1):\n    return nn.Linear(kept, 1), []\n")
    assert load_spec(f"{file}:make:kept=7").model.in_features == 7
    with pytest.raises(CondsimError, match=r"make\(\) takes no argument 'top'"):
        load_spec(f"{file}:make:top=7")
    for bad in ("threshold=high", "threshold=nan", "=1"):
        with pytest.raises(CondsimError, match="a setting is name=number"):
            load_spec(f"exit-fashion:{bad}")
