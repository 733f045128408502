"""A cache folder of its own for each test, and a profile's file to break."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.hardware import find
from condsim.resources import resource


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cache(_name: str) -> str:
        return str(tmp_path / "cache")

    monkeypatch.setattr(find, "user_cache_dir", cache)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of a shipped profile."""
    target = tmp_path / "device.yaml"
    target.write_text((resource("hwprofiles") / "nvidia-h100-sxm.yaml").read_text())
    return target
