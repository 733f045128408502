"""Linear layers with 2:4 sparse weights as programs: one alone, and those of BERT.

BERT is written as transformers runs it.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.literature.vit import BATCH, linear, of
from condsim.program import Op, Program, Scope, Tensor
from condsim.strategies.two_four import sparse_weights

LAYERS, WIDTH, HEADS, INNER = 12, 768, 12, 3072
TOKENS = 384  # what the tutorial pads its questions to


@dataclass(frozen=True)
class Layer:
    """y [m, n] = x [m, k] times w [n, k] transposed."""

    m: int
    k: int
    n: int

    def program(self, sparse: bool) -> Program:
        """Return the layer alone as a program."""
        x, weight = of(self.m, self.k), of(self.n, self.k, weight="w")
        op = Op("linear", (x, weight), (of(self.m, self.n),))
        if sparse:
            op = sparse_weights(op)
        return Program("compacted", "prefill-n", Scope((op,)))


@dataclass(frozen=True)
class _Linear:
    """How BERT's linear layers run.

    PyTorch multiplies a sparse weight from the left, so the result lies transposed, and what
    follows reads it by column; a compiler that writes its own kernels reads it in tiles. Source:
    PyTorch, torch/sparse/_semi_structured_ops.py, semi_sparse_linear.
    """

    sparse: bool
    compiled: bool

    def operators(self, source: Tensor, n: int, k: int, name: str) -> list[Op]:
        """Return the operators of one layer with a weight [n, k]."""
        op = linear(source, n, k, name)
        if not self.sparse:
            return [op]
        result = op.outputs[0]
        reading = "clone" if self.compiled else "transposed"
        return [sparse_weights(op), Op(reading, (result,), (result,))]


def bert(sparse: bool, compiled: bool) -> Program:
    """Return Bert-base for questions in half precision."""
    x = of(BATCH, TOKENS, WIDTH)
    words, ids = of(30000, WIDTH, weight="words"), of(BATCH, TOKENS, dtype="int64")
    add = Op("add", (x, x), (x,))
    ops = [Op("embedding", (words, ids), (x,)), add, add, _norm("embed")]
    way = _Linear(sparse, compiled)
    for layer in range(LAYERS):
        ops += _layer(way, f"{layer}")
    ops.append(linear(x, 2, WIDTH, "qa"))
    return Program("compacted", "prefill-n", Scope(tuple(ops)))


def _layer(way: _Linear, name: str) -> list[Op]:
    """Return the operators of one layer of BERT."""
    x, wide = of(BATCH, TOKENS, WIDTH), of(BATCH, TOKENS, INNER)
    q = of(BATCH, HEADS, TOKENS, WIDTH // HEADS)
    add = Op("add", (x, x), (x,))
    ops = []
    for part in "qkv":
        ops += way.operators(x, WIDTH, WIDTH, f"{name}.{part}")
    ops += [Op("scaled_dot_product_attention", (q, q, q), (q,)), Op("clone", (x,), (x,))]
    ops += way.operators(x, WIDTH, WIDTH, f"{name}.out")
    ops += [add, _norm(f"{name}.a")]
    ops += way.operators(x, INNER, WIDTH, f"{name}.up")
    ops.append(Op("gelu", (wide,), (wide,)))
    ops += way.operators(wide, WIDTH, INNER, f"{name}.down")
    ops += [add, _norm(f"{name}.b")]
    return ops


def _norm(name: str) -> Op:
    x = of(BATCH, TOKENS, WIDTH)
    scale = of(WIDTH, weight=f"{name}.norm")
    return Op("layer_norm", (x, scale), (x,))
