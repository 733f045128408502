"""What seconds and joules of both sides say of a step."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from condsim.predict.measures import Measures


def test_a_speedup_is_of_all_steps_and_a_latency_of_the_mean_one() -> None:
    conditional = SimpleNamespace(seconds=np.array([1.0, 3.0]), energy_j=2.0)
    baseline = SimpleNamespace(seconds=np.array([4.0, 8.0]), energy_j=5.0)
    measures = Measures(np.array([7, 8]), conditional, baseline)
    assert measures.speedup == 3.0
    assert measures.latency_s == 2.0
    fields = measures.fields()
    assert fields["baseline_s"] == 6.0
    assert (fields["energy_j"], fields["baseline_energy_j"]) == (2.0, 5.0)
    assert fields["of_steps"].numbers.tolist() == [7, 8]


def test_the_speedup_is_no_mean_of_speedups() -> None:
    conditional = SimpleNamespace(seconds=np.array([1.0, 9.0]), energy_j=1.0)
    baseline = SimpleNamespace(seconds=np.array([10.0, 9.0]), energy_j=1.0)
    measures = Measures(np.arange(2), conditional, baseline)
    assert measures.speedup == pytest.approx(1.9)
