"""What ranks of tensor parallelism do together, put into a rank's program."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.parallel.tensor import ALL_GATHER, ALL_REDUCE, ranks_of, with_collectives
from condsim.program import Dim, Free, Loop, Op, Program, Scope, Tensor

BATCH, HIDDEN, WORDS = Dim.product(1, "batch"), Dim(64), Dim(50)
STATES = Tensor((BATCH, Dim(1), HIDDEN), "float")


def product(module: str, wide: Dim = HIDDEN) -> Op:
    """A product of hidden states with weights."""
    weight = Tensor((wide, HIDDEN), "float", f"{module}.weight")
    result = Tensor((BATCH, Dim(1), wide), "float")
    return Op("linear", (STATES, weight), (result,), module=module, allocs=((BATCH, "float"),))


def elementwise(name: str, module: str) -> Op:
    return Op(name, (STATES, STATES), (STATES,), module=module, allocs=((BATCH, "float"),))


def of_layers() -> Program:
    """An embedding, one layer with attention and experts behind guards, and a head."""
    body = Scope((product("model.layers.0.mlp.experts.0"),), (Free(0, (), 2, 0),))
    nodes = (
        Op("embedding", (STATES,), (STATES,), module="model.embed_tokens"),
        elementwise("mul", "model.layers.0.input_layernorm"),
        product("model.layers.0.self_attn.q_proj"),
        elementwise("add", "model.layers.0.self_attn"),
        product("model.layers.0.self_attn.o_proj"),
        elementwise("add", "model.layers.0"),
        Loop("model.layers.0.mlp", (-1,), {(-1, 2, 2): body}),
        elementwise("add", "model.layers.0"),
        product("lm_head", WORDS),
    )
    frees = (Free(5, (), 4, 0), Free(8, ((6, -1, 2, 2),), 0, 0), Free(-1, (), 1, 0))
    return Program("grouped", "decode-n", Scope(nodes, frees))


def test_ranks_add_up_after_each_part_of_a_layer() -> None:
    shared = with_collectives(of_layers(), 4, ["model.layers.0.mlp"])
    names = [getattr(node, "name", "loop") for node in shared.root.nodes]
    assert names == [
        *("embedding", ALL_REDUCE, "mul", "linear", "add", "linear", ALL_REDUCE, "add"),
        *("loop", ALL_REDUCE, "add", "linear", ALL_GATHER),
    ]
    gathered = shared.root.nodes[-1]
    assert isinstance(gathered, Op)
    assert gathered.inputs[0].dims[-1] == Dim(200)
    assert gathered.params == (4,)
    assert ranks_of([shared]) == 4
    assert ranks_of([of_layers()]) == 1


def test_storages_die_where_they_died() -> None:
    before, after = of_layers(), with_collectives(of_layers(), 2)
    kept = [
        node
        for node in after.root.nodes
        if getattr(node, "name", "") not in (ALL_REDUCE, ALL_GATHER)
    ]
    assert len(kept) == len(before.root.nodes)
    nodes = after.root.nodes
    for old, new in zip(before.root.frees, after.root.frees, strict=True):
        assert (new.position < 0) == (old.position < 0)
        if old.position >= 0:
            assert nodes[new.position] is kept[old.position]
        if not old.path:
            assert nodes[new.op] is kept[old.op]
    loop = next(node for node in nodes if isinstance(node, Loop))
    assert nodes[after.root.frees[1].path[0][0]] is loop
    (inner,) = loop.bodies[-1, 2, 2].frees
    assert nodes[inner.op] is kept[2]


def test_a_program_without_an_embedding_is_refused() -> None:
    bare = Program("dense", "decode-n", Scope((product("lm_head"),)))
    with pytest.raises(CondsimError, match="no embedding"):
        with_collectives(bare, 2)
