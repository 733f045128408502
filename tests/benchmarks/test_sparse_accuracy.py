"""Dense runs of equal FLOPs: what the table of sparse training's accuracy compares with."""

from __future__ import annotations

import pytest

from benchmarks.sparse_accuracy import DENSITIES, runs, weights_of


@pytest.mark.parametrize("density", DENSITIES)
def test_dense_runs_have_no_more_flops_than_rigl(density: float) -> None:
    of_density = {run.what: run for run in runs(6000) if run.of == density}
    rigl = of_density["rigl"].flops
    assert of_density["short"].flops == pytest.approx(rigl, rel=0.005)
    assert 0.7 * rigl < of_density["narrow"].flops <= rigl


def test_all_weights_of_the_whole_network_are_counted() -> None:
    assert weights_of((300, 100), 1.0) == 784 * 300 + 300 * 100 + 100 * 10
