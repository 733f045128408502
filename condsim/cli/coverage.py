"""coverage: what decisions a trace has seen, and what it has not."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import check_known, open_trace, profile_for
from condsim.cli.commands import cli_command
from condsim.cli.output import command, out, print_json, suggest
from condsim.cli.scenario import ONE_AS_CAPTURED, OneScenarioOptions
from condsim.errors import CondsimError

TEST_SETS = ("branches", "sets", "transitions", "paths", "cost")
"""As in condsim.decide.coverage, which would bring NumPy into --help."""


@cli_command("coverage", "Which decisions were seen, and which few inputs would do?", place=90)
def coverage(
    trace: str,
    /,
    *,
    of: str | None = None,
    test_set: str | None = None,
    options: Annotated[OneScenarioOptions, Parameter(name="*")] = ONE_AS_CAPTURED,
    json: bool = False,
) -> None:
    """Say which decisions a trace has seen, what is unseen, and which few inputs would do.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    of
        A trace from production, of the same model: how much of what it does was tested?
    test_set
        The smallest set of inputs that shows all paths, branches, sets or transitions, or an input
        for each tenth of the range of cost.
    json
        Print JSON.
    """
    check_known("test set", test_set, TEST_SETS)
    options.check_one("name one of each")
    opened = open_trace(trace)
    production = None if of is None else open_trace(of)
    from condsim.decide.coverage.coverage import coverage as cover
    from condsim.decide.coverage.test_set import smallest_test_set

    priced = opened.header.has_programs
    profile = profile_for(options.device, opened) if priced else None
    scenario = _scenario(options)
    seen = cover(opened, profile, production, **scenario)
    chosen = None if test_set is None else smallest_test_set(opened, test_set, profile, **scenario)
    if json:
        data: dict[str, Any] = {"command": "coverage", **seen.to_dict(), "test_set": None}
        if chosen is not None:
            data["test_set"] = {"by": test_set, "units": chosen.units, "things": chosen.things}
            data["test_set"] |= {"at_least": chosen.at_least, "gap": chosen.gap}
        print_json(data)
        return
    from condsim.show.coverage import coverage_lines

    console = out()
    for line in coverage_lines(seen, chosen, test_set or ""):
        console.print(line)
    if test_set is None:
        suggest(command("coverage", trace, "--test-set", "paths"))


def _scenario(options: OneScenarioOptions) -> dict[str, Any]:
    """Fields of the scenario that units are priced in: a batch is one unit."""
    given = options.given_of_trace()
    if "batch" in given:
        raise CondsimError("--batch: coverage prices inputs one at a time; leave it out")
    return given
