"""advise: does it pay here, why, what would gain most, when does it flip?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.output import command, out, print_json, progress, say, suggest
from condsim.cli.scenario import ScenarioOptions
from condsim.cli.subject import open_subject
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.decide.advise.advice import Advice

REQUIRED = "speedup"


@dataclass(frozen=True, kw_only=True)
class AdvisedOptions(ScenarioOptions):
    """The scenario that is advised on: one device and one strategy.

    Parameters
    ----------
    device
        A profile (condsim profiles lists them), a YAML file, or this-machine. Default: where the
        trace was measured, else this machine.
    strategy
        How sites execute (looped, compacted, ...). Default: as captured.
    """

    device: str | None = None
    strategy: str | None = None


ADVISED = AdvisedOptions()


def advise(
    subject: str,
    /,
    *,
    scenario: str | None = None,
    options: Annotated[AdvisedOptions, Parameter(name="*")] = ADVISED,
    threshold: Annotated[float | None, Parameter(name="--pays-from")] = None,
    require: str | None = None,
    json: bool = False,
) -> int:
    """Say whether it pays, and on what that rests: why, what gains most, when it flips.

    Parameters
    ----------
    subject
        Folder of a trace, the name of one that comes with condsim, or of a model (condsim models).
    scenario
        edge (one input at a time), server (32), batch (as many as there are), or a YAML file.
    threshold
        The speedup from which it pays. Default: 1, or what the scenario says.
    require
        speedup=1.2: exit with 1 unless the interval lies above it.
    json
        Print JSON.
    """
    required = None if require is None else _required(require)
    _check(options, threshold)
    about = open_subject(subject)
    from condsim.decide.advise.advise import advise as advised

    with progress() as bar:
        advice = advised(
            about,
            options.device,
            scenario=scenario,
            threshold=threshold if required is None else required,
            where=subject,
            progress=bar,
            **_given(options),
        )
    _show(advice, required, json)
    if required is not None and not advice.meets(required):
        return 1
    if not json:
        _suggest(advice, subject, options)
    return 0


def _required(text: str) -> float:
    """The speedup of "speedup=1.2"."""
    name, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if name.strip() != REQUIRED or not equals or not 0 < number < 1000:
        raise CondsimError(f"--require is speedup=NUMBER, such as speedup=1.2, got {text!r}")
    return number


def _check(options: AdvisedOptions, threshold: float | None) -> None:
    if options.names_all:
        raise CondsimError(
            "--device and --strategy: advice is on one of each; condsim sweep --grid device=all "
            "compares them"
        )
    if threshold is not None and not 0 < threshold < 1000:
        raise CondsimError(f"--pays-from is a speedup above 0, got {threshold:g}")
    options.check()


def _given(options: AdvisedOptions) -> dict[str, Any]:
    """What was named: a scenario gives the rest."""
    return options.given()


def _show(advice: Advice, required: float | None, json: bool) -> None:
    met = None if required is None else advice.meets(required)
    if json:
        print_json({"command": "advise", **advice.to_dict(), "required": required, "met": met})
        return
    from condsim.show.advice import advice_lines

    console = out()
    for line in advice_lines(advice):
        console.print(line)
    if met is not None:
        say(f"required: speedup {required:g}: " + ("met" if met else "not met"))


def _suggest(advice: Advice, subject: str, options: AdvisedOptions) -> None:
    device = [] if options.device is None else ["--device", options.device]
    batch = command(
        "sweep", subject, *device, "--grid", "batch=1:64:log2", "--grid", "strategy=all"
    )
    suggest(batch)
