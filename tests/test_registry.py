"""The registry idiom: one name, one entry."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.registry import Registry


@pytest.fixture
def colours() -> Registry[str]:
    registry: Registry[str] = Registry("colour")
    registry.register("red", "crimson")("warm")
    return registry


def test_an_entry_is_found_by_each_of_its_names(colours: Registry[str]) -> None:
    assert colours["red"] == colours["crimson"] == "warm"
    assert list(colours) == ["red", "crimson"]
    assert len(colours) == 2
    assert "blue" not in colours


def test_a_name_is_registered_once(colours: Registry[str]) -> None:
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        colours.register("red")("cold")


def test_an_unknown_name_names_the_nearest(colours: Registry[str]) -> None:
    with pytest.raises(CondsimError, match="unknown colour 'crimsn'; did you mean 'crimson'"):
        colours["crimsn"]


@pytest.mark.parametrize("name", ["blue", 5, None, ["red"]])
def test_get_lists_what_is_known(colours: Registry[str], name: object) -> None:
    assert name not in colours
    with pytest.raises(CondsimError, match="known: crimson, red"):
        colours.get(name)  # type: ignore[call-overload]


def test_registering_is_a_decorator() -> None:
    registry: Registry[object] = Registry("function")

    @registry.register("double")
    def double(x: int) -> int:
        return 2 * x

    assert registry["double"] is double
