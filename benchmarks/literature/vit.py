"""A vision transformer as timm runs it in eager PyTorch, with token merging (ToMe) or token pruning (DynamicViT): programs from sizes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from condsim.program import Dim, Op, Program, Scope, Tensor

BATCH = Dim(0, 1, 1)


@dataclass(frozen=True)
class Vit:
    """layers, width, heads; tokens: with the class token; patch: pixels a side of a patch."""

    layers: int
    width: int
    heads: int
    tokens: int
    patch: int

    @property
    def head(self) -> int:
        return self.width // self.heads


def many(coef: int) -> Dim:
    """coef * batch."""
    return Dim(0, coef, 1)


def of(*dims: Dim | int, dtype: str = "float", weight: str = "") -> Tensor:
    return Tensor(tuple(d if isinstance(d, Dim) else Dim(d) for d in dims), dtype, weight)


def dense(vit: Vit) -> Program:
    """No token is taken away."""
    return program(vit, [vit.tokens] * vit.layers, [])


def merging(vit: Vit, r: int) -> Program:
    """r tokens are merged in each layer, between attention and MLP, never more than half of those that are left.

    Source: facebookresearch/ToMe, tome/merge.py and tome/patch/timm.py.
    """
    tokens, left = [], vit.tokens
    for _ in range(vit.layers):
        tokens.append(left)
        left -= min(r, (left - 1) // 2)
    return program(vit, [*tokens, left], [], merge=True)


def pruning(vit: Vit, keep: float, at: Sequence[int]) -> Program:
    """Before the layers `at` a predictor scores the tokens and the best share `keep` of them goes on. Source: raoyongming/DynamicViT, models/dyvit.py."""
    tokens, left = [], vit.tokens
    for layer in range(vit.layers):
        if layer in at:
            left = 1 + round((vit.tokens - 1) * keep ** (1 + list(at).index(layer)))
        tokens.append(left)
    return program(vit, tokens, list(at))


def program(
    vit: Vit, tokens: Sequence[int], prune_at: Sequence[int], merge: bool = False
) -> Program:
    """tokens: in the attention of each layer (merge: and after the last)."""
    side = round((vit.tokens - 1) ** 0.5)
    pixels = side * vit.patch
    d = vit.width
    ops = [
        Op(
            "conv2d",
            (of(BATCH, 3, pixels, pixels), of(d, 3, vit.patch, vit.patch, weight="patch")),
            (of(BATCH, d, side, side),),
            (vit.patch, 1),
        ),
        Op("cat", (of(BATCH, 1, d), of(BATCH, vit.tokens - 1, d)), (of(BATCH, vit.tokens, d),)),
        Op(
            "add",
            (of(BATCH, vit.tokens, d), of(1, vit.tokens, d, weight="positions")),
            (of(BATCH, vit.tokens, d),),
        ),
    ]
    before = vit.tokens
    for layer in range(vit.layers):
        n = tokens[layer]
        if layer in prune_at:
            ops += _predictor(vit, before, n, layer)
        after = tokens[layer + 1] if merge else n
        ops += _attention(vit, n, layer, merge)
        if merge and after < n:
            ops += _merge(vit, n, after)
        ops += _mlp(vit, after, layer)
        before = after
    ops += [
        Op("layer_norm", (of(BATCH, before, d), of(d, weight="norm")), (of(BATCH, before, d),)),
        linear(of(BATCH, d), 1000, d, "head"),
    ]
    return Program("compacted", "prefill-n", Scope(tuple(ops)))


def linear(x: Tensor, n: int, k: int, weight: str) -> Op:
    return Op(
        "linear",
        (x, of(n, k, weight=weight), of(n, weight=f"{weight}.bias")),
        (Tensor((*x.dims[:-1], Dim(n)), "float"),),
    )


def _attention(vit: Vit, n: int, layer: int, proportional: bool) -> list[Op]:
    """As timm writes it out: scores are an array. proportional: log of the token sizes is added to them."""
    d, h, dh = vit.width, vit.heads, vit.head
    x, qkv, q, scores = of(BATCH, n, d), of(BATCH, n, 3 * d), of(many(h), n, dh), of(many(h), n, n)
    ops = [
        Op("layer_norm", (x, of(d, weight=f"{layer}.norm1")), (x,)),
        linear(x, 3 * d, d, f"{layer}.qkv"),
        Op("permute", (qkv,), (of(3, BATCH, h, n, dh),), view=True),
        Op("bmm", (q, of(many(h), dh, n)), (scores,)),
        Op("mul", (scores,), (scores,)),
    ]
    if proportional and layer:
        ops += [
            Op("log", (of(BATCH, n),), (of(BATCH, n),)),
            Op("add", (scores, of(BATCH, n)), (scores,)),
        ]
    return [
        *ops,
        Op("softmax", (scores,), (scores,)),
        Op("bmm", (scores, q), (q,)),
        Op("clone", (x,), (x,)),
        linear(x, d, d, f"{layer}.proj"),
        Op("add", (x, x), (x,)),
    ]


def _mlp(vit: Vit, n: int, layer: int) -> list[Op]:
    d = vit.width
    x, wide = of(BATCH, n, d), of(BATCH, n, 4 * d)
    return [
        Op("layer_norm", (x, of(d, weight=f"{layer}.norm2")), (x,)),
        linear(x, 4 * d, d, f"{layer}.fc1"),
        Op("gelu", (wide,), (wide,)),
        linear(wide, d, 4 * d, f"{layer}.fc2"),
        Op("add", (x, x), (x,)),
    ]


def _merge(vit: Vit, n: int, after: int) -> list[Op]:
    """Match every other token with its most similar one of the rest, and average the r best pairs."""
    d, dh, r = vit.width, vit.head, n - after
    a, b = (n + 1) // 2, n // 2
    metric, x, scores, best = of(BATCH, n, dh), of(BATCH, n, d), of(BATCH, a, b), of(BATCH, a)
    index = of(BATCH, a, dtype="int64")
    return [
        Op("mean", (of(BATCH, vit.heads, n, dh),), (metric,)),
        Op("norm", (metric,), (of(BATCH, n, 1),)),
        Op("div", (metric, of(BATCH, n, 1)), (metric,)),
        Op("bmm", (of(BATCH, a, dh), of(BATCH, dh, b)), (scores,)),
        Op("fill_", (scores,), (scores,)),
        Op("max", (scores,), (best, index)),
        Op("sort", (best,), (best, index)),
        Op("gather", (index, of(BATCH, r, dtype="int64")), (of(BATCH, r, dtype="int64"),)),
        Op("sort", (of(BATCH, a - r, dtype="int64"),), (of(BATCH, a - r, dtype="int64"),)),
        *[
            op
            for size in (d, 1)
            for op in (
                Op(
                    "gather",
                    (of(BATCH, a, size), of(BATCH, a - r, size, dtype="int64")),
                    (of(BATCH, a - r, size),),
                ),
                Op(
                    "gather",
                    (of(BATCH, a, size), of(BATCH, r, size, dtype="int64")),
                    (of(BATCH, r, size),),
                ),
                Op(
                    "scatter_add_",
                    (of(BATCH, b, size), of(BATCH, r, size, dtype="int64"), of(BATCH, r, size)),
                    (of(BATCH, b, size),),
                ),
                Op("cat", (of(BATCH, a - r, size), of(BATCH, b, size)), (of(BATCH, after, size),)),
            )
        ],
        Op("mul", (x, of(BATCH, n, 1)), (x,)),
        Op("div", (of(BATCH, after, d), of(BATCH, after, 1)), (of(BATCH, after, d),)),
    ]


def _predictor(vit: Vit, n: int, kept: int, layer: int) -> list[Op]:
    """Scores of tokens from what each is and what all are, a sort, and a gather of those that stay."""
    d, half = vit.width, vit.width // 2
    x, local = of(BATCH, n - 1, d), of(BATCH, n - 1, half)
    return [
        Op("layer_norm", (x, of(d, weight=f"{layer}.p")), (x,)),
        linear(x, d, d, f"{layer}.p0"),
        Op("gelu", (x,), (x,)),
        Op("mul", (local, of(BATCH, n - 1, 1)), (local,)),
        Op("sum", (local,), (of(BATCH, 1, half),)),
        Op("sum", (of(BATCH, n - 1, 1),), (of(BATCH, 1, 1),)),
        Op("div", (of(BATCH, 1, half), of(BATCH, 1, 1)), (of(BATCH, 1, half),)),
        Op("cat", (local, local), (x,)),
        linear(x, half, d, f"{layer}.p1"),
        Op("gelu", (local,), (local,)),
        linear(local, half // 2, half, f"{layer}.p2"),
        Op("gelu", (of(BATCH, n - 1, half // 2),), (of(BATCH, n - 1, half // 2),)),
        linear(of(BATCH, n - 1, half // 2), 2, half // 2, f"{layer}.p3"),
        Op("log_softmax", (of(BATCH, n - 1, 2),), (of(BATCH, n - 1, 2),)),
        Op("sort", (of(BATCH, n - 1),), (of(BATCH, n - 1, dtype="int64"),)),
        Op(
            "cat",
            (of(BATCH, 1, dtype="int64"), of(BATCH, kept - 1, dtype="int64")),
            (of(BATCH, kept, dtype="int64"),),
        ),
        Op("add", (of(BATCH, kept, dtype="int64"),), (of(BATCH, kept, dtype="int64"),)),
        *[Op("index", (of(many(n), d), of(many(kept), dtype="int64")), (of(many(kept), d),))] * 2,
        Op("index", (of(many(n), 1), of(many(kept), dtype="int64")), (of(many(kept), 1),)),
    ]
