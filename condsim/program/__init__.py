"""What a model executes: a stream of operators whose sizes are functions of a step's extents."""

import importlib

from condsim.program.json import from_json, to_json
from condsim.program.model import (
    FIRST,
    FLOATING,
    JOINED,
    LAST,
    ONLY,
    SECOND,
    SECOND_LAST,
    VARIABLES,
    Bindings,
    Dim,
    Free,
    Loop,
    Op,
    Product,
    Program,
    Scope,
    Tensor,
    elements,
    loops,
)

importlib.import_module("condsim.program.formulas")  # each enters its operators' formulas

__all__ = [
    "FIRST",
    "FLOATING",
    "JOINED",
    "LAST",
    "ONLY",
    "SECOND",
    "SECOND_LAST",
    "VARIABLES",
    "Bindings",
    "Dim",
    "Free",
    "Loop",
    "Op",
    "Product",
    "Program",
    "Scope",
    "Tensor",
    "elements",
    "from_json",
    "loops",
    "to_json",
]
