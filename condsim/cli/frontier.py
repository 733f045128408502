"""frontier: quality against speed, on every device, beside dense rivals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import (
    all_devices,
    check_at_least_one,
    check_output_file,
    local_profile,
    open_trace,
    profile_for,
    trace_folder,
)
from condsim.cli.commands import cli_command
from condsim.cli.output import Step, command, out, print_json, progress, say, suggest
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.decide.frontier.frontier import Frontier
    from condsim.decide.frontier.recapture import Asked
    from condsim.hardware import HardwareProfile
    from condsim.trace import Trace

ALL = "all"
PLOTS = (".svg", ".pdf", ".png")


@dataclass(frozen=True, kw_only=True)
class FrontierOptions:
    """What is compared, and how. The texts below are the command line's help.

    Parameters
    ----------
    device
        A profile, a YAML file, this-machine, or all: where the trace was measured, and all that
        come with condsim.
    batch
        Batch sizes (default: the captured one).
    phase
        prefill or decode, of a trace that has both.
    strategy
        How sites execute. Default: on each device the fastest that gives the model's own outputs.
    tolerance
        As good: at most this share worse than the dense network.
    target
        The speed that is claimed; 1.3 is "30 % faster".
    """

    device: str = ALL
    batch: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None
    phase: str | None = None
    strategy: str | None = None
    tolerance: float = 0.005
    target: float = 1.3

    def check(self) -> None:
        """Raises CondsimError for a batch below 1; the library checks the rest."""
        for batch in self.batch or ():
            check_at_least_one("batch", batch)

    def devices(self, trace: Trace, measured: bool) -> list[HardwareProfile] | None:
        """The device that was named; None for all.

        measured: whether settings were timed here just now, so that this machine comes first.
        """
        if self.device != ALL:
            return [profile_for(self.device, trace)]
        if not measured:
            return None
        here = local_profile(dtype=trace.dtype)
        others = [device for device in all_devices(trace) if device.name != here.name]
        return [here, *others]

    def asked(self) -> dict[str, Any]:
        """Arguments of `condsim.frontier`."""
        asked: dict[str, Any] = {
            "batches": self.batch or (None,),
            "tolerance": self.tolerance,
            "target": self.target,
        }
        for name in ("phase", "strategy"):
            if getattr(self, name) is not None:
                asked[name] = getattr(self, name)
        return asked


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is run again before the answer. The texts below are the command line's help.

    Parameters
    ----------
    capture
        Run the model at other settings first; their traces are kept beside this one, in the folder
        settings. Needs PyTorch. Early exits that kept their scores need it only to be timed.
    measure
        Time each setting here, too.
    settings
        NAME=VALUE,VALUE,...: which settings. The name is an argument of the function that the
        trace's spec names. Default: what the zoo knows for its model.
    batches
        Of the inputs that are captured, at most (default: as many as the trace has).
    force
        Replace settings that have measurements; they are lost.
    """

    capture: bool = False
    measure: bool = False
    settings: str | None = None
    batches: int | None = None
    force: bool = False

    @property
    def runs(self) -> bool:
        """Whether anything is run."""
        return self.capture or self.measure

    def parsed(self) -> Asked | None:
        """The settings that were named. Raises CondsimError for what is none, or runs nothing."""
        check_at_least_one("batches", self.batches)
        if self.settings is None:
            return None
        if not self.runs:
            raise CondsimError(
                f"--settings {self.settings} are run again: add --capture, or --measure"
            )
        from condsim.decide.frontier.recapture import Asked

        return Asked.parse(self.settings)


COMPARED = FrontierOptions()
NOTHING = RunOptions()


@cli_command("frontier", "Quality against speed: is it faster at equal quality?", place=100)
def frontier(
    trace: str,
    /,
    *,
    options: Annotated[FrontierOptions, Parameter(name="*")] = COMPARED,
    run: Annotated[RunOptions, Parameter(name="*")] = NOTHING,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Put quality against speed: is the model 30 % faster at equal quality, and where?

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    plot
        Draw it for a device of each kind: .svg, .pdf or .png.
    json
        Print JSON.
    """
    options.check()
    check_output_file(plot, PLOTS)
    asked = run.parsed()
    folder = trace_folder(trace)
    opened = open_trace(trace)
    if run.runs:
        _run(folder, opened, run, asked, options.batch or [])
    from condsim.decide.frontier.frontier import frontier as compared

    found = compared(folder, options.devices(opened, run.measure), **options.asked())
    if plot is not None:
        from condsim.show.frontier_figure import save_frontier

        save_frontier(found, plot)
    if json:
        print_json({"command": "frontier", **found.to_dict()})
        return
    _show(found, trace)


def _run(
    folder: Path, trace: Trace, run: RunOptions, asked: Asked | None, batches: list[int]
) -> None:
    """Capture the model at other settings, and time it there; traces are kept as they are made."""
    from condsim.decide.frontier.recapture import captured_at, check_targets, timed_at, usual
    from condsim.decide.frontier.settings import FOLDER

    settings, beside = [asked] if asked else usual(trace), folder / FOLDER
    check_targets(beside, settings, run.force)
    count = 0
    with progress() as step:
        if run.measure:
            local_profile(step, dtype=trace.dtype)
        for each in settings:
            for name, other in captured_at(trace, each, run.batches, step):
                kept = timed_at(other, batches, _part(step, name)) if run.measure else other
                kept.save(beside / name, run.force)
                count += 1
    say(f"kept: {count} settings in {beside}")


def _part(step: Step, name: str) -> Step:
    """Progress of one setting."""

    def of_part(what: str, done: float, of: float = 1.0) -> None:
        step(f"{name}: {what}", done, of)

    return of_part


def _show(found: Frontier, trace: str) -> None:
    from condsim.show.frontier import frontier_lines

    console = out()
    for line in frontier_lines(found):
        console.print(line)
    if len(found.points["point"].unique()) <= 2:
        suggest(command("frontier", trace, "--capture"))
