"""Errors name what was asked, and what there is."""

from __future__ import annotations

from condsim.errors import MOST_CHARACTERS, CondsimError, shown, unknown


def test_near_names_are_suggested() -> None:
    error = unknown(
        "profile", "h100", ["h100-sxm", "h200-sxm", "tpu"], "condsim profiles lists all"
    )
    assert isinstance(error, ValueError)
    assert str(error).startswith("unknown profile 'h100'; did you mean 'h100-sxm'")
    assert str(error).endswith("(condsim profiles lists all)")


def test_near_names_do_not_hide_the_others() -> None:
    assert "known: h100-sxm, tpu" in str(unknown("profile", "h100", ["h100-sxm", "tpu"]))


def test_a_long_message_loses_its_middle() -> None:
    message = str(CondsimError("begins" + "x" * 20_000 + "ends"))
    assert len(message) == MOST_CHARACTERS
    assert message.startswith("begins")
    assert message.endswith("ends")


def test_a_long_name_is_shortened() -> None:
    assert len(str(unknown("profile", "x" * 1_000_000, ["a"]))) < 200
    assert len(shown(list(range(1000)))) < 100


def test_a_value_that_python_cannot_write() -> None:
    assert shown(10**5000) == "a int that cannot be written"
    assert "a int that cannot" in str(unknown("dtype", 10**5000, ["fp32"]))


def test_any_terminal_takes_a_message() -> None:
    assert str(CondsimError("lone \ud800")).encode() == b"lone \\ud800"
    assert str(CondsimError("a\nb \x1b[2J \u202e")) == r"a\nb \x1b[2J \u202e"


def test_all_names_are_listed_where_none_is_near() -> None:
    error = unknown("dtype", 7, ["fp32", "bf16"])
    assert str(error) == "unknown dtype 7; known: bf16, fp32"


def test_it_is_one_that_a_user_can_put_right() -> None:
    assert isinstance(unknown("x", "y", []), CondsimError)
