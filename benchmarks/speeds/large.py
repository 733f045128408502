"""A trace as large as asked, from a small model: top-2 of 64 experts in 32 layers, in sequences
of 256 tokens.

The model has two layers; its second one stands 31 times in the programs. Tokens choose experts at
random, some experts more often than others, from the same seed each time.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from either import first_of

import condsim
from condsim.program import Loop, Op, Program, Scope
from condsim.trace import SCHEMA_VERSION, Decisions, Site, Trace

LAYERS, EXPERTS, TOP_K, SEQ = 32, 64, 2, 256
POPULARITY = np.arange(1, EXPERTS + 1, dtype=float) ** -0.8
"""How often experts are chosen, as in Zipf's law."""
REPEATED = "layers.1."
"""What the names in the model's second layer begin with."""


def large_trace(tokens: int) -> Path:
    """Return the folder of the trace, which is built where the temporary folder lacks it."""
    return built_once(f"{tokens}-tokens", lambda: built(tokens))


def built_once(name: str, build: Callable[[], Trace]) -> Path:
    """Return the folder of a trace in the temporary folder, which is built where it is missing.

    Each format of traces has a folder of its own.
    """
    folder = Path(tempfile.gettempdir()) / f"condsim-speed-{name}-format-{SCHEMA_VERSION}"
    if not opens(folder):
        print(f"building {folder} (once)", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        build().save(folder)
    return folder


def opens(folder: Path) -> bool:
    """Say whether a folder holds a whole trace."""
    try:
        condsim.load(folder)
    except condsim.CondsimError:
        return False
    return True


def built(tokens: int) -> Trace:
    """Return the trace of so many tokens, less those of a last, shorter sequence."""
    small = captured()
    first, second = small.sites
    sites = [first]
    for layer in range(1, LAYERS):
        sites.append(site_at(second, layer))
    header = small.header.model_copy(update={"sites": tuple(sites)})
    programs = {name: deepened(program) for name, program in small.programs.items()}
    sequences = tokens // SEQ
    in_memory = first_of("in_memory", "condsim.trace.encoding", "condsim.store")
    reader = in_memory(decisions(sites, sequences * SEQ))
    return Trace(header, steps(sequences), programs, reader)


def captured() -> Trace:
    """Return a trace of the small model."""
    import torch

    from condsim.zoo.moe_bytes import MoeBytes

    torch.manual_seed(0)
    model = MoeBytes(hidden=32, width=32, heads=2, experts=EXPERTS, layers=2).eval()
    inputs = torch.randint(0, 256, (2, 32))
    return condsim.capture(model, inputs, measure=False, name="many-tokens")


def steps(sequences: int) -> pd.DataFrame:
    """Return a step a sequence."""
    columns = {"phase": "prefill", "units": [1] * sequences, "seq": SEQ, "past": 0}
    return pd.DataFrame(columns)


def decisions(sites: list[Site], rows: int) -> dict[str, Decisions]:
    """Return two experts of each row at each site."""
    rng = np.random.default_rng(0)
    found = {}
    for site in sites:
        edges = np.cumsum(rng.permutation(POPULARITY))
        drawn = rng.random((TOP_K, rows)) * edges[-1]
        one, two = np.searchsorted(edges, drawn).astype(np.int8)
        other = (two + 1) % EXPERTS
        two = np.where(one == two, other, two)
        found[site.name] = Decisions(np.stack([one, two], axis=1))
    return found


# The second layer, again and again


def named_at(name: str, layer: int) -> str:
    """Return a name of the second layer as it is in another layer."""
    return name.replace(REPEATED, f"layers.{layer}.")


def site_at(site: Site, layer: int) -> Site:
    """Return the second layer's site as it is in another layer."""
    names = {"name": named_at(site.name, layer), "stored": named_at(site.stored, layer)}
    return site.model_copy(update=names)


def deepened(program: Program) -> Program:
    """Return a program whose second layer stands 31 times.

    Where storages die is left out, which nothing here asks for.
    """
    nodes = program.root.nodes
    places = [place for place, node in enumerate(nodes) if module_of(node).startswith(REPEATED)]
    begin, end = places[0], places[-1] + 1
    copies = []
    for layer in range(1, LAYERS):
        copies += [node_at(node, layer) for node in nodes[begin:end]]
    root = Scope((*nodes[:begin], *copies, *nodes[end:]))
    return dataclasses.replace(program, root=root)


def module_of(node: Op | Loop) -> str:
    """Return the name of the module that a node is in."""
    return node.module if isinstance(node, Op) else node.site


def node_at(node: Op | Loop, layer: int) -> Op | Loop:
    """Return a node of the second layer as it is in another layer."""
    if isinstance(node, Loop):
        bodies = {}
        for choice, body in node.bodies.items():
            inside = tuple(node_at(inner, layer) for inner in body.nodes)
            bodies[choice] = Scope(inside)
        return Loop(named_at(node.site, layer), node.choices, bodies)
    return dataclasses.replace(node, **names_at(node, layer))


def names_at(op: Op, layer: int) -> dict[str, Any]:
    """Return what an operator of the second layer is called, and reads, in another layer."""
    inputs = []
    for tensor in op.inputs:
        inputs.append(dataclasses.replace(tensor, weight=named_at(tensor.weight, layer)))
    return {
        "inputs": tuple(inputs),
        "site": named_at(op.site, layer),
        "module": named_at(op.module, layer),
        "role": named_at(op.role, layer),
    }
