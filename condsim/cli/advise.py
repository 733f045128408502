"""advise: does it pay here, why, what would gain most, when does it flip?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from condsim.cli.commands import cli_command
from condsim.cli.output import command, out, print_json, progress, say, suggest
from condsim.cli.scenario import ONE_AS_CAPTURED, OneScenarioOptions
from condsim.cli.subject import open_subject
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.decide.advise.advice import Advice

REQUIRED = "speedup"


@cli_command("advise", "Does it pay here, why, what gains most, when does it flip?", place=80)
def advise(
    subject: str,
    /,
    *,
    scenario: str | None = None,
    options: Annotated[OneScenarioOptions, Parameter(name="*")] = ONE_AS_CAPTURED,
    pays_from: float | None = None,
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
    pays_from
        The speedup from which it pays. Default: 1, or what the scenario says.
    require
        speedup=1.2: exit with 1 unless the interval lies above it.
    json
        Print JSON.
    """
    required = None if require is None else _required(require)
    _check(options, pays_from)
    about = open_subject(subject)
    from condsim.decide.advise.advise import advise as advised

    with progress() as bar:
        limit = pays_from if required is None else required
        advice = advised(
            about,
            options.device,
            scenario=scenario,
            pays_from=limit,
            where=subject,
            progress=bar,
            **options.given(),  # a scenario gives the rest
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


def _check(options: OneScenarioOptions, pays_from: float | None) -> None:
    options.check_one("advice is on one of each; condsim sweep --grid device=all compares them")
    if pays_from is not None and not 0 < pays_from < 1000:
        raise CondsimError(f"--pays-from is a speedup above 0, got {pays_from:g}")


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


def _suggest(advice: Advice, subject: str, options: OneScenarioOptions) -> None:
    device = [] if options.device is None else ["--device", options.device]
    batch = command(
        "sweep", subject, *device, "--grid", "batch=1:64:log2", "--grid", "strategy=all"
    )
    suggest(batch)
