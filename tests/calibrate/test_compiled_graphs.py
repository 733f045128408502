"""What the host does under torch.compile."""

from __future__ import annotations

import shutil

import pytest

from condsim.calibrate import compiled_graphs
from condsim.calibrate.compiled_graphs import compiled_costs
from condsim.errors import CondsimError
from condsim.timing.cases import Pool, threads
from condsim.timing.yardstick import Yardstick


@pytest.mark.skipif(shutil.which("g++") is None, reason="TorchInductor needs a C++ compiler")
def test_compiled_graphs_have_costs() -> None:
    with threads(1):
        costs = compiled_costs(Pool(), Yardstick(), rounds=1)
    assert costs.keys() == {"compiled.graph", "compiled.kernel", "compiled.product"}
    assert costs["compiled.graph"] > 0


def test_a_compiler_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("no compiler\nmany more lines")

    monkeypatch.setattr(compiled_graphs, "_compiled_calls", lambda _pool: {("block", 1): fails})
    with pytest.raises(CondsimError, match=r"failed: no compiler; calibrate without --compiled"):
        compiled_costs(Pool(), Yardstick(readings=1))
