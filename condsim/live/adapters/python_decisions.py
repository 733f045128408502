"""Modules whose Python asks tensors what to do, whatever else they are made of.

The rule is what a forward does: its code has a branch, and on its first call it asks a tensor for a
value. Then its ways are looked for, as of a forward that could decide (`own_forward`).
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from condsim.live.adapters.base import ADAPTERS, LiveSite
from condsim.live.adapters.host_call import HostCall, copied
from condsim.live.adapters.own_forward import OwnForward
from condsim.live.adapters.structure import could_decide, expert_list, marks_itself
from condsim.live.execution import Execution, current, executing
from condsim.live.lift.tape import CONTAINERS
from condsim.live.lift.ways import SAME_CALLS

ASKS = {"__bool__", "item", "__int__", "__index__"}
"""Functions by which Python asks a tensor for a value."""


@ADAPTERS.register("python_decisions")
def find(model: nn.Module) -> list[LiveSite]:
    """Modules that have code of their own with a branch in it, and parts."""
    sites: list[LiveSite] = []
    for name, module in model.named_modules():
        if may_ask(module) and not could_decide(module) and expert_list(module) is None:
            sites.append(AskingForward(name, module))
    return sites


def may_ask(module: nn.Module) -> bool:
    """Whether a module is not torch's own, marks nothing, has parts, and branches in its code."""
    is_torchs = type(module).__module__.startswith("torch.")
    if is_torchs or isinstance(module, CONTAINERS) or marks_itself(module):
        return False
    if not any(True for _ in module.children()):
        return False
    return any(_branches(function) for function in _own_functions(module))


def _own_functions(module: nn.Module) -> list[FunctionType]:
    """The methods of a module's class that are neither torch's nor its constructor."""
    functions = []
    for cls in type(module).__mro__:
        if cls.__module__.startswith("torch."):
            continue
        for name, member in vars(cls).items():
            if isinstance(member, FunctionType) and name != "__init__":
                functions.append(member)
    return functions


def _branches(function: FunctionType) -> bool:
    """Whether a function's code goes one of two ways by a value."""
    names = [instruction.opname for instruction in dis.get_instructions(function)]
    return any("JUMP" in name and "_IF_" in name for name in names)


class Asks(TorchFunctionMode):
    """Notes whether a tensor is asked for its value while a site is the innermost that runs."""

    def __init__(self, site: OwnForward) -> None:
        super().__init__()
        self.site = site
        self.asked = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ASKS and OwnForward.running[-1] is self.site:
            self.asked = True
        return func(*args, **(kwargs or {}))


class AskingForward(OwnForward):
    """A module that is read only if its forward asks in Python."""

    asks: bool | None = None

    def reads(
        self, own_forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        if self.asks is None:
            self.asks = False
            self.asks = self._notices(HostCall(own_forward, args, kwargs))
        return self.asks and super().reads(own_forward, args, kwargs)

    def _notices(self, call: HostCall) -> bool:
        """Whether the forward asks a tensor for a value, in its own code."""
        if not call.is_plain():
            return False
        asks = Asks(self)
        with current().quiet(), executing(Execution()), torch.no_grad():
            args, kwargs = tree_map(copied, (call.args, call.kwargs))
            with asks:
                call.forward(*args, **kwargs)
        return asks.asked

    def _read(self, call: HostCall) -> None:
        """Its ways, and nothing else: there is no gate that a reading could go by."""
        readings = self._read_ways(call)
        if readings:
            self._keep(readings[0])
        elif self.reason is None:
            self.reason = SAME_CALLS
