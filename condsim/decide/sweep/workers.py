"""Who prices chunks: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from joblib import parallel_config

from condsim import checks
from condsim.decide.sweep.orphans import end_with
from condsim.errors import CondsimError

DASK_TIMEOUT_S = 5
MOST_WORKERS = 512
FEW_POINTS = 200
"""Up to so many are priced sooner than other processes have started."""


@dataclass(frozen=True)
class Workers:
    """Who prices chunks. count: processes; None for one a core, and for this one alone where there
    are few points. dask: address of a scheduler.

    Raises CondsimError for a number of workers that cannot be.
    """

    count: int | None = None
    dask: str | None = None

    def __post_init__(self) -> None:
        count = self.count
        if count is not None:
            checks.whole("workers", count, most=MOST_WORKERS)
        if count is not None and self.dask is not None:
            raise CondsimError("workers and dask: a cluster has its own workers; name one of both")

    @contextlib.contextmanager
    def running(self, content: Any, points: int) -> Iterator[int]:
        """While it lasts, joblib uses them. content: is sent to each once. points: that are
        priced. Gives their number."""
        if self.dask is None:
            usual = 1 if points <= FEW_POINTS else len(os.sched_getaffinity(0))
            count = self.count or usual
            with parallel_config(
                "loky", inner_max_num_threads=1, initializer=end_with, initargs=(os.getpid(),)
            ):
                yield count
            return
        with client_of(self.dask) as client:
            workers = sum(client.nthreads().values())
            if not workers:
                raise CondsimError(
                    f"the Dask scheduler at {self.dask} has no workers: start some "
                    f"(dask worker {self.dask})"
                )
            with parallel_config(backend="dask", scatter=[content], client=client):
                yield workers


@contextlib.contextmanager
def client_of(address: str) -> Iterator[Any]:
    """Give a client of a Dask scheduler while it lasts.

    Raises CondsimError where none answers.
    """
    import distributed

    try:
        _outside_of_any_loop(_identity(address))
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise CondsimError(
            f"no Dask scheduler answers at {address!r} within {DASK_TIMEOUT_S} s: start one "
            "(dask scheduler) and name its address, such as tcp://localhost:8786"
        ) from error
    client = distributed.Client(address, timeout=DASK_TIMEOUT_S, set_as_default=False)
    try:
        yield client
    finally:
        client.close()


def _outside_of_any_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, also from a notebook, in whose thread a loop runs already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, coroutine).result()


async def _identity(address: str) -> None:
    """Ask a scheduler who it is. Raises an error of several kinds where none answers."""
    import distributed

    scheduler = distributed.rpc(address, timeout=DASK_TIMEOUT_S)
    try:
        await asyncio.wait_for(scheduler.identity(), DASK_TIMEOUT_S)
    finally:
        await scheduler.close_rpc()
