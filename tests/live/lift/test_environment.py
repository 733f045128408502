"""Variables are forgotten after their last use."""

from __future__ import annotations

from condsim.live.lift.environment import Action, Environment, Variable, forgetting

FIRST, SECOND, RESULT = (Variable((number, None), ()) for number in range(3))


def set_to(variable: Variable, value: int) -> Action:
    """An action that sets a variable."""
    return Action(lambda environment: environment.update({variable: value}), writes={variable})


def test_what_nobody_reads_any_more_is_forgotten() -> None:
    def add(environment: Environment) -> None:
        environment[RESULT] = environment[FIRST] + environment[SECOND]

    actions = [set_to(FIRST, 1), set_to(SECOND, 2), Action(add, {FIRST, SECOND}, {RESULT})]
    environment: Environment = {}
    for run in forgetting(actions, kept={RESULT}):
        run(environment)
    assert environment == {RESULT: 3}


def test_what_came_from_outside_is_kept() -> None:
    def copy(environment: Environment) -> None:
        environment[RESULT] = environment[FIRST]

    environment: Environment = {FIRST: 1}
    for run in forgetting([Action(copy, {FIRST}, {RESULT})], kept={RESULT}):
        run(environment)
    assert environment == {FIRST: 1, RESULT: 1}
