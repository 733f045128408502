"""What decides between two ways, of each row, from what Python asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Ref
from condsim.live.lift.questions import Question, QuestionTape
from condsim.live.lift.tape import tensor_of
from condsim.live.lift.ways import Parting, Ways


@dataclass(frozen=True)
class Decider(ABC):
    """A function of tensors that gives the rows that stay, bool [rows].

    reads: the tensors of the reference, in order.
    """

    reads: tuple[Ref, ...]

    @abstractmethod
    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The rows that stay."""


@dataclass(frozen=True)
class OfEachRow(Decider):
    """A tensor of one value a row says it. stays_on: the value of rows that stay."""

    stays_on: bool

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        (asked,) = tensors
        rows = asked.reshape(-1)
        return rows if self.stays_on else ~rows


@dataclass(frozen=True)
class OfTheBatch(Decider):
    """One value says it for all rows of a second tensor. stays_on: the value where they stay."""

    stays_on: bool

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        asked, rows = tensors
        stays = asked.reshape(()) if self.stays_on else ~asked.reshape(())
        return stays.expand(rows.shape[0])


@dataclass(frozen=True)
class OfAllAnswers(Decider):
    """All that was asked so far says it, as code does that counts.

    The last tensor is there for its rows. stays: answers → whether rows stay.
    """

    stays: Mapping[tuple[bool, ...], bool]

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        *asked, rows = tensors
        answers = tuple(bool(tensor.reshape(-1)[0]) for tensor in asked)
        stays = self.stays.get(answers, True)
        return torch.full(rows.shape[:1], stays, device=rows.device)


def decider(ways: Ways, other: Ways, place: int, rows: tuple[int, int]) -> Decider:
    """What decides at a place. rows: of the runs of the ways and of the others.

    Raises NotLiftable where runs with the same answers part there and do not.
    """
    (parting,) = [one for one in ways.partings if one.at == place]
    stays_on = _last_answer(ways, place)
    if stays_on is None:
        return _of_all_answers(ways, other, parting, rows)
    tapes = (ways.reference, other.reference)
    question = ways.reference.questions[parting.question]
    asked = _asked(tapes, question, rows)
    if asked is not None:
        return OfEachRow((asked,), stays_on)
    with_rows = _with_rows(tapes, question, rows)
    return OfTheBatch((question.about, with_rows), stays_on)


def _last_answer(ways: Ways, place: int) -> bool | None:
    """The last answer after which runs stay; None where that alone does not say it."""
    stays_on: set[bool] = set()
    parts_on: set[bool] = set()
    for run in ways.runs:
        if place in run.parted and run.answers[place]:
            on = parts_on if run.parted[place] else stays_on
            on.add(run.answers[place][-1])
    if len(stays_on) == len(parts_on) == 1 and stays_on != parts_on:
        (answer,) = stays_on
        return answer
    return None


def _of_all_answers(
    ways: Ways, other: Ways, parting: Parting, rows: tuple[int, int]
) -> OfAllAnswers:
    stays: dict[tuple[bool, ...], bool] = {}
    for run in ways.runs:
        if parting.at in run.parted:
            stays[run.answers[parting.at]] = not run.parted[parting.at]
    questions = ways.reference.questions[: parting.question + 1]
    tapes = (ways.reference, other.reference)
    about = tuple(question.about for question in questions)
    return OfAllAnswers((*about, _with_rows(tapes, questions[-1], rows)), stays)


Tapes = tuple[QuestionTape, QuestionTape]


def _asked(tapes: Tapes, question: Question, rows: tuple[int, int]) -> Ref | None:
    """The tensor that was asked, where it has one value for each row."""
    return question.about if _one_a_row(tapes, question.about, rows) else None


def _one_a_row(tapes: Tapes, ref: Ref, rows: tuple[int, int]) -> bool:
    sizes = tuple(tensor_of(tape, ref).numel() for tape in tapes)
    return sizes == rows


def _with_rows(tapes: Tapes, question: Question, rows: tuple[int, int]) -> Ref:
    """The last tensor with rows that a question is made of. Raises NotLiftable for none."""
    first = tapes[0]
    waiting, seen = [question.about.node], set()
    found: list[Ref] = []
    while waiting:
        number = waiting.pop()
        if number in seen:
            continue
        seen.add(number)
        node = first.nodes[number]
        waiting += [ref.node for ref in node.read]
        ref = Ref(number)
        if node.single and _lengths(tapes, ref) == rows:
            found.append(ref)
    if not found:
        raise NotLiftable("what it asks in Python is not made of its rows")
    return max(found, key=lambda ref: ref.node)


def _lengths(tapes: Tapes, ref: Ref) -> tuple[int, ...]:
    return tuple(len(tensor_of(tape, ref)) if tensor_of(tape, ref).ndim else 0 for tape in tapes)
