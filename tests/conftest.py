"""What all tests share: one thread, and small captured models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run on whatever the machine has left; the result must not depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers share nothing, so that what captures a model once should be in one: the gates' tests go by model, the others by file."""
    for item in items:
        called = getattr(item, "callspec", None)
        name = called.params.get("name") if called is not None and "gates" in item.path.parts else None
        item.add_marker(pytest.mark.xdist_group(str(name or item.path)))
