"""sweep: every point of a grid, on all cores or a cluster, into one table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import check_at_least_one, check_output_file
from condsim.cli.commands import cli_command
from condsim.cli.output import Step, out, print_json, progress, say
from condsim.cli.scenario import ALL, AS_CAPTURED, ScenarioOptions
from condsim.cli.subject import open_subject
from condsim.errors import CondsimError

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Who prices the points, and where they are kept.

    Parameters
    ----------
    output
        A Parquet table of all points. The same command goes on where it was stopped.
    workers
        Processes. Default: one for each core, and one in all for up to 200 points.
    dask
        Address of a Dask scheduler whose workers do it: tcp://localhost:8786.
    """

    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    workers: int | None = None
    dask: str | None = None

    def check(self) -> None:
        """Raises CondsimError for no workers, and for a file that cannot be a table."""
        check_at_least_one("workers", self.workers)
        check_output_file(self.output, (".parquet",))


HERE = RunOptions()


@cli_command("sweep", "Predict every point of a grid, on all cores or a cluster.", place=140)
def sweep(
    subject: str,
    /,
    *,
    grid: list[str] | None = None,
    scenario: Annotated[ScenarioOptions, Parameter(name="*")] = AS_CAPTURED,
    run: Annotated[RunOptions, Parameter(name="*")] = HERE,
    details: bool = False,
    json: bool = False,
) -> None:
    """Predict every point of a grid: batch, device, strategy, skew, any number of a device.

    Parameters
    ----------
    subject
        Folder of a trace, the name of one that comes with condsim, or of a model (condsim models).
    grid
        An axis and its values, once for each axis: batch=1:256:log2, batch=8:64:8,
        device=all, strategy=grouped,looped, skew=0,0.5,1, memory.dram.bandwidth=0.5,1,2 (a factor).
    details
        Also peak memory, whether it fits, and the main loss; takes longer.
    json
        Print JSON.
    """
    run.check()
    _check(scenario)
    about = open_subject(subject)
    from condsim.decide.sweep.run import sweep as priced

    began = time.perf_counter()
    with progress() as bar:
        counted = _Counted(bar, run.output)
        with counted:
            table = priced(
                about,
                _over(grid or []),
                scenario.device,
                out=run.output,
                workers=run.workers,
                dask=run.dask,
                details=details,
                progress=counted,
                **scenario.given(),
            )
    if json:
        print_json({"command": "sweep", "subject": about.name, "points": table})
        return
    _print(table, counted, time.perf_counter() - began)
    if run.output is None:
        say("next: -o FILE.parquet keeps all rows")
    else:
        say(f"next: pandas.read_parquet({str(run.output)!r})")


def _check(scenario: ScenarioOptions) -> None:
    if scenario.names_all:
        what = "device" if scenario.device == ALL else "strategy"
        raise CondsimError(f"--{what} all is an axis: --grid {what}=all")
    scenario.check()


def _over(grid: list[str]) -> dict[str, Any]:
    """Axis → values. Raises CondsimError for an axis that is named twice."""
    from condsim.decide.sweep.axes import parse_axis

    over: dict[str, Any] = {}
    for text in grid:
        name, values = parse_axis(text)
        if name in over:
            raise CondsimError(f"--grid names {name} twice; list its values: {name}=A,B,C")
        over[name] = values
    return over


class _Counted:
    """Progress that knows how far it is, and says at an interruption what is kept."""

    def __init__(self, bar: Step, output: Path | None) -> None:
        self._bar = bar
        self._output = output
        self._before: float | None = None
        self.done = 0.0
        self.total = 0.0

    @property
    def priced(self) -> float:
        """Points that this run priced."""
        return self.done - (self._before or 0.0)

    def __call__(self, what: str, done: float, of: float) -> None:
        if self._before is None:
            self._before = done
        self.done, self.total = done, of
        self._bar(what, done, of)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        stopped = kind is not None and not issubclass(kind, Exception)
        if stopped and self._output is not None:
            kept = f"{self.done:,.0f} of {self.total:,.0f} points are kept in {self._output}"
            say(f"stopped: {kept}; the same command goes on")


def _print(table: pd.DataFrame, counted: _Counted, seconds: float) -> None:
    from condsim.show.sweep import points_table, summary_line

    console = out()
    console.print(summary_line(table))
    console.print(points_table(table, SHOWN_ROWS))
    rate = counted.priced / seconds if seconds else 0.0
    reused = counted.total - counted.priced
    words = f"{counted.priced:,.0f} points in {seconds:.1f} s ({rate:,.0f} a second)"
    if reused:
        words += f", {reused:,.0f} kept from before"
    say(words)
