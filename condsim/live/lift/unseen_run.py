"""A forward run once more beside its lifted form, so that its own values can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from condsim.live.execution import Execution, current, executing
from condsim.live.lift.environment import Environment, Variable
from condsim.live.lift.tape import Tape, Unforced


@contextmanager
def unseen_run(
    tape: Tape, inputs: Sequence[Variable], environment: Environment
) -> Iterator[Unforced]:
    """Run the forward of a tape on copies of its inputs. Nothing is forced, nothing is recorded
    until the end of the block.

    inputs: of the forward, whose values are in the environment.
    """
    assert tape.call is not None
    again = Unforced(tape.host, lone=False, opens=tape.opens)
    with current().quiet(), executing(Execution()):
        own = [environment[variable].clone() for variable in inputs]
        call = tape.call.of_others(own)
        again.run(call.forward, call.args, call.kwargs)
        yield again
