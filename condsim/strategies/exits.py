"""How the tokens of a decode step leave, and how they pay for the keys and values that they skip.

Choice 0 is what those owe that leave, choice 1 the network after the exit.
"""

from __future__ import annotations

import numpy as np

from condsim.mechanisms import Guards, Rows
from condsim.mechanisms.token_exit import GOES_ON, LEAVES
from condsim.strategies.strategy import OWING, strategy

LATER = "later tokens see other keys and values, so the text differs"


@strategy("copied", OWING, shapes="any", steered="host", changes=LATER)
@strategy("projected", OWING, shapes="any", steered="host", changes=LATER)
def alone(guards: Guards) -> Rows:
    """Those that leave and those that go on, each by themselves."""
    return guards.every_row(), guards.taken()


def most_owed(guards: Guards) -> np.ndarray:
    """The tokens of each sequence behind an exit: as many as the one runs that owes the most.

    Returns int [n, guards]: 0 where no sequence goes on, and for what leaves, which runs as many
    as stand before the exit.
    """
    of_units = guards.tokens_of_units()
    most: np.ndarray = of_units.max(2, initial=0).astype(np.int64)
    goes_on = guards.choices == GOES_ON
    of_guards: np.ndarray = most * goes_on
    return of_guards


@strategy("recomputed", OWING, shapes="any", steered="host", changes=LATER, owed=most_owed)
def recomputed(guards: Guards) -> Rows:
    """All remember their state at the exit; those that go on run it along with what they owe."""
    leaves = guards.choices == LEAVES
    return guards.every_row(), np.where(leaves, guards.every_row(), guards.taken())


@strategy("wait", OWING, steered="host", changes=LATER)
def wait(guards: Guards) -> Rows:
    """The batch goes on together as long as one sequence does, and leaves together."""
    some_go_on = (guards.counts[:, GOES_ON] > 0)[:, None]
    leaves = guards.choices == LEAVES
    return guards.every_row(), np.where(some_go_on != leaves, guards.every_row(), 0)


@strategy("masked", OWING, needs=(), changes=LATER)
def masked(guards: Guards) -> Rows:
    """All sequences run all layers, and the exits give the tokens; nothing is owed."""
    leaves = guards.choices == LEAVES
    return guards.every_row(), np.where(leaves, 0, guards.every_row())
