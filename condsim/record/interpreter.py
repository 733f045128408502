"""What Python does between operators, counted: bytecode instructions, and the module calls that begin and end.

Instructions are host work as FLOPs are device work: a count that does not depend on the machine. What belongs to an operator's own time (PyTorch's functional
wrappers) and what only a recording runs does not count.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn

_CALL: CodeType = nn.Module._call_impl.__code__
_TORCH = torch.__path__[0]
_NOT_BETWEEN = (
    *(
        f"{_TORCH}/{file}"
        for file in ("nn/functional.py", "functional.py", "_jit_internal.py", "_tensor.py")
    ),  # part of an operator's own time
    __file__,
    __file__.replace("interpreter.py", "recorder.py"),
    weakref.__file__,
    f"{_TORCH}/_compile.py",
    f"{_TORCH}/_dynamo/",
    f"{_TORCH}/_library/",
    f"{_TORCH}/utils/_python_dispatch.py",
    f"{_TORCH}/utils/_pytree.py",
)
"""Files whose functions, and all that these call, do not count."""


class Interpreter:
    """Counts in this thread while it is entered. begins, ends: called with a module whose call begins, and when one ends.

    It uses `sys.settrace`, and puts back what was there.
    """

    def __init__(
        self,
        begins: Callable[[nn.Module], None] = lambda _m: None,
        ends: Callable[[], None] = lambda: None,
    ) -> None:
        self.instructions = 0
        self._outside = 0
        self._begins, self._ends = begins, ends
        self._before: Any = None

    def __enter__(self) -> Interpreter:
        self._before = sys.gettrace()
        sys.settrace(self._frame)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(self._before)

    def taken(self) -> int:
        """Instructions since this was asked last."""
        count, self.instructions = self.instructions, 0
        return count

    def _frame(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        if code is _CALL:
            self._begins(frame.f_locals["self"])
        elif code.co_filename.startswith(_NOT_BETWEEN):
            self._outside += 1
        elif self._outside:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = not self._outside, False
        return self._inside

    def _inside(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "opcode":
            self.instructions += not self._outside
        elif event == "return" and frame.f_code is _CALL:
            self._ends()
        elif event == "return" and frame.f_code.co_filename.startswith(_NOT_BETWEEN):
            self._outside -= 1
        return self._inside

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing inside counts."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1
