"""Drawn routing: seeds, popularity, and what correlation does."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.routing.fit import dependence, overlaps
from condsim.routing.generator import RoutingGenerator, race_weights

EXPERTS, TOP_K = 16, 2


def generator(memory: float = 0.0, share: float = 0.0, lifted: bool = False) -> RoutingGenerator:
    rng = np.random.default_rng(0)
    shares = np.sort(rng.dirichlet(np.full(EXPERTS, 4.0), 2)) * TOP_K
    lift = np.where(np.eye(EXPERTS), 8.0, 0.5) if lifted else None
    return RoutingGenerator(
        "made",
        TOP_K,
        shares,
        race_weights(shares, TOP_K),
        (None, lift),
        np.full(2, memory),
        np.full(2, share),
    )


def test_a_seed_gives_the_same_ids_and_experts_are_distinct() -> None:
    first = generator(0.5, 0.1, lifted=True).draw(3, 40, seed=7)
    again = generator(0.5, 0.1, lifted=True).draw(3, 40, seed=7)
    other = generator(0.5, 0.1, lifted=True).draw(3, 40, seed=8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert first[0].shape == (3, 40, TOP_K)
    assert (first[1][..., 0] != first[1][..., 1]).all()


def test_blocks_of_sequences_do_not_repeat_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[RoutingGenerator.__module__], "BLOCK_TOKENS", 50)
    ids = generator().draw(4, 50, seed=1)[0]
    assert not np.array_equal(ids[0], ids[1])


def test_experts_get_the_shares_that_weights_were_made_of() -> None:
    shares = np.sort(np.random.default_rng(0).dirichlet(np.full(EXPERTS, 4.0), 2)) * TOP_K
    drawn = generator().draw(400, 50)[0]
    counted = np.bincount(drawn.ravel(), minlength=EXPERTS) / (400 * 50)
    assert np.abs(counted - shares[0]).max() < 0.03


def test_memory_is_seen_in_neighbours_and_a_common_share_in_distant_tokens() -> None:
    plain = overlaps(list(generator().draw(40, 60)[0].astype(int)), EXPERTS)
    near = overlaps(list(generator(memory=0.8).draw(40, 60)[0].astype(int)), EXPERTS)
    common = overlaps(list(generator(share=0.6).draw(40, 60)[0].astype(int)), EXPERTS)
    assert near[0] > 2 * plain[0]
    assert near[1] < 1.3 * plain[1]
    assert common[1] > 2 * plain[1]


def test_lifts_make_a_layer_follow_the_one_before() -> None:
    def depends(one: RoutingGenerator) -> float:
        before, after = one.draw(100, 50)
        return dependence(
            before.reshape(-1, TOP_K).astype(int), after.reshape(-1, TOP_K).astype(int), EXPERTS
        )

    assert depends(generator(lifted=True)) > 0.3
    assert depends(generator(lifted=True).independent()) < 0.01


def test_fewer_than_one_token_is_refused() -> None:
    with pytest.raises(CondsimError, match="sequences must be a whole number of at least 1, got 0"):
        generator().draw(0, 4)


def test_published_loads_are_drawn_for_a_model_of_any_shape() -> None:
    made = condsim.routing("olmoe", layers=3, experts=64, top_k=8, seed=3)
    first, _, last = made.draw(400, 50)
    loads = np.bincount(first.ravel(), minlength=64)
    assert loads.max() / loads.mean() == pytest.approx(3.0, rel=0.1)  # 3.017 was counted
    loads = np.bincount(last.ravel(), minlength=64)
    assert loads.min() / loads.mean() == pytest.approx(0.19, abs=0.1)
    assert condsim.routing("mixtral", layers=2, experts=16, top_k=2).experts == 16


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"layers": 2, "experts": 65536, "top_k": 2}, "8,589,934,592 pairs of experts; at most"),
        ({"layers": 0, "experts": 8, "top_k": 2}, "layers must be a whole number from 1"),
        (
            {"layers": 2, "experts": 8, "top_k": 9},
            "top_k must be a whole number from 1 to 8, got 9",
        ),
    ],
)
def test_shapes_that_no_model_has(shape: dict[str, int], message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        condsim.routing("olmoe", **shape)
    with pytest.raises(CondsimError, match="unknown routing 'olmo'; did you mean 'olmoe'"):
        condsim.routing("olmo", layers=1, experts=8, top_k=2)
