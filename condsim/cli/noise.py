"""noise: what noisy inputs do to quality, routing and speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from condsim.cli.arguments import check_at_least_one, open_trace, profile_for, trace_folder
from condsim.cli.commands import cli_command
from condsim.cli.output import out, print_json, progress, say
from condsim.cli.scenario import ONE_AS_CAPTURED, OneScenarioOptions
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.decide.frontier.recapture import Asked
    from condsim.trace import Trace


@cli_command("noise", "What do noisy inputs do to quality, routing and speed?", place=110)
def noise(
    trace: str,
    /,
    *,
    capture: bool = False,
    inputs: list[str] | None = None,
    batches: int | None = None,
    force: bool = False,
    options: Annotated[OneScenarioOptions, Parameter(name="*")] = ONE_AS_CAPTURED,
    json: bool = False,
) -> None:
    """Compare clean with noisy inputs: quality path by path, how routing moves, what it costs.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    capture
        Run the model on noisy inputs first; their traces are kept beside this one, in the folder
        noise. Needs PyTorch.
    inputs
        NAME=VALUE,VALUE,...: which noise. For a zoo model gaussian (deviation), occlusion (pixels
        a side) or bytes (share); else an argument of the function that the trace's spec names.
    batches
        Of the inputs that are captured, at most (default: as many as the trace has).
    force
        Replace traces of noisy inputs that have measurements; they are lost.
    json
        Print JSON.
    """
    check_at_least_one("batches", batches)
    options.check_one("noise is looked at on one of each")
    if inputs and not capture:
        raise CondsimError(f"--inputs {inputs[0]} are run: add --capture")
    folder = trace_folder(trace)
    opened = open_trace(trace)
    if capture:
        _capture(folder, opened, _asked(opened, inputs or []), batches, force)
    from condsim.decide.noise.noise import noise as compared
    from condsim.decide.noise.noise import noisy_in

    given = options.given_of_trace()
    noisy = noisy_in(folder, opened)
    found = compared(opened, profile_for(options.device, opened), noisy=noisy, **given)
    if json:
        print_json({"command": "noise", **found.to_dict()})
        return
    from condsim.show.noise import noise_lines

    console = out()
    for line in noise_lines(found):
        console.print(line)


def _capture(
    folder: Path, trace: Trace, asked: list[Asked], batches: int | None, force: bool
) -> None:
    """Capture the model on noisy inputs; each trace is kept as it is made."""
    from condsim.decide.frontier.recapture import check_targets, observed_at
    from condsim.decide.noise.noise import FOLDER

    check_targets(folder / FOLDER, asked, force)
    count = 0
    with progress() as step:
        for each in asked:
            for name, other in observed_at(trace, each, batches, step):
                other.save(folder / FOLDER / name, force)
                count += 1
    say(f"kept: {count} noisy inputs in {folder / FOLDER}")


def _asked(trace: Trace, inputs: list[str]) -> list[Asked]:
    """The noise that was named; else what the zoo knows for the inputs of its model."""
    from condsim.decide.frontier.recapture import Asked

    if inputs:
        return [Asked.parse(text) for text in inputs]
    from condsim.trace.spec import without_setting
    from condsim.zoo import ZOO
    from condsim.zoo.noise import NOISE

    spec = without_setting(trace.header.provenance.spec or "")
    if spec not in ZOO:
        raise CondsimError(
            f"inputs: say what makes the inputs of {trace.name!r} noisy, an argument of the "
            "function that its spec names: --inputs NAME=VALUE,VALUE,..."
        )
    fitting = [name for name in NOISE if NOISE[name].data == ZOO[spec].data]
    return [Asked(name, NOISE[name].usual) for name in fitting]
