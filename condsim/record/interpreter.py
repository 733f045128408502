"""What Python does between operators, counted: bytecode instructions, and calls of modules.

Instructions are host work as FLOPs are device work: a count that does not depend on the machine.
What belongs to an operator's own time (PyTorch's functional wrappers) and what only a recording
runs does not count.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn

MODULE_CALL: CodeType = nn.Module._call_impl.__code__
"""The function that every call of a module goes through."""

_TORCH = torch.__path__[0]
PART_OF_AN_OPERATOR = (
    f"{_TORCH}/nn/functional.py",
    f"{_TORCH}/functional.py",
    f"{_TORCH}/_jit_internal.py",
    f"{_TORCH}/_tensor.py",
)
PART_OF_A_RECORDING = (
    f"{Path(__file__).parent}/",
    weakref.__file__,
    f"{_TORCH}/_compile.py",
    f"{_TORCH}/_dynamo/",
    f"{_TORCH}/_library/",
    f"{_TORCH}/utils/_python_dispatch.py",
    f"{_TORCH}/utils/_pytree.py",
)
NOT_COUNTED = (*PART_OF_AN_OPERATOR, *PART_OF_A_RECORDING)
"""Files whose functions, and all that these call, do not count."""


class Interpreter:
    """Counts instructions in this thread, as a context manager.

    begins: called with a module whose call begins. ends: called when one ends.
    It uses `sys.settrace`, and puts back what was there.
    """

    def __init__(
        self,
        begins: Callable[[nn.Module], None] = lambda _module: None,
        ends: Callable[[], None] = lambda: None,
    ) -> None:
        self._begins = begins
        self._ends = ends
        self._instructions = 0
        self._not_counted = 0  # calls that are open and whose instructions do not count
        self._trace_before: Any = None

    def __enter__(self) -> Interpreter:
        self._trace_before = sys.gettrace()
        sys.settrace(self._call_begins)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(self._trace_before)

    def taken(self) -> int:
        """Instructions since this was asked last."""
        count = self._instructions
        self._instructions = 0
        return count

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Count nothing inside."""
        self._not_counted += 1
        try:
            yield
        finally:
            self._not_counted -= 1

    def _call_begins(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        """The trace function of `sys.settrace`; returns that of the call, None for none."""
        code = frame.f_code
        if code is MODULE_CALL:
            self._begins(frame.f_locals["self"])
        elif self._not_counted and frame.f_trace is None:  # else a generator goes on
            return None
        elif code.co_filename.startswith(NOT_COUNTED):
            self._not_counted += 1
        frame.f_trace_opcodes = not self._not_counted
        frame.f_trace_lines = False
        return self._in_call

    def _in_call(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "opcode":
            if not self._not_counted:
                self._instructions += 1
        elif event == "return":
            if frame.f_code is MODULE_CALL:
                self._ends()
            elif frame.f_code.co_filename.startswith(NOT_COUNTED):
                self._not_counted -= 1
        return self._in_call
