"""A model as serving engines run it: caches are written where they are, and one kernel attends.

PyTorch's own cache puts old and new keys and values together in a new tensor for each token, copies
them for every head that shares them, and computes latent keys and values of all positions anew. An
engine writes the new rows into memory that it had set aside, and one kernel reads the cache as it
is; the matrices that make keys and values of latents are multiplied with the query and the result
instead, which is as much work as for one position.
Sources: Kwon et al., 2023, "Efficient Memory Management for Large Language Model Serving with
PagedAttention", section 4; DeepSeek-AI, 2024, "DeepSeek-V2", section 2.1.2 and appendix C.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from condsim.program import Dim, Loop, Op, Product, Program, Scope, Tensor
from condsim.program.operators import is_product
from condsim.program.regime import Regime
from condsim.program.rewrite import absorbed, in_place_of
from condsim.runtimes.engine_kernels import CONCATENATES, join_runs, merge_projections

ATTENTION = "paged_attention"
UNPACKED = "unpacked_attention"
CAUSAL = "causal_attention"
PRODUCTS = ("scaled_dot_product_attention", "matmul", "bmm")
TOTAL = "total"
"""The extent of all positions that attention sees."""

Node = Op | Loop


def as_served(program: Program) -> Program:
    """Return the program with caches in place, and attention of decode steps as one kernel."""
    nodes = list(program.root.nodes)
    decodes = Regime.parse(program.regime).decodes
    for layer in _layers(program):
        if decodes:
            _attend(nodes, layer)
        else:
            _attend_to_prompt(nodes, layer)
        for position in layer.caches:
            op = nodes[position]
            assert isinstance(op, Op)
            nodes[position] = _appending(op)
    root = Scope(tuple(nodes), program.root.frees)
    merged = merge_projections(replace(program, root=root))
    caches: set[int] = set()
    for layer in _layers(program):
        caches.update(layer.caches)
    return join_runs(merged, frozenset(caches))


def with_unpacked_attention(program: Program) -> Program:
    """Return a served program in which new tokens are attended for by the kernel of prompts, as in
    a step that computes both."""
    nodes: list[Node] = []
    for node in program.root.nodes:
        if isinstance(node, Op) and node.name == ATTENTION:
            node = replace(node, name=UNPACKED)
        nodes.append(node)
    return replace(program, root=Scope(tuple(nodes), program.root.frees))


def kept_storages(program: Program) -> list[int]:
    """Return the operators of the root whose results outlive the step, but for the last of them,
    which is the step's own result."""
    dying = {(free.op, free.alloc) for free in program.root.frees if not free.path}
    kept = []
    for position, node in enumerate(program.root.nodes):
        if isinstance(node, Op):
            made = {(position, alloc) for alloc in range(len(node.allocs))}
            if not made <= dying:
                kept.append(position)
    return kept[:-1]


@dataclass(frozen=True)
class _Layer:
    """One place of attention. caches: its operators that put old and new together."""

    module: str
    caches: tuple[int, ...]


def _layers(program: Program) -> Iterator[_Layer]:
    """The places of attention, in order: the caches that one module keeps."""
    by_module: dict[str, list[int]] = {}
    for position in kept_storages(program):
        op = program.root.nodes[position]
        assert isinstance(op, Op)
        if op.name in CONCATENATES:
            by_module.setdefault(op.module, []).append(position)
    for module, positions in by_module.items():
        yield _Layer(module, tuple(positions))


def _appending(op: Op) -> Op:
    """The operator as it writes what is new only, into memory that is there."""
    new = op.inputs[-1]
    written = Tensor(new.dims, new.dtype)
    return replace(op, inputs=(new,), outputs=(written,))


def _attend(nodes: list[Node], layer: _Layer) -> None:
    """Put one kernel where the last product of a layer's attention stands.

    What makes keys and values of the caches before it is gone, but for products with weights, which
    run for the new positions only.
    """
    region = list(_region(nodes, layer))
    products = [place for place, op in region if op.name in PRODUCTS]
    if not products or len(layer.caches) != 2:
        return
    weighted = [place for place, op in region if _weight(op)]
    by_place = dict(region)
    last = products[-1]
    query = by_place[products[0]].inputs[0]
    result = by_place[last].outputs
    kernel = _kernel(nodes, layer, query, result, latent=bool(weighted))
    for place, op in region:
        if place == last:
            nodes[place] = in_place_of(op, kernel)
        elif place in weighted:
            nodes[place] = _for_new_positions(op)
        elif not op.view:
            nodes[place] = absorbed(op)


