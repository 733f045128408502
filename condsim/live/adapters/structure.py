"""What a module is made of, for telling whether it could decide something.

Gates, lists of experts, heads and thresholds count, class names never do.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sized
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from condsim.live.lift.tape import CONTAINERS
from condsim.live.marks import route

THRESHOLDS = ("thresh", "confidence", "entropy", "patience")
"""Parts of the names that people give to thresholds."""
EXPERTS = "expert"
"""The part of a name that people give to a list of experts."""
MARK = "route"
"""The name of the function that marks a decision."""


@contextlib.contextmanager
def instead(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, calls of the module go to forward(the module's own forward, *arguments).

    What stands in for it has its signature. Nothing stays behind.
    """
    before, own_forward = module.__dict__.get("forward"), module.forward

    @functools.wraps(own_forward)
    def instead_of_it(*args: Any, **kwargs: Any) -> Any:
        return forward(own_forward, *args, **kwargs)

    try:
        module.forward = instead_of_it
        yield
    finally:
        if before is None:
            module.__dict__.pop("forward", None)
        else:
            module.forward = before


def could_decide(module: nn.Module) -> bool:
    """Whether a module has what a decision needs, and does not mark it itself.

    That is a gate of one or two outputs, a gate of as many outputs as a list beside it is long (of
    modules, or of widths and the like), a list of heads of the same width beside other parts, or a
    threshold.
    """
    if type(module).__module__.startswith("torch.") or marks_itself(module):
        return False
    lists = [child for child in module.children() if isinstance(child, CONTAINERS)]
    parts = [child for child in module.children() if not isinstance(child, CONTAINERS)]
    for members in lists:
        parts.extend(members.children())
    if len(parts) < 2:
        return False
    widths = _widths(parts)
    for parameter in module.parameters(recurse=False):
        widths.update(parameter.shape)
    has_gate_of_two = not widths.isdisjoint({1, 2})
    lengths = {len(members) for members in (*lists, *_choices(module)) if len(members) > 1}
    has_gate_of_list = not widths.isdisjoint(lengths)
    has_list_of_heads = any(_are_heads(members) for members in lists)
    has_heads = has_list_of_heads and len(parts) > 2
    return has_gate_of_two or has_gate_of_list or has_heads or _has_threshold(module)


def _choices(module: nn.Module) -> list[Sized]:
    """Lists among a module's own attributes: of widths, of rates, of functions."""
    return [value for value in vars(module).values() if isinstance(value, (list, tuple))]


def _widths(modules: list[nn.Module]) -> set[int]:
    """Outputs of those modules that have a width."""
    widths = {width(module) for module in modules}
    return {outputs for outputs in widths if outputs is not None}


def _are_heads(members: nn.Module) -> bool:
    """Whether all modules of a list have the same width."""
    widths = {width(member) for member in members.children()}
    return len(widths) == 1 and None not in widths


def _has_threshold(module: nn.Module) -> bool:
    names = [name.lower() for name in vars(module)]
    return any(part in name for part in THRESHOLDS for name in names)


def width(module: nn.Module) -> int | None:
    """Outputs of a module that ends in a linear layer or a convolution; None for others."""
    outputs = None
    for part in module.modules():
        if isinstance(part, nn.Linear):
            outputs = part.out_features
        elif isinstance(part, nn.Conv2d):
            outputs = part.out_channels
    return outputs


def expert_list(block: nn.Module) -> str | None:
    """The child that is a list of alike experts.

    That is one beside a linear gate of as many outputs, or one by the name of experts.
    """
    if marks_itself(block):
        return None
    for name, child in block.named_children():
        if not isinstance(child, CONTAINERS):
            continue
        experts = experts_in(child)
        has_gate = gate_of(block, len(experts)) is not None
        if alike(experts) and (has_gate or EXPERTS in name.lower()):
            return name
    return None


def calls_itself(container: nn.Module) -> bool:
    """Whether a list of alike experts has a forward of its own."""
    if not isinstance(container, CONTAINERS) or not alike(experts_in(container)):
        return False
    return type(container).forward is not nn.Module.forward


def experts_in(container: nn.Module) -> list[nn.Module]:
    """The modules of a list that have parameters; a dropout for all may stand among them."""
    return [child for child in container.children() if list(child.parameters())]


def marks_itself(block: nn.Module) -> bool:
    """Whether a method of the module's class calls condsim.route."""
    for cls in type(block).__mro__:
        if cls is nn.Module:
            continue
        for member in vars(cls).values():
            if isinstance(member, FunctionType) and _calls_the_mark(member):
                return True
    return False


def _calls_the_mark(function: FunctionType) -> bool:
    """Whether a function calls condsim.route, and not a method of its own that is called so."""
    names = function.__code__.co_names
    if MARK not in names:
        return False
    known = [function.__globals__.get(name) for name in names]
    of_condsim = [isinstance(value, ModuleType) and hasattr(value, MARK) for value in known]
    return any(value is route for value in known) or any(of_condsim) or "condsim" in names


def alike(experts: list[nn.Module]) -> bool:
    """Whether there are several modules of one class, with parameters of the same shapes."""
    classes = {type(expert) for expert in experts}
    shapes = set()
    for expert in experts:
        of_expert = [tuple(parameter.shape) for parameter in expert.parameters()]
        shapes.add(tuple(of_expert))
    return len(experts) > 1 and len(classes) == 1 and len(shapes) == 1


def gate_of(block: nn.Module, experts: int) -> nn.Module | None:
    """The child that ends in a linear layer with as many outputs as there are experts."""
    for child in block.children():
        if isinstance(child, CONTAINERS):
            continue
        linears = [part for part in child.modules() if isinstance(part, nn.Linear)]
        if linears and linears[-1].out_features == experts:
            return child
    return None
