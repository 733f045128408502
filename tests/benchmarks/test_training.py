"""The training part of the accuracy suite: its frozen list, and how a run is judged."""

from __future__ import annotations

import re

import pandas as pd
import torch

from benchmarks.suite import models
from benchmarks.suite.trained import mean_square, read
from benchmarks.training import wrong_orders
from condsim.zoo.base import ZOO


def test_the_list_is_wide_enough() -> None:
    cases = read()
    assert len(cases) == len(set(cases)) == 45
    experts = {int(found[1]) for case in cases for found in re.finditer(r"-e(\d+)", case.model)}
    assert {8, 16, 32, 64} <= experts
    assert {case.batch for case in cases} >= {1, 8, 32}
    assert {case.strategy for case in cases} >= {"looped", "grouped", "batched", "compacted"}


def test_every_model_is_known() -> None:
    for name in {case.model for case in read()}:
        of_zoo = any(name == known or name.startswith(f"{known}-") for known in ZOO)
        assert of_zoo or name.split("-")[0] in models.FAMILIES, name


def test_a_wrong_order_is_found() -> None:
    rows = [
        ("right", "looped", 2.0, 3.0),
        ("right", "grouped", 1.0, 1.0),
        ("wrong", "looped", 2.0, 1.0),
        ("wrong", "grouped", 1.0, 1.5),
        ("alike", "looped", 1.02, 1.0),
        ("alike", "grouped", 1.0, 1.5),
        ("alone", "looped", 1.0, 1.0),
    ]
    columns = ["model", "strategy", "measured_latency_s", "predicted_latency_s"]
    table = pd.DataFrame(rows, columns=columns).assign(batch=4)
    assert wrong_orders(table) == ["wrong, batch 4"]


def test_any_output_has_a_loss() -> None:
    assert float(mean_square(torch.tensor([1.0, 3.0]))) == 5.0
