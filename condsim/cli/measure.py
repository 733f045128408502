"""measure: time a captured model here, and add the times to its trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from condsim.cli.arguments import (
    MOST_THREADS,
    check_at_least_one,
    check_known,
    local_profile,
    open_trace,
)
from condsim.cli.commands import cli_command
from condsim.cli.output import progress
from condsim.cli.recorded import report
from condsim.errors import CondsimError, unknown
from condsim.protocols import PROTOCOLS

if TYPE_CHECKING:
    from condsim.trace import Trace

RUNTIMES = ("eager", "compiled")


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What is timed, and how. The texts below are the command line's help.

    Parameters
    ----------
    strategy
        One strategy, or all that run here (default: the captured one).
    batch
        Batch sizes (default: the captured one).
    processes
        Fresh processes a case. Default: 3; by segment 1.
    pairs
        Interleaved pairs of conditional and baseline a process. Default: 30; by segment 36.
    protocol
        What runs between two runs of a step. repeat: its baseline; loop: nothing; stream: the
        other steps of the trace. Default: loop where one step was captured, else repeat.
    by
        segment: time every operator with PyTorch's profiler instead, for condsim compare --by
        segment.
    threads
        PyTorch threads; several are compared with `condsim compare --device` on a profile of
        `condsim calibrate --threads`.
    runtime
        compiled: under torch.compile, a graph between two sites. Compared with a profile of
        `condsim calibrate --compiled`.
    device
        cuda: on the GPU. Tested on CPUs only so far.
    """

    strategy: str | None = None
    batch: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None
    processes: int | None = None
    pairs: int | None = None
    protocol: str | None = None
    by: str | None = None
    threads: int = 1
    runtime: str = RUNTIMES[0]
    device: str = "cpu"

    def check(self) -> None:
        """Raises CondsimError for what no trace could be measured with."""
        check_at_least_one("processes", self.processes)
        check_at_least_one("pairs", self.pairs)
        check_at_least_one("threads", self.threads, MOST_THREADS)
        for batch in self.batch or ():
            check_at_least_one("batch", batch)
        check_known("protocol", self.protocol, tuple(PROTOCOLS))
        check_known("by", self.by, ("segment",))
        check_known("runtime", self.runtime, RUNTIMES)
        if self.by is not None:
            self._check_by_segment()

    def _check_by_segment(self) -> None:
        """Raises CondsimError for what PyTorch's profiler is not used for."""
        if self.protocol is not None:
            raise CondsimError(
                f"--by segment times a step in turn with its baseline; leave out --protocol "
                f"{self.protocol}"
            )
        if self.runtime != RUNTIMES[0]:
            raise CondsimError(
                f"--by segment times operators of eager PyTorch; leave out --runtime {self.runtime}"
            )
        if self.device != "cpu":
            raise CondsimError(
                f"--by segment times operators on a CPU; leave out --device {self.device}"
            )
        if self.threads > 1:
            raise CondsimError(
                f"--by segment times operators of one thread; leave out --threads {self.threads}"
            )

    def strategies(self, trace: Trace) -> list[str] | None:
        """The strategies to time; None: the captured one. Raises CondsimError for unknown ones."""
        from condsim.predict.choose import probed_strategies

        if self.strategy is None:
            return None
        able = probed_strategies(trace)
        if self.strategy == "all":
            return able
        if self.strategy not in able:
            raise unknown("strategy", self.strategy, able, f"what {trace.name} was captured with")
        return [self.strategy]

    def timer(self) -> Callable[..., Trace]:
        """The library's function that times a trace, with how often."""
        from condsim.measure import measure as time_pairs
        from condsim.measure import measure_segments

        if self.by is not None:
            return partial(measure_segments, processes=self.processes or 1, pairs=self.pairs or 36)
        return partial(
            time_pairs,
            processes=self.processes or 3,
            pairs=self.pairs or 30,
            protocol=self.protocol,
            device=self.device,
            threads=self.threads,
            runtime=self.runtime,
        )


MEASURE_AS_CAPTURED = MeasureOptions()


@cli_command("measure", "Time a captured model here, against its baselines.", place=50)
def measure(
    trace: str,
    /,
    *,
    options: Annotated[MeasureOptions, Parameter(name="*")] = MEASURE_AS_CAPTURED,
    json: bool = False,
) -> None:
    """Time a captured model here, in pairs with its baselines; the times are added to the trace.

    Parameters
    ----------
    trace
        Folder of a trace whose model a spec can rebuild.
    json
        Print JSON.
    """
    options.check()
    opened = open_trace(trace)
    opened.require_rows()
    folder = _folder_of_measured(trace, opened.name)
    from condsim.trace.store import add_measured, check_target

    check_target(folder, force=True)
    timer = options.timer()
    strategies = options.strategies(opened)
    with progress() as step:
        if options.device == "cpu":
            local_profile(step, options.threads, opened.dtype)
        timed = timer(opened, strategies=strategies, batches=options.batch, progress=step)
    timed = add_measured(folder, timed, opened)
    report(timed, folder, "measure", json, options.by)


def _folder_of_measured(where: str, name: str) -> Path:
    """The folder that a measured trace is saved in.

    where: the folder that was given, or the name of a trace that comes with condsim. name: of the
    trace; one that comes with condsim is saved in a new folder of that name.
    """
    if Path(where).exists():
        return Path(where)
    folder = Path(name)
    if folder.exists():
        raise CondsimError(
            f"{where} comes with condsim and would be measured into {folder}, which exists; "
            "run this in another folder"
        )
    return folder
