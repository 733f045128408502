"""A trace and a prediction that is shown."""

from __future__ import annotations

import pytest

import condsim
from condsim.predict.prediction import Prediction
from condsim.resources import resource
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"


@pytest.fixture(scope="package")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="package")
def prediction(trace: Trace) -> Prediction:
    return condsim.simulate(trace, GPU, batch=8)
