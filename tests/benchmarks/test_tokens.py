"""The authors' vision transformers, recorded without numbers: as many tokens as their papers
say."""

from __future__ import annotations

from benchmarks.tokens import Recorded
from benchmarks.vision.deit import Evit, Shape, Tome
from condsim.program import Op, Program

SMALL = Shape(layers=10, width=16, heads=2, tokens=37, patch=4)
DEVICE = "nvidia-v100-sxm2"


def test_evit_keeps_a_share_of_the_patches_and_one_token_for_the_rest() -> None:
    dropped = Recorded(lambda: Evit(SMALL, 0.7, fuse=False), SMALL)
    assert dropped.kept == {"keep3": 27, "keep6": 20, "keep9": 15}
    fused = Recorded(lambda: Evit(SMALL, 0.7, fuse=True), SMALL)
    assert fused.kept == {"keep3": 27, "keep6": 20, "keep9": 15}
    assert fused.seconds(DEVICE, 64) > dropped.seconds(DEVICE, 64)
    assert operators(fused.dense) == operators(dropped.dense)


def operators(program: Program) -> list[str]:
    """Names of all operators of a program."""
    scopes = [placed.scope for placed in program.scopes]
    return [node.name for scope in scopes for node in scope.nodes if isinstance(node, Op)]


def test_tome_merges_never_more_than_half() -> None:
    merging = Recorded(lambda: Tome(SMALL, 6), SMALL)
    assert list(merging.kept.values()) == [31, 25, 19, 13, 7, 4, 3, 2, 2, 2]
