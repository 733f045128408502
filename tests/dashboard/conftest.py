"""The real server and a real browser, started once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import browser


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server answers."""
    with browser.served(tmp_path_factory.mktemp("server")) as where:
        yield where


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium of the system."""
    try:
        with browser.chromium() as found:
            yield found
    except browser.Missing as missing:
        pytest.skip(f"the browser test {missing}")


@pytest.fixture(scope="session")
def used_profile(chromium: Any) -> Any:
    """A profile that has been here before: it has the scripts of the page already."""
    return browser.profile(chromium)
