"""A vision transformer with token merging (ToMe) or token pruning (DynamicViT), as programs.

They are made from sizes alone, and hold the operators that timm runs in eager PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from condsim.program import Dim, Op, Program, Scope, Tensor

BATCH = Dim.product(1, "batch")


@dataclass(frozen=True)
class Vit:
    """Sizes of a vision transformer.

    tokens: of an image, with the class token. patch: the side of a patch in pixels.
    """

    layers: int
    width: int
    heads: int
    tokens: int
    patch: int

    @property
    def head(self) -> int:
        """Columns of one head."""
        return self.width // self.heads


def many(coef: int) -> Dim:
    """Return the dimension coef * batch."""
    return Dim.product(coef, "batch")


def of(*dims: Dim | int, dtype: str = "float", weight: str = "") -> Tensor:
    """Return a tensor of these dimensions."""
    sizes = [dim if isinstance(dim, Dim) else Dim(dim) for dim in dims]
    return Tensor(tuple(sizes), dtype, weight)


def dense(vit: Vit) -> Program:
    """Return the model from which no token is taken away."""
    return program(vit, [vit.tokens] * vit.layers, [])


def merging(vit: Vit, r: int) -> Program:
    """Return the model that merges r tokens in each layer, between attention and MLP.

    It never merges more than half of the tokens that are left. Source: facebookresearch/ToMe,
    tome/merge.py and tome/patch/timm.py.
    """
    tokens, left = [], vit.tokens
    for _ in range(vit.layers):
        tokens.append(left)
        left -= min(r, (left - 1) // 2)
    return program(vit, [*tokens, left], [], merge=True)


def pruning(vit: Vit, keep: float, at: Sequence[int]) -> Program:
    """Return the model that prunes tokens before the layers `at`.

    There a predictor scores the tokens, and the best share `keep` of them goes on. Source:
    raoyongming/DynamicViT, models/dyvit.py.
    """
    tokens, left = [], vit.tokens
    for layer in range(vit.layers):
        if layer in at:
            times_pruned = 1 + list(at).index(layer)
            left = 1 + round((vit.tokens - 1) * keep**times_pruned)
        tokens.append(left)
    return program(vit, tokens, list(at))


def program(
    vit: Vit, tokens: Sequence[int], prune_at: Sequence[int], merge: bool = False
) -> Program:
    """Return the program of a model whose layers see these numbers of tokens.

    tokens: of the attention of each layer, and with `merge` those after the last layer too.
    prune_at: the layers before which a predictor prunes.
    """
    ops = _patches(vit)
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
    d = vit.width
    x = of(BATCH, before, d)
    ops.append(Op("layer_norm", (x, of(d, weight="norm")), (x,)))
    ops.append(linear(of(BATCH, d), 1000, d, "head"))
    return Program("compacted", "prefill-n", Scope(tuple(ops)))


def _patches(vit: Vit) -> list[Op]:
    """Return the operators that make tokens of an image."""
    d = vit.width
    side = round((vit.tokens - 1) ** 0.5)
    pixels = side * vit.patch
    image = of(BATCH, 3, pixels, pixels)
    kernel = of(d, 3, vit.patch, vit.patch, weight="patch")
    class_token, patches = of(BATCH, 1, d), of(BATCH, vit.tokens - 1, d)
    tokens, positions = of(BATCH, vit.tokens, d), of(1, vit.tokens, d, weight="positions")
    return [
        Op("conv2d", (image, kernel), (of(BATCH, d, side, side),), (vit.patch, 1)),
        Op("cat", (class_token, patches), (tokens,)),
        Op("add", (tokens, positions), (tokens,)),
    ]


def linear(x: Tensor, n: int, k: int, weight: str) -> Op:
    """Return x [..., k] times a weight [n, k] transposed, with a bias."""
    inputs = (x, of(n, k, weight=weight), of(n, weight=f"{weight}.bias"))
    result = Tensor((*x.dims[:-1], Dim(n)), "float")
    return Op("linear", inputs, (result,))


def _attention(vit: Vit, n: int, layer: int, proportional: bool) -> list[Op]:
    """Return attention as timm writes it out, with the scores as an array.

    proportional: whether the logarithm of the token sizes is added to the scores.
    """
    d, h, dh = vit.width, vit.heads, vit.head
    x, qkv = of(BATCH, n, d), of(BATCH, n, 3 * d)
    q, scores = of(many(h), n, dh), of(many(h), n, n)
    ops = [
        Op("layer_norm", (x, of(d, weight=f"{layer}.norm1")), (x,)),
        linear(x, 3 * d, d, f"{layer}.qkv"),
        Op("permute", (qkv,), (of(3, BATCH, h, n, dh),), view=True),
        Op("bmm", (q, of(many(h), dh, n)), (scores,)),
        Op("mul", (scores,), (scores,)),
    ]
    if proportional and layer:
        sizes = of(BATCH, n)
        ops += [Op("log", (sizes,), (sizes,)), Op("add", (scores, sizes), (scores,))]
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
    """Return what matches every other token with its most similar one of the rest, and averages
    the best pairs, so that of n tokens `after` are left."""
    d, merged = vit.width, n - after
    sizes = of(BATCH, n, 1)
    x, x_after, sizes_after = of(BATCH, n, d), of(BATCH, after, d), of(BATCH, after, 1)
    return [
        *_matching(vit, n, merged),
        *_pairs_summed(n, merged, d),
        *_pairs_summed(n, merged, 1),
        Op("mul", (x, sizes), (x,)),
        Op("div", (x_after, sizes_after), (x_after,)),
    ]


def _matching(vit: Vit, n: int, merged: int) -> list[Op]:
    """Return what finds the pairs of tokens that are merged."""
    dh = vit.head
    a, b = (n + 1) // 2, n // 2
    metric, length = of(BATCH, n, dh), of(BATCH, n, 1)
    scores, best = of(BATCH, a, b), of(BATCH, a)
    index, of_merged, of_others = _places(a), _places(merged), _places(a - merged)
    return [
        Op("mean", (of(BATCH, vit.heads, n, dh),), (metric,)),
        Op("norm", (metric,), (length,)),
        Op("div", (metric, length), (metric,)),
        Op("bmm", (of(BATCH, a, dh), of(BATCH, dh, b)), (scores,)),
        Op("fill_", (scores,), (scores,)),
        Op("max", (scores,), (best, index)),
        Op("sort", (best,), (best, index)),
        Op("gather", (index, of_merged), (of_merged,)),
        Op("sort", (of_others,), (of_others,)),
    ]


def _pairs_summed(n: int, merged: int, columns: int) -> list[Op]:
    """Return what adds the merged tokens to their partners, in arrays of so many columns."""
    a, b = (n + 1) // 2, n // 2
    source, target = of(BATCH, a, columns), of(BATCH, b, columns)
    others, taken = of(BATCH, a - merged, columns), of(BATCH, merged, columns)
    places_of_others = of(BATCH, a - merged, columns, dtype="int64")
    places_of_taken = of(BATCH, merged, columns, dtype="int64")
    left = of(BATCH, n - merged, columns)
    return [
        Op("gather", (source, places_of_others), (others,)),
        Op("gather", (source, places_of_taken), (taken,)),
        Op("scatter_add_", (target, places_of_taken, taken), (target,)),
        Op("cat", (others, target), (left,)),
    ]


def _places(count: int) -> Tensor:
    """Return the places of so many tokens of each image."""
    return of(BATCH, count, dtype="int64")


def _predictor(vit: Vit, n: int, kept: int, layer: int) -> list[Op]:
    """Return what scores tokens from what each is and what all are, sorts them, and gathers those
    that stay."""
    return [*_scores(vit, n, layer), *_kept_tokens(vit, n, kept)]


def _scores(vit: Vit, n: int, layer: int) -> list[Op]:
    d, half = vit.width, vit.width // 2
    x, local, narrow = of(BATCH, n - 1, d), of(BATCH, n - 1, half), of(BATCH, n - 1, half // 2)
    mask, mean, count = of(BATCH, n - 1, 1), of(BATCH, 1, half), of(BATCH, 1, 1)
    scores = of(BATCH, n - 1, 2)
    return [
        Op("layer_norm", (x, of(d, weight=f"{layer}.p")), (x,)),
        linear(x, d, d, f"{layer}.p0"),
        Op("gelu", (x,), (x,)),
        Op("mul", (local, mask), (local,)),
        Op("sum", (local,), (mean,)),
        Op("sum", (mask,), (count,)),
        Op("div", (mean, count), (mean,)),
        Op("cat", (local, local), (x,)),
        linear(x, half, d, f"{layer}.p1"),
        Op("gelu", (local,), (local,)),
        linear(local, half // 2, half, f"{layer}.p2"),
        Op("gelu", (narrow,), (narrow,)),
        linear(narrow, 2, half // 2, f"{layer}.p3"),
        Op("log_softmax", (scores,), (scores,)),
    ]


def _kept_tokens(vit: Vit, n: int, kept: int) -> list[Op]:
    places, flat_places = _places(kept), of(many(kept), dtype="int64")
    x, x_kept = of(many(n), vit.width), of(many(kept), vit.width)
    take = Op("index", (x, flat_places), (x_kept,))
    return [
        Op("sort", (of(BATCH, n - 1),), (_places(n - 1),)),
        Op("cat", (_places(1), _places(kept - 1)), (places,)),
        Op("add", (places,), (places,)),
        take,
        take,
        Op("index", (of(many(n), 1), flat_places), (of(many(kept), 1),)),
    ]
