"""The part of a program that one rank runs.

What computes a site's experts runs on the tokens that were sent to the rank, not on its own: sizes
that follow its own tokens follow the extents below instead. A dense baseline, whose experts are one
wide layer, is cut in width, as tensor parallelism cuts a feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

from condsim.errors import CondsimError
from condsim.program import Dim, Loop, Op, Program, Scope, Tensor
from condsim.program.model import Product

UNITS, POSITIONS = "batch", "seq"
"""The extents whose product is the tokens of a rank's own units; where a step computes one position
of each, it is the units alone."""

SHARED = ".shared_expert"
"""Begins the name of a module that computes every token of a layer, beside its experts."""

Size = Dim | Product


def received_extent(site: str) -> str:
    """Return the name of the extent that says how many tokens a rank holds after dispatch."""
    return f"received@{site}"


def routes_extent(site: str) -> str:
    """Return the name of the extent that says how many rows a rank's experts compute."""
    return f"routes@{site}"


def gathered_extent(site: str) -> str:
    """Return the name of the extent that says how many tokens all ranks have together."""
    return f"gathered@{site}"


def site_of(node: Op | Loop, sites: Collection[str]) -> str:
    """Return the site whose experts a node of the root computes, "" for none.

    A baseline runs them in the module that has the site's name.
    """
    if isinstance(node, Loop):
        return node.site
    if node.role:
        return ""
    if node.site:
        return node.site
    module = node.module
    while module and module not in sites:
        module = module.rpartition(".")[0]
    return module


@dataclass(frozen=True)
class Stages:
    """The root of a program, cut where ranks wait for each other.

    sites: those with experts, in the program's order. Stage 0 is what comes before the experts of
    the first, stage 1 those experts, and so on; the last one comes after all experts.
    of_node: slot of each node of the root: its stage, or, where it runs beside an exchange, the
    number of stages + that of the exchange. slots: how many there are.
    """

    sites: tuple[str, ...]
    of_node: tuple[int, ...]
    overlaps: bool = False

    @classmethod
    def of(cls, program: Program, sites: Iterable[str], overlaps: bool = False) -> Stages:
        """Return the stages of a program.

        overlaps: shared experts run beside the exchanges of their layer. Raises CondsimError where
        the experts of a site are not one run of operators, outside of any choice.
        """
        wanted = dict.fromkeys(sites)
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for node, op in enumerate(program.root.nodes):
            site = site_of(op, wanted)
            if site in wanted:
                first.setdefault(site, node)
                last[site] = node
        for site in wanted:
            if site not in first:
                raise CondsimError(
                    f"parallel: the experts of site {site!r} stand behind another choice; experts "
                    "can be spread over ranks where every token reaches their layer"
                )
        ordered = tuple(sorted(wanted, key=lambda site: first[site]))
        of_node = _stage_of_nodes(len(program.root.nodes), ordered, first, last)
        staged = cls(ordered, of_node, overlaps)
        return replace(staged, of_node=staged._beside(program)) if overlaps else staged

    @property
    def slots(self) -> int:
        """Stages, and exchanges that shared experts run beside."""
        return 2 * len(self) - 1 if self.overlaps else len(self)

    def _beside(self, program: Program) -> tuple[int, ...]:
        """Slots of nodes where shared experts run beside an exchange: dispatch for those that stand
        before the experts of their layer, else combine."""
        exchange_of: dict[tuple[str, int], int] = {}
        for number, site in enumerate(self.sites):
            layer = site.rpartition(".")[0]
            exchange_of[layer, 2 * number] = 2 * number
            exchange_of[layer, 2 * number + 2] = 2 * number + 1
        slots = []
        for node, stage in zip(program.root.nodes, self.of_node, strict=True):
            module = "" if isinstance(node, Loop) else node.module
            layer, shared, _ = f"{module}.".partition(SHARED)
            exchange = exchange_of.get((layer, stage)) if shared else None
            slot = stage if exchange is None else len(self) + exchange
            slots.append(slot)
        return tuple(slots)

    def __len__(self) -> int:
        return 2 * len(self.sites) + 1

    def name(self, stage: int) -> str:
        """Return what a stage is called."""
        site, computes_experts = divmod(stage, 2)
        if computes_experts:
            return self.sites[site]
        if site == len(self.sites):
            return "after the last experts"
        return f"before {self.sites[site]}"


