"""Runtime `served`: caches in place, one attention kernel, hand-written kernels."""

from __future__ import annotations

from condsim.program import Dim, Free, Op, Program, Scope, Tensor
from condsim.program.work import work
from condsim.runtimes.engine_kernels import join_runs, merge_projections
from condsim.runtimes.served import as_served, kept_storages, with_unpacked_attention

BATCH, TOTAL = Dim.product(1, "batch"), Dim.product(1, "total")
PAST = Dim.product(1, "total", plus=-1)
ONE, HEADS, SHARED, WIDTH, HIDDEN = (Dim(n) for n in (1, 8, 2, 16, 64))
AT = {"batch": 3, "seq": 1, "total": 100}


def tensor(*dims: Dim, weight: str = "") -> Tensor:
    return Tensor(dims, "float", weight)


def op(name: str, inputs: list[Tensor], output: Tensor, module: str = "attn", **more: object) -> Op:
    return Op(name, tuple(inputs), (output,), module=module, allocs=((BATCH, "float"),), **more)


def projection(name: str, wide: int, rows: Tensor, module: str = "attn") -> Op:
    weight = tensor(Dim(wide), rows.dims[-1], weight=f"{module}.{name}.weight")
    return op("linear", [rows, weight], tensor(BATCH, ONE, Dim(wide)), f"{module}.{name}")


def program(nodes: list[Op], kept: set[int]) -> Program:
    """A decode program in which all storages die at the end but those of `kept`."""
    last = len(nodes) - 1
    frees = tuple(Free(last, (), place, 0) for place in range(last) if place not in kept)
    return Program("dense", "decode-n", Scope(tuple(nodes), frees))


def attention_with_copies() -> Program:
    """Two caches, keys and values copied for eight heads, attention, and a product behind it."""
    new, old = tensor(BATCH, SHARED, ONE, WIDTH), tensor(BATCH, SHARED, PAST, WIDTH)
    cache, copied = tensor(BATCH, SHARED, TOTAL, WIDTH), tensor(BATCH, HEADS, TOTAL, WIDTH)
    query = tensor(BATCH, HEADS, ONE, WIDTH)
    nodes = [
        op("cat", [old, new], cache),
        op("cat", [old, new], cache),
        op("clone", [cache], copied),
        op("clone", [cache], copied),
        op("scaled_dot_product_attention", [query, copied, copied], query),
        projection("o_proj", 64, tensor(BATCH, ONE, Dim(128))),
    ]
    return program(nodes, kept={0, 1})


def test_what_outlives_a_step_is_a_cache_but_for_its_result() -> None:
    assert kept_storages(attention_with_copies()) == [0, 1]


def test_caches_are_written_in_place_and_read_once() -> None:
    nodes = as_served(attention_with_copies()).root.nodes
    first, second, copy, _, attention, out = nodes
    assert [one.inputs for one in (first, second)] == [(tensor(BATCH, SHARED, ONE, WIDTH),)] * 2
    assert copy.view
    assert attention.name == "paged_attention"
    assert attention.inputs[1].shape(AT) == (3, 2, 100, 32)
    job = work(
        attention.name,
        [one.shape(AT) for one in attention.inputs],
        [one.shape(AT) for one in attention.outputs],
        attention.params,
    )
    assert (job.m, job.n, job.groups) == (4, 100, 6)
    assert job.flops == 2 * 3 * 8 * 100 * (16 + 16)
    assert out.name == "linear"


def test_matrices_behind_latents_run_for_the_new_position() -> None:
    latent, rotary = Dim(12), Dim(4)
    nodes = [
        op("cat", [tensor(BATCH, ONE, PAST, latent), tensor(BATCH, ONE, ONE, latent)],
           tensor(BATCH, ONE, TOTAL, latent)),
        op("cat", [tensor(BATCH, ONE, PAST, rotary), tensor(BATCH, ONE, ONE, rotary)],
           tensor(BATCH, ONE, TOTAL, rotary)),
        op("linear", [tensor(BATCH, ONE, TOTAL, latent), tensor(Dim(200), latent, weight="w")],
           tensor(BATCH, ONE, TOTAL, Dim(200)), "attn.kv_b_proj"),
        op("scaled_dot_product_attention",
           [tensor(BATCH, HEADS, ONE, WIDTH), *[tensor(BATCH, HEADS, TOTAL, WIDTH)] * 2],
           tensor(BATCH, HEADS, ONE, WIDTH)),
        projection("o_proj", 64, tensor(BATCH, ONE, Dim(128))),
    ]  # fmt: skip
    _, _, expand, attention, _ = as_served(program(nodes, kept={0, 1})).root.nodes
    assert expand.inputs[0].shape(AT) == (3, 1, 1, 12)
    assert expand.outputs[0].shape(AT) == (3, 1, 1, 200)
    assert attention.inputs[1].shape(AT) == (3, 1, 100, 16)
    assert attention.params == (12 + 4 + 12,)


