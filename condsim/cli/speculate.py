"""speculate: does drafting with an early exit pay?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import check_at_least_one, open_trace, profile_for
from condsim.cli.commands import cli_command
from condsim.cli.output import command, out, print_json, suggest


@dataclass(frozen=True, kw_only=True)
class SpeculateOptions:
    """How drafts are made, and where. The texts below are the command line's help.

    Parameters
    ----------
    device
        A profile (condsim profiles lists them), a YAML file, or this-machine. Default: where the
        trace was measured, else this machine.
    exit
        The exit that drafts. Default: each.
    drafts
        Drafts a cycle, one number or several. Default: 1 2 3 4 6 8.
    batch
        Sequences that are decoded together, as far as the one of the fewest kept drafts.
    dtype
        Of weights and activations. Default: the profile's.
    runtime
        eager, compiled or cuda_graphs. Default: the profile's.
    """

    device: str | None = None
    exit: str | None = None
    drafts: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None
    batch: int = 1
    dtype: str | None = None
    runtime: str | None = None

    def check(self) -> None:
        """Raises CondsimError for a number below 1."""
        check_at_least_one("batch", self.batch)
        for drafts in self.drafts or ():
            check_at_least_one("drafts", drafts)

    def asked(self) -> dict[str, Any]:
        """Arguments of `condsim.speculate`."""
        return {
            "exit": self.exit,
            "drafts": self.drafts,
            "batch": self.batch,
            "dtype": self.dtype,
            "runtime": self.runtime,
        }


USUAL = SpeculateOptions()


@cli_command("speculate", "Does drafting with an early exit pay?", place=120)
def speculate(
    trace: str,
    /,
    *,
    options: Annotated[SpeculateOptions, Parameter(name="*")] = USUAL,
    json: bool = False,
) -> None:
    """Price self-speculative decoding: draft with an early exit, verify with the whole model.

    Parameters
    ----------
    trace
        Folder of a trace of a decoder with exits, or the name of one that comes with condsim.
    json
        Print JSON.
    """
    options.check()
    opened = open_trace(trace)
    from condsim.decide.speculation.speculate import speculate as price

    found = price(opened, profile_for(options.device, opened), **options.asked())
    if json:
        print_json({"command": "speculate", **found.to_dict()})
        return
    from condsim.show.speculation import speculation_lines

    console = out()
    for line in speculation_lines(found):
        console.print(line)
    suggest(command("simulate", trace, "--strategy", "all"))