def _stage_of_nodes(
    nodes: int, sites: tuple[str, ...], first: Mapping[str, int], last: Mapping[str, int]
) -> tuple[int, ...]:
    stages, stage = [], 0
    begins = {first[site] for site in sites}
    ends = {last[site] for site in sites}
    for node in range(nodes):
        if node in begins:
            stage += 1
        stages.append(stage)
        if node in ends:
            stage += 1
    return tuple(stages)


def of_rank(program: Program, top_k: Mapping[str, int]) -> Program:
    """Return a strategy's program on one rank. top_k: site → experts that a row takes."""

    def changed(op: Op) -> Op:
        k = top_k.get(op.site) if not op.role else None
        return op if k is None else _resized(op, _Received(op.site, k))

    return _with_ops(program, changed)


def dense_of_rank(dense: Program, narrow: Program, width: DenseWidth) -> Program:
    """Return the dense baseline on one rank: all tokens, and its share of the width.

    narrow: the same model with fewer experts' width. Raises CondsimError where the two differ in
    more than width.
    """
    if len(dense.root.nodes) != len(narrow.root.nodes):
        raise CondsimError("parallel: the two dense baselines are not the same operators")
    nodes = []
    for node, other in zip(dense.root.nodes, narrow.root.nodes, strict=True):
        site = site_of(node, width.sites)
        if not site or isinstance(node, Loop) or isinstance(other, Loop):
            nodes.append(node)
            continue
        nodes.append(_narrowed(node, other, width, _Gathered(site)))
    return _with_root(dense, Scope(tuple(nodes), dense.root.frees))


