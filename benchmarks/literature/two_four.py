"""Linear layers with 2:4 sparse weights: one alone, and those of BERT as transformers runs it."""

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
        op = Op(
            "linear", (of(self.m, self.k), of(self.n, self.k, weight="w")), (of(self.m, self.n),)
        )
        return Program("compacted", "prefill-n", Scope((sparse_weights(op) if sparse else op,)))


def bert(sparse: bool, compiled: bool) -> Program:
    """Bert-base for questions, half precision.

    PyTorch multiplies a sparse weight from the left, so the result lies transposed, and what follows reads it by column; a compiler that writes its own
    kernels reads it in tiles. Source: PyTorch, torch/sparse/_semi_structured_ops.py, semi_sparse_linear.
    """
    x = of(BATCH, TOKENS, WIDTH)
    ops = [
        Op("embedding", (of(30000, WIDTH, weight="words"), of(BATCH, TOKENS, dtype="int64")), (x,)),
        *[Op("add", (x, x), (x,))] * 2,
        _norm("embed"),
    ]
    for i in range(LAYERS):

        def layer(source: Tensor, n: int, k: int, name: str, i: int = i) -> list[Op]:
            op = linear(source, n, k, f"{i}.{name}")
            result = op.outputs[0]
            return (
                [
                    sparse_weights(op),
                    Op("clone" if compiled else "transposed", (result,), (result,)),
                ]
                if sparse
                else [op]
            )

        q, wide = of(BATCH, HEADS, TOKENS, WIDTH // HEADS), of(BATCH, TOKENS, INNER)
        for name in "qkv":
            ops += layer(x, WIDTH, WIDTH, name)
        ops += [Op("scaled_dot_product_attention", (q, q, q), (q,)), Op("clone", (x,), (x,))]
        ops += [*layer(x, WIDTH, WIDTH, "out"), Op("add", (x, x), (x,)), _norm(f"{i}.a")]
        ops += [
            *layer(x, INNER, WIDTH, "up"),
            Op("gelu", (wide,), (wide,)),
            *layer(wide, WIDTH, INNER, "down"),
            Op("add", (x, x), (x,)),
            _norm(f"{i}.b"),
        ]
    return Program("compacted", "prefill-n", Scope((*ops, linear(x, 2, WIDTH, "qa"))))


def _norm(name: str) -> Op:
    x = of(BATCH, TOKENS, WIDTH)
    return Op("layer_norm", (x, of(WIDTH, weight=f"{name}.norm")), (x,))
