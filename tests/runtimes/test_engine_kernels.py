"""Kernels that serving engines write: projections that share their rows, and runs of small
operators."""

from __future__ import annotations

from condsim.program import Dim, Free, Op, Program, Scope, Tensor
from condsim.runtimes.engine_kernels import join_runs, merge_projections

BATCH, HIDDEN = Dim.product(1, "batch"), Dim(64)


def tensor(*dims: Dim, weight: str = "") -> Tensor:
    return Tensor(dims, "float", weight)


ROWS = tensor(BATCH, HIDDEN)


def operator(name: str, inputs: list[Tensor], output: Tensor = ROWS, module: str = "norm") -> Op:
    return Op(name, tuple(inputs), (output,), module=module, allocs=((BATCH, "float"),))


def projection(name: str, wide: int, module: str = "attn", rows: Tensor = ROWS) -> Op:
    """A product of rows with weights and a bias."""
    weight = tensor(Dim(wide), rows.dims[-1], weight=f"{name}.weight")
    bias = tensor(Dim(wide), weight=f"{name}.bias")
    result = tensor(BATCH, Dim(wide))
    return operator("linear", [rows, weight, bias], result, f"{module}.{name}")


def program(*nodes: Op, frees: tuple[Free, ...] = ()) -> Program:
    return Program("dense", "decode-n", Scope(nodes, frees))


def operators(program: Program) -> list[Op]:
    return [node for node in program.root.nodes if isinstance(node, Op)]


def widths(program: Program) -> list[int]:
    """Columns of each product that is left."""
    return [op.outputs[0].dims[-1].plus for op in operators(program) if op.name == "linear"]


def test_projections_of_one_module_that_read_the_same_rows_are_one_product() -> None:
    merged = merge_projections(
        program(projection("q", 64), projection("k", 16), projection("v", 16))
    )
    assert widths(merged) == [96]
    first, *gone = operators(merged)
    assert [one.dims for one in first.inputs] == [ROWS.dims, (Dim(96), HIDDEN), (Dim(96),)]
    assert all(op.view for op in gone)


def test_other_modules_and_other_rows_keep_their_products() -> None:
    narrow = tensor(BATCH, Dim(32))
    nodes = (projection("q", 64), projection("up", 16, "mlp"), projection("k", 8, rows=narrow))
    assert widths(merge_projections(program(*nodes))) == [64, 16, 8]


def test_a_run_reads_what_comes_from_outside_and_writes_what_outlives_it() -> None:
    wide = tensor(BATCH, Dim(128))
    nodes = (operator("mul", [ROWS], wide), operator("add", [wide], tensor(BATCH)))
    frees = (Free(1, (), 0, 0),)
    gone, kernel = operators(join_runs(program(*nodes, frees=frees), frozenset()))
    assert gone.view
    assert [size for size, _ in gone.allocs] == [Dim(0)]  # its storage is gone, its place stays
    assert (kernel.inputs, kernel.outputs) == ((ROWS,), (tensor(BATCH),))


def test_what_outlives_a_run_is_written_and_keeps_its_storage() -> None:
    wide = tensor(BATCH, Dim(128))
    nodes = (operator("mul", [ROWS], wide), operator("add", [wide], tensor(BATCH)))
    first, kernel = operators(join_runs(program(*nodes), frozenset()))
    assert first.allocs == nodes[0].allocs
    assert kernel.outputs == (wide, tensor(BATCH))


def test_products_caches_and_other_modules_end_a_run() -> None:
    nodes = (
        operator("mul", [ROWS]),
        projection("q", 64),
        operator("mul", [ROWS]),
        operator("mul", [ROWS], module="other"),
        operator("mul", [ROWS], module="other"),
    )
    joined = join_runs(program(*nodes), caches=frozenset({4}))
    assert [op.view for op in operators(joined)] == [False] * 5
