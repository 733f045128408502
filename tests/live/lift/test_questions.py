import pytest
import torch
from live.lift.in_python import Exits, LightOrHeavy, WholeBatch, ready, run_with
from torch import nn

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.questions import AskedFloat, QuestionTape


def test_a_run_hears_the_answers_that_it_is_given() -> None:
    host = ready(Exits)
    run = run_with(host)([False], True)
    assert [question.answer for question in run.questions] == [False, True]
    called = [node.module for node in run.nodes if node.module is not None]
    assert called == [host.blocks[0], host.heads[0], host.blocks[1], host.heads[1]]


def test_a_tensor_of_many_values_may_be_asked_for_one() -> None:
    run = run_with(ready(WholeBatch), rows=5)([], False)
    assert len(run.questions) == 3
    assert {run.nodes[question.about.node].name for question in run.questions} == {"all"}


def test_a_number_of_a_choice_is_asked_for() -> None:
    run = run_with(ready(LightOrHeavy))([], True)
    (question,) = run.questions
    assert run.nodes[question.about.node].name == "eq"


class Counts(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kind = int(x.argmax(-1)[0])
        margin = 1 - x.max().item() * 2
        if margin > 0 and abs(-margin) >= 0.5:
            return x * kind
        return x


def test_computing_with_a_number_goes_on_with_the_tensor() -> None:
    x = torch.randn(4, 3)
    with pytest.raises(NotLiftable, match="picks in Python with a number"):
        QuestionTape(Counts(), [], True).run(Counts().forward, (x,), {})
    number = AskedFloat(0.5)
    number.tensor = torch.tensor(0.5)
    assert float(1 - number) == float(number - 1 + 1) == 0.5
    assert number > 0.25
    assert number <= 0.5
    assert (2 * number) / 2 == 0.5


def test_a_loop_that_asks_for_ever_ends() -> None:
    class ForEver(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            while x.sum() < 1:
                x = x + 1
            return x

    with pytest.raises(NotLiftable, match="more than 200 times"):
        QuestionTape(ForEver(), [], True).run(ForEver().forward, (torch.ones(2, 2),), {})