def test_projections_of_the_same_rows_are_one_product() -> None:
    rows, result = tensor(BATCH, ONE, HIDDEN), tensor(BATCH, HEADS, ONE, Dim(8))
    nodes = [
        projection("q_proj", 64, rows),
        projection("k_proj", 16, rows),
        projection("v_proj", 16, rows),
        op("scaled_dot_product_attention", [result] * 3, result),
        projection("o_proj", 64, rows),
    ]
    query, key, value, _, out = merge_projections(program(nodes, set())).root.nodes
    assert query.inputs[1].shape(AT) == (96, 64)
    assert query.outputs[0].shape(AT) == (3, 1, 96)
    assert (key.view, value.view) == (True, True)
    assert out.inputs[1].shape(AT) == (64, 64)


def test_a_norm_is_one_kernel_that_reads_rows_and_weights_once() -> None:
    rows, of_row = tensor(BATCH, ONE, HIDDEN), tensor(BATCH, ONE, ONE)
    weight = tensor(HIDDEN, weight="norm.weight")
    nodes = [
        op("pow", [rows], rows, "norm"),
        op("mean", [rows], of_row, "norm"),
        op("rsqrt", [of_row], of_row, "norm"),
        op("mul", [rows, of_row], rows, "norm"),
        op("mul", [weight, rows], rows, "norm"),
        projection("q_proj", 64, rows),
    ]
    frees = (*(Free(4, (), place, 0) for place in range(4)), Free(5, (), 4, 0))
    norm = Program("dense", "decode-n", Scope(tuple(nodes), frees))
    *gone, kernel, product = join_runs(norm, frozenset()).root.nodes
    assert all(node.view for node in gone)
    assert kernel.inputs == (rows, weight)
    assert kernel.outputs == (rows,)
    assert product.name == "linear"


def test_a_prompt_is_attended_to_by_one_causal_kernel_that_keeps_no_scores() -> None:
    seq = Dim.product(1, "seq")
    cache, copied = tensor(BATCH, SHARED, seq, WIDTH), tensor(BATCH, HEADS, seq, WIDTH)
    query, scores = tensor(BATCH, HEADS, seq, WIDTH), tensor(BATCH, HEADS, seq, seq)
    turned = tensor(BATCH, HEADS, WIDTH, seq)
    nodes = [
        op("cat", [cache], cache),
        op("cat", [cache], cache),
        op("clone", [cache], copied),
        op("matmul", [query, turned], scores),
        op("softmax", [scores], scores),
        op("matmul", [scores, copied], query),
        projection("o_proj", 64, tensor(BATCH, seq, Dim(128))),
    ]
    prefill = Program("dense", "prefill-n", program(nodes, kept={0, 1}).root)
    served = as_served(prefill).root.nodes
    assert [one.name for one in served if not one.view][2:] == ["causal_attention", "linear"]
    attention = served[5]
    at = {"batch": 3, "seq": 100}
    shapes = [[one.shape(at) for one in some] for some in (attention.inputs, attention.outputs)]
    job = work(attention.name, *shapes, attention.params)
    assert job.flops == 2 * 3 * 8 * 100 * 100 * (16 + 16) / 2
    assert (job.m, job.n) == (4 * 100, 50)


def test_attention_beside_prompts_is_another_kernel_of_the_same_work() -> None:
    served = as_served(attention_with_copies())
    beside = with_unpacked_attention(served)
    names = [node.name for node in beside.root.nodes]
    assert names.count("unpacked_attention") == 1
    assert "paged_attention" not in names
    for before, after in zip(served.root.nodes, beside.root.nodes, strict=True):
        assert (before.inputs, before.outputs, before.params) == (
            after.inputs,
            after.outputs,
            after.params,
        )
