"""What a model executes: a stream of operators whose sizes are functions of a step's extents."""

from condsim.program.json import from_json, to_json
from condsim.program.model import (
    FIRST,
    FLOATING,
    JOINED,
    LAST,
    ONLY,
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

__all__ = [
    "FIRST",
    "FLOATING",
    "JOINED",
    "LAST",
    "ONLY",
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