@dataclass(frozen=True)
class DenseWidth:
    """The width of dense baselines in experts.

    sites: with experts. wide, narrow: of the two recorded ones. wanted: of a rank.
    """

    sites: tuple[str, ...]
    wide: int
    narrow: int
    wanted: Fraction

    def between(self, wide: int, narrow: int) -> int:
        """Return a number of a program of the wanted width, rounded up; it is linear in the
        width. wide, narrow: what it is in the two programs."""
        if wide == narrow:
            return wide
        each = Fraction(wide - narrow, self.wide - self.narrow)
        value = narrow + each * (self.wanted - self.narrow)
        return max(1, -(-value.numerator // value.denominator))


@dataclass(frozen=True)
class _Received:
    """Sizes that follow the tokens, or the rows, that a rank was sent."""

    site: str
    top_k: int

    def __call__(self, coefficient: int) -> tuple[int, str]:
        rows, rest = divmod(coefficient, self.top_k)
        if rest:
            return coefficient, received_extent(self.site)
        return rows, routes_extent(self.site)


@dataclass(frozen=True)
class _Gathered:
    """Sizes that follow the tokens of all ranks."""

    site: str

    def __call__(self, coefficient: int) -> tuple[int, str]:
        return coefficient, gathered_extent(self.site)


Renamed = Callable[[int], tuple[int, str]]
"""Coefficient of a rank's own tokens → (coefficient, extent) that stand in their place."""


def _resized_dim(dim: Dim, renamed: Renamed) -> Dim:
    terms = []
    for coefficient, extents in dim.terms:
        rest = list(extents)
        if UNITS in rest:
            rest.remove(UNITS)
            if POSITIONS in rest:
                rest.remove(POSITIONS)
            coefficient, extent = renamed(coefficient)
            rest.append(extent)
        terms.append((coefficient, tuple(rest)))
    return Dim(dim.plus, tuple(terms))


def _resized_size(size: Size, renamed: Renamed) -> Size:
    if isinstance(size, Product):
        return Product(tuple(_resized_dim(dim, renamed) for dim in size.dims))
    return _resized_dim(size, renamed)


def _resized(op: Op, renamed: Renamed) -> Op:
    def tensor(old: Tensor) -> Tensor:
        return replace(old, dims=_resized_dims(old.dims, renamed))

    inputs = tuple(tensor(old) for old in op.inputs)
    outputs = tuple(tensor(old) for old in op.outputs)
    allocs = tuple((_resized_size(size, renamed), dtype) for size, dtype in op.allocs)
    return replace(op, inputs=inputs, outputs=outputs, allocs=allocs)


def _resized_dims(dims: tuple[Dim, ...], renamed: Renamed) -> tuple[Dim, ...]:
    """Dimensions of a tensor; units and positions that stand side by side are one row of tokens."""
    if len(dims) >= 2 and _is_extent(dims[0], UNITS) and _is_extent(dims[1], POSITIONS):
        coefficient, extent = renamed(1)
        merged = (Dim.product(coefficient, extent), Dim(1), *dims[2:])
        return tuple(_resized_dim(dim, renamed) for dim in merged)
    return tuple(_resized_dim(dim, renamed) for dim in dims)


def _is_extent(dim: Dim, extent: str) -> bool:
    return dim.plus == 0 and dim.terms == ((1, (extent,)),)


def _narrowed(op: Op, other: Op, width: DenseWidth, renamed: Renamed) -> Op:
    """An operator of the wide dense baseline as wide as is wanted. other: of the narrow one."""

    def dim(wide: Dim, narrow: Dim) -> Dim:
        plus = width.between(wide.plus, narrow.plus)
        terms = []
        for (of_wide, extents), (of_narrow, _) in zip(wide.terms, narrow.terms, strict=True):
            coefficient = width.between(of_wide, of_narrow)
            terms.append((coefficient, extents))
        return Dim(plus, tuple(terms))

    def tensors(wide: tuple[Tensor, ...], narrow: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        found = []
        for one, another in zip(wide, narrow, strict=True):
            dims = tuple(map(dim, one.dims, another.dims))
            found.append(replace(one, dims=dims))
        return tuple(found)

    def size(wide: Size, narrow: Size) -> Size:
        if isinstance(wide, Dim) and isinstance(narrow, Dim):
            return dim(wide, narrow)
        return wide

    allocs = []
    for (wide, dtype), (narrow, _) in zip(op.allocs, other.allocs, strict=True):
        allocs.append((size(wide, narrow), dtype))
    inputs = tensors(op.inputs, other.inputs)
    outputs = tensors(op.outputs, other.outputs)
    narrowed = replace(op, inputs=inputs, outputs=outputs, allocs=tuple(allocs))
    return _resized(narrowed, renamed)


def _with_ops(program: Program, change: Callable[[Op], Op]) -> Program:
    return _with_root(program, _scope_with(program.root, change))


def _scope_with(scope: Scope, change: Callable[[Op], Op]) -> Scope:
    nodes: list[Op | Loop] = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            bodies = {key: _scope_with(body, change) for key, body in node.bodies.items()}
            nodes.append(replace(node, bodies=bodies))
        else:
            nodes.append(change(node))
    return Scope(tuple(nodes), scope.frees)


def _with_root(program: Program, root: Scope) -> Program:
    return replace(program, root=root)


def expert_elements(wide: Program, narrow: Program, width: DenseWidth) -> float:
    """Return the elements of one expert's weights, in all sites together. wide, narrow: the dense
    baselines."""
    of_wide = _weight_elements(wide, width.sites)
    of_narrow = _weight_elements(narrow, width.sites)
    experts = width.wide - width.narrow
    return (of_wide - of_narrow) / experts


def _weight_elements(dense: Program, sites: Iterable[str]) -> int:
    """Elements of the weights that a dense program's experts read."""
    wanted = tuple(sites)
    total = 0
    for node in dense.root.nodes:
        if isinstance(node, Loop) or node.view or not site_of(node, wanted):
            continue
        for tensor in node.inputs:
            if tensor.weight:
                total += prod(dim.plus for dim in tensor.dims)
    return total


def token_widths(dense: Program, sites: Iterable[str]) -> dict[str, int]:
    """Return site → the elements of a token as its experts take it in. dense: the wide baseline.

    Raises CondsimError where no product of a site says it."""
    wanted = dict.fromkeys(sites)
    widths: dict[str, int] = {}
    for node in dense.root.nodes:
        if isinstance(node, Loop) or not any(tensor.weight for tensor in node.inputs):
            continue
        site = site_of(node, wanted)
        if site in wanted:
            widths.setdefault(site, node.inputs[0].dims[-1].plus)
    for site in wanted:
        if site not in widths:
            raise CondsimError(f"parallel: nothing says how wide a token of site {site!r} is")
    return widths
