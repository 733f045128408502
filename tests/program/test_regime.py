"""Regimes and their stored names."""

from __future__ import annotations

import pytest

from condsim.program.regime import DECODE, PREFILL, Regime


@pytest.mark.parametrize("phase", [PREFILL, DECODE])
@pytest.mark.parametrize("single", [True, False])
def test_a_stored_name_means_the_same_regime(phase: str, single: bool) -> None:
    regime = Regime(phase, single)
    assert Regime.parse(str(regime)) == regime


def test_the_stored_names() -> None:
    assert str(Regime.of_batch(PREFILL, 1)) == "prefill-1"
    assert str(Regime.of_batch(DECODE, 2)) == "decode-n"


@pytest.mark.parametrize("name", ["prefill", "prefill-2", "training-1", ""])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="regime must be PHASE-1 or PHASE-n"):
        Regime.parse(name)
