"""What all tests share: one thread, and small captured models."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from gates.models import NAMES
from hypothesis import settings

from condsim.measure import plan

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
"""The same examples on every run, and no limit of time: tests run on whatever the machine has
left."""


@pytest.fixture(autouse=True, scope="session")
def nobody_waits() -> Iterator[None]:
    """Workers disturb each other all the time, so that a quiet machine would be waited for in
    vain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PATIENCE_S", 0.0)
        yield


TIMED = ("benchmarks", "calibrate", "cli", "measure", "self_check", "timing", "trace")
"""Folders of tests that time something."""


@pytest.fixture(autouse=True, scope="module")
def nothing_old_is_collected(request: pytest.FixtureRequest) -> None:
    """What is timed collects garbage before, which takes longer the more was imported: what is
    there by now is looked at for the last time."""
    if request.path.parent.name in TIMED:
        gc.collect()
        gc.freeze()


CALIBRATED = ("tests/calibrate/test_cpu.py", "tests/calibrate/test_cpu_profile.py")
"""Files that share one calibration."""
LONG_GROUPS = ("installed", "calibrated", "tests/dashboard/test_browser.py", *NAMES)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run on whatever the machine has left; the result must not depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups of few but long tests begin first, so that no worker waits for them in the end."""
    items.sort(key=lambda item: group(item.nodeid) not in LONG_GROUPS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers share nothing, so what is made once (a captured model, an installed wheel) should
    be in one. xdist's own groups have no effect under pytest 9.2: they are written into the
    names of tests, which it does not let be changed any more."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # it would put groups of few tests last

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return ByGroup(config, log)


def group(nodeid: str) -> str:
    """Tests of one group run in one worker: those of one model together, which takes longer to
    capture than to test, those of the installed wheel together, those of one calibration, the
    others by file."""
    file, _, test = nodeid.partition("::")
    name = test.partition("[")[2].removesuffix("]")
    if name in NAMES:
        return name
    if file in CALIBRATED:
        return "calibrated"
    return "installed" if "installed/" in file else file
