"""Tapes of a module's own forward: two sizes of each, with rows sent every way or as they go."""

from __future__ import annotations

import contextlib

from torch import nn

from condsim.live.adapters.host_call import MORE_POSITIONS, HostCall
from condsim.live.lift.tape import CONTAINERS, Tape, Unforced, hard_gates

TAPED_ROWS = (12, 17)
"""Rows of the two tapes of a forward, beside two for each branch that it may choose among."""


class TapedHost:
    """A module whose forward is taped.

    ways: branches that a submodule that gives ids may choose among.
    decides: whether some tape had a decision. asks_in_python: whether Python asked, in the last one
    that was forced, what a comparison gives. called_after_decision: submodules that the forward
    calls after its first decision; None where it could not be taped.
    """

    def __init__(self, block: nn.Module, ways: int | None = None) -> None:
        """ways: None for the members of the longest list of modules in the block."""
        self.block = block
        self.ways = _longest_list(block) if ways is None else ways
        self.decides = False
        self.asks_in_python = False
        self.called_after_decision: set[nn.Module] | None = None
        self._hard_gates: set[nn.Module] = set()
        self._routers: set[nn.Module] = set()
        self._opened: set[nn.Module] = set()

    def open_routers(self) -> bool:
        """Tape the submodules that gave ids from inside from now on; whether there are such."""
        self._opened = set(self._routers)
        return bool(self._opened)

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of the two tapes."""
        rows, other_rows = TAPED_ROWS
        more = 2 * self.ways
        return rows + more, other_rows + more

    def forced(self, call: HostCall, lone: bool, by_ids: bool = False) -> tuple[Tape, Tape]:
        """Return tapes at two sizes, in which rows are sent every way. lone, by_ids: of `Tape`.

        Submodules that decide by themselves are taped from inside.
        """
        rows, other_rows = self.rows
        tape = self._forced(call, lone, by_ids, rows)
        self.asks_in_python = tape.asks_in_python
        self._hard_gates = hard_gates(tape)
        self._routers |= {node.module for node in tape.nodes if node.module and node.fork}
        if self._hard_gates:
            tape = self._forced(call, lone, by_ids, rows)
        self._learn_what_is_guarded(tape)
        if call.has_sequences():
            with contextlib.suppress(Exception):
                return tape, self._forced(call, lone, by_ids, other_rows, MORE_POSITIONS)
        return tape, self._forced(call, lone, by_ids, other_rows)

    def unforced(self, call: HostCall) -> tuple[Tape, Tape]:
        """Return tapes at two sizes, in which nothing is forced."""
        rows, other_rows = self.rows
        tape = self._unforced(call, rows)
        if call.has_sequences():
            with contextlib.suppress(Exception):
                return tape, self._unforced(call, other_rows, MORE_POSITIONS)
        return tape, self._unforced(call, other_rows)

    def _forced(
        self, call: HostCall, lone: bool, by_ids: bool, rows: int, more_positions: int = 0
    ) -> Tape:
        tape = Tape(self.block, lone, self.ways, self._is_opened, by_ids)
        return _run(tape, call, rows, more_positions)

    def _unforced(self, call: HostCall, rows: int, more_positions: int = 0) -> Tape:
        tape = Unforced(self.block, False, self.ways, self._is_opened)
        return _run(tape, call, rows, more_positions)

    def _is_opened(self, module: nn.Module) -> bool:
        return module in self._hard_gates or module in self._opened

    def _learn_what_is_guarded(self, tape: Tape) -> None:
        """Note whether the forward decides anything, and which submodules it calls afterwards."""
        called = self.called_after_decision or set()
        decided = False
        for node in tape.nodes:
            decided = decided or node.branches > 0
            if decided and node.module is not None:
                called.add(node.module)
        self.called_after_decision = called
        self.decides = self.decides or decided


def _run(tape: Tape, call: HostCall, rows: int, more_positions: int) -> Tape:
    """Tape a call at another size: more positions tell sizes of sequences from constants.

    Some forwards take sequences of one length only, and raise whatever they raise.
    """
    args, kwargs = call.resized(rows, more_positions)
    return tape.run(call.forward, args, kwargs)


def _longest_list(block: nn.Module) -> int:
    """Members of the longest list of modules."""
    lists = [child for child in block.children() if isinstance(child, CONTAINERS)]
    return max((len(members) for members in lists), default=0)
