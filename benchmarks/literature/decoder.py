"""One decode step of a decoder-only language model at batch 1, as a program.

The program is made from the model's configuration, and says what the step reads of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from condsim.program import Dim, Op, Program, Scope, Tensor


@dataclass(frozen=True)
class Decoder:
    """Sizes of a decoder.

    queries, keys: numbers of heads. head: columns of one head. inner: columns of the FFN, or of one
    expert. experts: how many a token runs, 1 for a dense FFN. routed: how many a router chooses
    from, 0 without a router.
    """

    layers: int
    width: int
    queries: int
    keys: int
    head: int
    inner: int
    vocabulary: int
    experts: int = 1
    routed: int = 0

    @property
    def parameters(self) -> int:
        """How many parameters a token reads."""
        attention = self.width * self.head * (2 * self.queries + 2 * self.keys)
        experts = self.experts * 3 * self.width * self.inner
        router = self.routed * self.width
        head = self.vocabulary * self.width
        return self.layers * (attention + experts + router) + head


def decode(model: Decoder) -> Program:
    """Return the program of one decode step.

    Each expert that a token runs is three matrices. The keys and values of earlier tokens are left
    out, so it holds for short contexts.
    """
    ops = []
    for layer in range(model.layers):
        ops += _attention(model, layer)
        if model.routed:
            gate = matvec(model.routed, model.width, f"{layer}.gate")
            ops += [gate, Op("topk", (vector(model.routed),), (vector(model.experts),))]
        for expert in range(model.experts):
            ops += _expert(model, f"{layer}.{expert}")
    ops.append(norm(model.width, "norm"))
    ops.append(matvec(model.vocabulary, model.width, "head"))
    return Program("looped", "decode-1", Scope(tuple(ops)))


def _attention(model: Decoder, layer: int) -> list[Op]:
    """Return the operators of a layer up to its experts."""
    d = model.width
    inside = model.queries * model.head
    shared = model.keys * model.head
    return [
        norm(d, f"{layer}.a"),
        matvec(inside, d, f"{layer}.q"),
        matvec(shared, d, f"{layer}.k"),
        matvec(shared, d, f"{layer}.v"),
        matvec(d, inside, f"{layer}.o"),
        add(d),
        norm(d, f"{layer}.f"),
    ]


def _expert(model: Decoder, name: str) -> list[Op]:
    """Return the operators of one expert, or of a dense FFN."""
    d, inner = model.width, vector(model.inner)
    return [
        matvec(model.inner, d, f"{name}.gate"),
        matvec(model.inner, d, f"{name}.up"),
        Op("silu", (inner,), (inner,)),
        Op("mul", (inner, inner), (inner,)),
        matvec(d, model.inner, f"{name}.down"),
        add(d),
    ]


def vector(n: int) -> Tensor:
    """Return a row of n elements."""
    return Tensor((Dim(1), Dim(n)), "float")


def matvec(n: int, k: int, weight: str) -> Op:
    """Return a row of k elements times a weight [n, k] transposed."""
    matrix = Tensor((Dim(n), Dim(k)), "float", weight)
    return Op("linear", (vector(k), matrix), (vector(n),))


def norm(d: int, weight: str) -> Op:
    """Return a root-mean-square norm of a row of d elements."""
    scale = Tensor((Dim(d),), "float", weight)
    return Op("rms_norm", (vector(d), scale), (vector(d),))


def add(d: int) -> Op:
    """Return a sum of two rows of d elements."""
    return Op("add", (vector(d), vector(d)), (vector(d),))


QWEN3_30B_A3B = Decoder(48, 2048, 32, 4, 128, 768, 151936, experts=8, routed=128)
QWEN3_CODER_480B = Decoder(62, 6144, 96, 8, 128, 2560, 151936, experts=8, routed=160)
DENSE = {
    "1.5B": Decoder(28, 1536, 12, 2, 128, 8960, 151936),
    "3B": Decoder(36, 2048, 16, 2, 128, 11008, 151936),
    "7B": Decoder(28, 3584, 28, 4, 128, 18944, 152064),
    "8B": Decoder(36, 4096, 32, 8, 128, 12288, 151936),
}
"""Configurations as published with the models (Qwen2.5 and Qwen3 config.json, from memory); the
measurement names sizes only."""
