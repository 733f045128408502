"""drift: what moved between two traces, could it be chance, and what does it cost?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from condsim.cli.arguments import open_trace, profile_for
from condsim.cli.commands import cli_command
from condsim.cli.output import out, print_json
from condsim.cli.scenario import ONE_AS_CAPTURED, OneScenarioOptions
from condsim.errors import CondsimError


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """The second trace as a stream.

    Parameters
    ----------
    false_alarm_every
        Take the second trace for a stream of windows, of which so many without drift have one
        false alarm.
    window
        Sequences, or images, of a window. Default: 32.
    """

    false_alarm_every: int | None = None
    window: int | None = None

    def check(self) -> None:
        """Raises CondsimError for a window of no stream."""
        if self.window is not None and self.false_alarm_every is None:
            raise CondsimError("--window is of a stream: name --false-alarm-every too")


NO_STREAM = StreamOptions()


@cli_command("drift", "What moved between two traces, and what does it cost?", place=130)
def drift(
    a: str,
    b: str,
    /,
    *,
    again: str | None = None,
    level: float = 0.05,
    stream: Annotated[StreamOptions, Parameter(name="*")] = NO_STREAM,
    options: Annotated[OneScenarioOptions, Parameter(name="*")] = ONE_AS_CAPTURED,
    json: bool = False,
) -> None:
    """Say what moved between two traces of a model, whether it can be chance, and what it costs.

    Parameters
    ----------
    a
        Folder of the trace that is compared with, or the name of one that comes with condsim.
    b
        The other trace.
    again
        The inputs of the first trace captured a second time: the noise floor.
    level
        Probability of calling drift where there is none.
    json
        Print JSON.
    """
    options.check_one("name one of each; all strategies are priced")
    stream.check()
    traces = open_trace(a), open_trace(b)
    captured_again = None if again is None else open_trace(again)
    from condsim.decide.drift.drift import drift as moved
    from condsim.decide.drift.stream import WINDOW

    priced = all(trace.header.has_programs for trace in traces)
    profile = profile_for(options.device, traces[0]) if priced else None
    window = WINDOW if stream.window is None else stream.window
    found = moved(
        *traces,
        profile,
        again=captured_again,
        level=level,
        false_alarm_every=stream.false_alarm_every,
        window=window,
        **options.given_of_trace(),
    )
    if json:
        print_json({"command": "drift", **found.to_dict()})
        return
    from condsim.show.drift import drift_lines

    console = out()
    for line in drift_lines(found):
        console.print(line)
