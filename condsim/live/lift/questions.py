"""Runs of a forward in which Python asks tensors, as an `if` does, and is told what to hear.

One run follows one way through the code. Runs with other answers follow the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from condsim.live.lift.forks import CHOICES
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Ref
from condsim.live.lift.tape import Tape

MOST_QUESTIONS = 200
"""Questions of one run: a loop until a tensor says enough might never end."""
TO_INTEGERS = {"__int__", "__index__"}
TAKES_NUMBERS = {"__float__", "tolist", "numpy"}
"""Functions that give Python numbers which cannot be told what to be."""


@dataclass(frozen=True)
class Question:
    """What Python asked. after: nodes before it. about: the tensor. answer: what it was told."""

    after: int
    about: Ref
    answer: bool


class QuestionTape(Tape):
    """The calls of one run of a module's forward, which hears the answers that it is given.

    answers: to the first questions, in order. later: to all after them.
    After `run`: `questions`, and `takes_numbers`: whether Python took a number that it may compute
    with, and so decide by it in a way that is not seen.
    """

    def __init__(
        self,
        host: nn.Module,
        answers: Sequence[bool],
        later: bool,
        opens: Callable[[nn.Module], bool] = lambda _: False,
    ) -> None:
        super().__init__(host, lone=False, opens=opens)
        self.answers = answers
        self.later = later
        self.questions: list[Question] = []
        self.takes_numbers = False
        self._ways: dict[torch.Tensor, int] = {}  # of a tensor of choices: how many there are

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        of_number = args and isinstance(args[0], torch.Tensor) and args[0] in self._made_by
        if self._in_submodule or not of_number:
            return super().__torch_function__(func, types, args, kwargs)
        tensor = args[0]
        if name == "__bool__":
            return self.ask(tensor)
        if name == "item":
            return _asked_number(self, tensor)
        if name in TO_INTEGERS and not tensor.is_floating_point():
            with self:  # a mode is off while it handles a call
                return self.choose(tensor)
        if name in TAKES_NUMBERS:
            self.takes_numbers = True
        return super().__torch_function__(func, types, args, kwargs)

    def ask(self, tensor: torch.Tensor) -> bool:
        """What Python hears where it asks whether a tensor is true."""
        number = len(self.questions)
        if number >= MOST_QUESTIONS:
            raise NotLiftable(f"it asks tensors more than {MOST_QUESTIONS} times in Python")
        answer = self.answers[number] if number < len(self.answers) else self.later
        self.questions.append(Question(len(self.nodes), self._made_by[tensor], answer))
        return answer

    def choose(self, tensor: torch.Tensor) -> int:
        """What Python hears where it asks which one a tensor chooses: one question a choice."""
        ways = self._ways.get(tensor, 0)
        if not ways:
            raise NotLiftable("it counts or picks in Python with a number out of a tensor")
        for choice in range(ways - 1):
            if (tensor == choice).__bool__():
                return choice
        return ways - 1

    def made_by(self, tensor: torch.Tensor) -> Ref | None:
        """What made a tensor; None for one that the forward found."""
        return self._made_by.get(tensor)

    def _forked_by_submodule(self, out: Any) -> tuple[Any, None]:
        """Nothing is forced: the answers alone decide."""
        return out, None

    def _forked_by_function(self, name: str, args: tuple[Any, ...], out: Any) -> tuple[Any, None]:
        scores = args[0] if args else None
        if name in CHOICES and isinstance(scores, torch.Tensor) and scores.ndim:
            chosen = tree_leaves(out)[-1]
            if isinstance(chosen, torch.Tensor) and chosen.dtype == torch.int64:
                self._ways[chosen] = int(scores.shape[-1])
        return out, None


def _asked_number(tape: QuestionTape, tensor: torch.Tensor) -> Any:
    """A number out of a tensor, which asks the tape where it is compared."""
    if not tensor.is_floating_point():
        return AskedInteger(tape, tensor)
    first = float(tensor.detach().reshape(-1)[0])
    number = AskedFloat(first)
    number.tensor = tensor
    return number


class ComparesItsTensor:
    """A number out of a tensor, which is compared as the tensor is."""

    tensor: torch.Tensor

    def __gt__(self, other: Any) -> bool:
        return bool(self.tensor > _plain(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self.tensor >= _plain(other))

    def __lt__(self, other: Any) -> bool:
        return bool(self.tensor < _plain(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.tensor <= _plain(other))


class AskedFloat(ComparesItsTensor, float):
    """A number out of a tensor. Comparing and computing with it goes on with the tensor."""

    def __add__(self, other: Any) -> Any:
        return (self.tensor + _plain(other)).item()

    def __radd__(self, other: Any) -> Any:
        return (_plain(other) + self.tensor).item()

    def __sub__(self, other: Any) -> Any:
        return (self.tensor - _plain(other)).item()

    def __rsub__(self, other: Any) -> Any:
        return (_plain(other) - self.tensor).item()

    def __mul__(self, other: Any) -> Any:
        return (self.tensor * _plain(other)).item()

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return (self.tensor / _plain(other)).item()

    def __neg__(self) -> Any:
        return (-self.tensor).item()

    def __abs__(self) -> Any:
        return self.tensor.abs().item()

    __hash__ = float.__hash__


class AskedInteger(ComparesItsTensor):
    """A whole number out of a tensor: which choice it is, is asked."""

    def __init__(self, tape: QuestionTape, tensor: torch.Tensor) -> None:
        self.tape = tape
        self.tensor = tensor

    def __index__(self) -> int:
        return self.tape.choose(self.tensor)

    __int__ = __index__

    def __str__(self) -> str:
        return str(self.__index__())

    def __eq__(self, other: object) -> bool:
        return bool(self.tensor == _plain(other))

    def __ne__(self, other: object) -> bool:
        return bool(self.tensor != _plain(other))

    def __bool__(self) -> bool:
        return bool(self.tensor != 0)

    def __hash__(self) -> int:
        return hash(self.__index__())


def _plain(other: Any) -> Any:
    """What is compared with, as torch takes it."""
    return other.tensor if isinstance(other, (AskedFloat, AskedInteger)) else other
