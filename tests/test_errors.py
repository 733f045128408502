"""Errors name what was asked, and what there is."""

from __future__ import annotations

from condsim.errors import CondsimError, unknown


def test_near_names_are_suggested() -> None:
    error = unknown(
        "profile", "h100", ["h100-sxm", "h200-sxm", "tpu"], "condsim profiles lists all"
    )
    assert isinstance(error, ValueError)
    assert str(error).startswith("unknown profile 'h100'; did you mean 'h100-sxm'")
    assert str(error).endswith("(condsim profiles lists all)")


def test_all_names_are_listed_where_none_is_near() -> None:
    error = unknown("dtype", 7, ["fp32", "bf16"])
    assert str(error) == "unknown dtype 7; known: bf16, fp32"


def test_it_is_one_that_a_user_can_put_right() -> None:
    assert isinstance(unknown("x", "y", []), CondsimError)
