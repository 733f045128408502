"""What a module is made of, for telling what could decide: gates, lists of experts, heads, thresholds. No class names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from condsim.live.lift.tape import CONTAINERS

THRESHOLDS = ("thresh", "confidence", "entropy", "patience")


@contextlib.contextmanager
def instead(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, calls of the module go to forward(own forward, *arguments). Nothing stays behind."""
    before, own = module.__dict__.get("forward"), module.forward
    try:
        module.forward = lambda *args, **kwargs: forward(own, *args, **kwargs)
        yield
    finally:
        if before is None:
            module.__dict__.pop("forward", None)
        else:
            module.forward = before


def could_decide(module: nn.Module) -> bool:
    """A gate of one or two outputs, a gate of as many as a list beside it is long, a list of heads of the same width, or a threshold."""
    if type(module).__module__.startswith("torch.") or marks_itself(module):
        return False
    lists = [c for c in module.children() if isinstance(c, CONTAINERS)]
    single = [c for c in module.children() if not isinstance(c, CONTAINERS)]
    parts = single + [m for members in lists for m in members.children()]
    widths = ({width(m) for m in parts} - {None}) | {
        size for p in module.parameters(recurse=False) for size in p.shape
    }
    heads = [{width(m) for m in members.children()} for members in lists]
    return len(parts) > 1 and (
        bool(widths & {1, 2})
        or any(len(members) in widths for members in lists if len(members) > 1)
        or (len(parts) > 2 and any(len(w) == 1 and w != {None} for w in heads))
        or any(t in name.lower() for t in THRESHOLDS for name in vars(module))
    )


def width(module: nn.Module) -> int | None:
    """Outputs of a module that ends in a linear layer or a convolution; None for others."""
    last = [m for m in module.modules() if isinstance(m, (nn.Linear, nn.Conv2d))][-1:]
    return (
        None
        if not last
        else last[0].out_features
        if isinstance(last[0], nn.Linear)
        else last[0].out_channels
    )


def expert_list(block: nn.Module) -> str | None:
    """The child that is a list of alike experts beside a linear gate of that many outputs."""
    if marks_itself(block):
        return None
    for name, child in block.named_children():
        if (
            isinstance(child, CONTAINERS)
            and alike(child)
            and gate_of(block, len(list(child.children()))) is not None
        ):
            return name
    return None


def marks_itself(block: nn.Module) -> bool:
    """Whether a method of the module's class calls condsim.route."""
    functions = (
        getattr(f, "__code__", None)
        for c in type(block).__mro__
        if c is not nn.Module
        for f in vars(c).values()
    )
    return any("route" in code.co_names for code in functions if code is not None)


def alike(experts: nn.Module) -> bool:
    members = list(experts.children())
    shapes = {tuple(tuple(p.shape) for p in m.parameters()) for m in members}
    return (
        len(members) > 1
        and len({type(m) for m in members}) == 1
        and len(shapes) == 1
        and shapes != {()}
    )


def gate_of(block: nn.Module, experts: int) -> nn.Module | None:
    """The sibling that ends in a linear layer with as many outputs as there are experts."""
    for child in block.children():
        linears = [m for m in child.modules() if isinstance(m, nn.Linear)]
        if (
            not isinstance(child, (nn.ModuleList, nn.ModuleDict))
            and linears
            and linears[-1].out_features == experts
        ):
            return child
    return None
