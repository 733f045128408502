"""One decode step of a decoder-only language model at batch 1: what it reads of its weights, as a program from its configuration."""

from __future__ import annotations

from dataclasses import dataclass

from condsim.program import Dim, Op, Program, Scope, Tensor


@dataclass(frozen=True)
class Decoder:
    """queries, keys: heads; inner: columns of the FFN, or of an expert; experts a token runs (1: a dense FFN); shared: the head is the embedding."""

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
        """All that a token reads."""
        attention = self.width * self.head * (2 * self.queries + 2 * self.keys)
        return (
            self.layers
            * (attention + self.experts * 3 * self.width * self.inner + self.routed * self.width)
            + self.vocabulary * self.width
        )


def decode(model: Decoder) -> Program:
    """Each expert that a token runs is three matrices; the keys and values of earlier tokens are left out (short contexts)."""
    d = model.width
    ops = []
    for layer in range(model.layers):
        inside = model.queries * model.head
        ops += [
            norm(d, f"{layer}.a"),
            *(
                matvec(n, d, f"{layer}.{w}")
                for w, n in (
                    ("q", inside),
                    ("k", model.keys * model.head),
                    ("v", model.keys * model.head),
                )
            ),
        ]
        ops += [matvec(d, inside, f"{layer}.o"), add(d), norm(d, f"{layer}.f")]
        if model.routed:
            ops += [
                matvec(model.routed, d, f"{layer}.gate"),
                Op("topk", (vector(model.routed),), (vector(model.experts),)),
            ]
        for e in range(model.experts):
            ops += [
                matvec(model.inner, d, f"{layer}.{e}.gate"),
                matvec(model.inner, d, f"{layer}.{e}.up"),
            ]
            ops += [
                Op("silu", (vector(model.inner),), (vector(model.inner),)),
                Op("mul", (vector(model.inner),) * 2, (vector(model.inner),)),
            ]
            ops += [matvec(d, model.inner, f"{layer}.{e}.down"), add(d)]
    ops += [norm(d, "norm"), matvec(model.vocabulary, d, "head")]
    return Program("looped", "decode-1", Scope(tuple(ops)))


def vector(n: int) -> Tensor:
    return Tensor((Dim(1), Dim(n)), "float")


def matvec(n: int, k: int, weight: str) -> Op:
    return Op("linear", (vector(k), Tensor((Dim(n), Dim(k)), "float", weight)), (vector(n),))


def norm(d: int, weight: str) -> Op:
    return Op("rms_norm", (vector(d), Tensor((Dim(d),), "float", weight)), (vector(d),))


def add(d: int) -> Op:
    return Op("add", (vector(d), vector(d)), (vector(d),))


QWEN3_30B_A3B = Decoder(48, 2048, 32, 4, 128, 768, 151936, experts=8, routed=128)
QWEN3_CODER_480B = Decoder(62, 6144, 96, 8, 128, 2560, 151936, experts=8, routed=160)
DENSE = {
    "1.5B": Decoder(28, 1536, 12, 2, 128, 8960, 151936),
    "3B": Decoder(36, 2048, 16, 2, 128, 11008, 151936),
    "7B": Decoder(28, 3584, 28, 4, 128, 18944, 152064),
    "8B": Decoder(36, 4096, 32, 8, 128, 12288, 151936),
}
"""Configurations as published with the models (Qwen2.5 and Qwen3 config.json, recalled); the measurement names sizes only."""
