"""A sign of a decision that nobody marks is of one mechanism."""

from __future__ import annotations

import pytest

from condsim.mechanisms import MECHANISMS, mechanism_of, signs

SIGNS = [value for name, value in vars(signs).items() if name.isupper()]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_is_of_one_mechanism(sign: str) -> None:
    owners = [one for one in MECHANISMS.values() if sign in one.signs]
    assert owners == [mechanism_of(sign)]


def test_a_sign_that_no_mechanism_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="no mechanism has the sign 'rows dance'"):
        mechanism_of("rows dance")
