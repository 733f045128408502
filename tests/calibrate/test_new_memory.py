"""What new memory costs."""

from __future__ import annotations

import torch

from condsim.calibrate.new_memory import fresh_page_seconds


def test_new_memory_costs_no_negative_time() -> None:
    with torch.inference_mode():
        assert 0 <= fresh_page_seconds(repeats=1, elements=2**20) < 1e-6