def _attend_to_prompt(nodes: list[Node], layer: _Layer) -> None:
    """Put one causal kernel where the last product of a layer's attention stands.

    It keeps no scores and multiplies no positions that come later. Source: Dao et al., 2022,
    "FlashAttention", section 3.1.
    """
    region = list(_own_operators(nodes, layer))
    products = [place for place, op in region if op.name in PRODUCTS]
    if not products or len(layer.caches) != 2 or not _sees_all(nodes, layer):
        return
    by_place = dict(region)
    begin, end = products[0], products[-1]
    first, last = by_place[begin], by_place[end]
    keys, values = _keys_and_values(nodes, layer, first, last)
    depth = _width(keys) + _width(values)
    together = _as_wide(keys, depth)
    query = first.inputs[0]
    kernel = Op(CAUSAL, (query, together), last.outputs, (depth,))
    for place, op in region:
        if place == end:
            nodes[place] = in_place_of(op, kernel)
        elif place < end and not op.view:
            nodes[place] = absorbed(op)


def _width(tensor: Tensor) -> int:
    """A tensor's last dimension, which no extent moves."""
    return tensor.dims[-1].plus


def _as_wide(tensor: Tensor, width: int) -> Tensor:
    """A tensor with another last dimension."""
    dims = (*tensor.dims[:-1], Dim(width))
    return Tensor(dims, tensor.dtype)


def _own_operators(nodes: list[Node], layer: _Layer) -> Iterator[tuple[int, Op]]:
    """The operators of attention's own module behind its caches."""
    for place in range(layer.caches[-1] + 1, len(nodes)):
        op = nodes[place]
        if isinstance(op, Loop) or not op.module.startswith(layer.module):
            return
        if op.module == layer.module:
            yield place, op


def _sees_all(nodes: list[Node], layer: _Layer) -> bool:
    """Whether a layer's two caches hold a value for each position of the prompt."""
    for place in layer.caches:
        dims = _cache(nodes, place).dims
        if len(dims) != 4 or dims[-1].terms:
            return False
    return True


def _keys_and_values(
    nodes: list[Node], layer: _Layer, first: Op, last: Op
) -> tuple[Tensor, Tensor]:
    """What queries are multiplied with: the caches, or what is made of latent ones."""
    cached_keys, cached_values = (_cache(nodes, place) for place in layer.caches)
    query = first.inputs[0]
    latent = _width(query) != _width(cached_keys)
    if not latent:
        return cached_keys, cached_values
    keys, values = first.inputs[1], last.inputs[-1]
    if first.name in ("matmul", "bmm"):
        *others, depth, positions = keys.dims
        keys = replace(keys, dims=(*others, positions, depth))
    return keys, values


def _region(nodes: list[Node], layer: _Layer) -> Iterator[tuple[int, Op]]:
    """The operators behind a layer's caches that read or write something of all positions."""
    for place in range(layer.caches[-1] + 1, len(nodes)):
        op = nodes[place]
        if isinstance(op, Loop) or not op.module.startswith(layer.module):
            return
        if any(_is_of_all(tensor) for tensor in (*op.inputs, *op.outputs)):
            yield place, op


def _is_of_all(tensor: Tensor) -> bool:
    """Whether a tensor has a value for each position that attention sees."""
    for dim in tensor.dims:
        for _, extents in dim.terms:
            if any(_is_total(extent) for extent in extents):
                return True
    return False


def _is_total(extent: str) -> bool:
    """Whether an extent is of all positions, or of those in a window."""
    return extent.partition("@")[0] == TOTAL


def _weight(op: Op) -> bool:
    return is_product(op.name) and any(tensor.weight for tensor in op.inputs)


def _kernel(
    nodes: list[Node], layer: _Layer, query: Tensor, outputs: tuple[Tensor, ...], latent: bool
) -> Op:
    """One kernel that reads both caches once.

    latent: keys and values are made of the first cache, of which both products read the whole.
    """
    first, second = (_cache(nodes, place) for place in layer.caches)
    width = _width(first) + _width(second)
    depth = width + (_width(first) if latent else 0)
    together = _as_wide(first, width)
    return Op(ATTENTION, (query, together), outputs, (depth,))


def _cache(nodes: list[Node], place: int) -> Tensor:
    op = nodes[place]
    assert isinstance(op, Op)
    return op.outputs[0]


def _for_new_positions(op: Op) -> Op:
    """A product with weights as it runs for the one new position of each sequence."""
    inputs = tuple(_of_one(tensor) for tensor in op.inputs)
    outputs = tuple(_of_one(tensor) for tensor in op.outputs)
    size = Product(outputs[0].dims)
    allocs = tuple((size, dtype) for _, dtype in op.allocs)
    return replace(op, inputs=inputs, outputs=outputs, allocs=allocs)


def _of_one(tensor: Tensor) -> Tensor:
    """A tensor with one position instead of all."""
    dims = []
    for dim in tensor.dims:
        terms = []
        for coefficient, extents in dim.terms:
            terms.append((coefficient, tuple(one for one in extents if not _is_total(one))))
        plus = dim.plus + sum(coefficient for coefficient, extents in terms if not extents)
        kept = tuple(term for term in terms if term[1])
        dims.append(Dim(plus, kept))
    return replace(tensor, dims=tuple(dims))
