"""Layers that attend to the last positions only: what they see stops growing.

Probing runs are shorter than any window, so that all sizes follow `total` in them. In decode steps
a layer with a window of w positions sees `total@w` of them, the smaller of `total` and w
(`condsim.steps.extents`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from condsim.program import Dim, Loop, Op, Product, Program, Scope, Tensor
from condsim.program.regime import Regime
from condsim.steps.extents import window_extent

ATTRIBUTE = "sliding_window"
"""What modules of transformers call their window; None for none."""
TOTAL = "total"

Allocs = tuple[tuple[Dim | Product, str], ...]


def windows_of(model: torch.nn.Module) -> dict[str, int]:
    """Return the path of every module that attends to a window → its positions."""
    found = {}
    for name, module in model.named_modules():
        window = getattr(module, ATTRIBUTE, None)
        if name and isinstance(window, int):
            found[name] = window
    return found


def windowed(program: Program, windows: Mapping[str, int]) -> Program:
    """Return a program whose modules see as much as their windows let them."""
    longest = max((sizes.get(TOTAL, 0) for sizes in program.probed), default=0)
    wide = {name: window for name, window in windows.items() if window > longest}
    if not wide or not Regime.parse(program.regime).decodes:
        return program
    nodes: list[Op | Loop] = []
    for node in program.root.nodes:
        if isinstance(node, Op) and node.module in wide:
            nodes.append(_within(node, wide[node.module]))
        else:
            nodes.append(node)
    return replace(program, root=Scope(tuple(nodes), program.root.frees))


def _within(op: Op, window: int) -> Op:
    extent = window_extent(window)
    inputs = _tensors(op.inputs, extent)
    outputs = _tensors(op.outputs, extent)
    allocs = tuple((_size(size, extent), dtype) for size, dtype in op.allocs)
    return replace(op, inputs=inputs, outputs=outputs, allocs=allocs)


def _tensors(tensors: tuple[Tensor, ...], extent: str) -> tuple[Tensor, ...]:
    renamed = []
    for tensor in tensors:
        dims = tuple(_dim(dim, extent) for dim in tensor.dims)
        renamed.append(replace(tensor, dims=dims))
    return tuple(renamed)


def _size(size: Dim | Product, extent: str) -> Dim | Product:
    if isinstance(size, Product):
        return Product(tuple(_dim(dim, extent) for dim in size.dims))
    return _dim(size, extent)


def _dim(dim: Dim, extent: str) -> Dim:
    terms = []
    for coefficient, factors in dim.terms:
        within = [extent if factor == TOTAL else factor for factor in factors]
        terms.append((coefficient, tuple(within)))
    return Dim(dim.plus, tuple(terms))
