"""Routing goes out as an array and comes back the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.encoding import id_dtype, in_memory
from condsim.trace.header import ONE_A_POSITION, UnitRows


def made(
    steps: list[tuple[str, int, int, int]],
    top_k: tuple[int | None, ...] = (2, 2),
    unit_rows: UnitRows = ONE_A_POSITION,
    weighed: bool = False,
) -> Trace:
    """A trace of layers of 9 experts whose decisions were drawn."""
    rng = np.random.default_rng(0)
    rows = sum(units * unit_rows.of(seq) for _, units, seq, _ in steps)
    sites, decisions = [], {}
    for layer, k in enumerate(top_k):
        name = f"blocks.{layer}.experts"
        sites.append(
            Site(
                name=name, mechanism="moe", branches=9, top_k=k, unit_rows=unit_rows,
                has_weights=weighed and k is not None,
            )
        )  # fmt: skip
        ids = np.argsort(rng.random((rows, 9)), axis=1)[:, : k or 1].astype(id_dtype(9))
        weights = rng.random(ids.shape, np.float32) if sites[-1].has_weights else None
        decisions[name] = Decisions(ids if k else ids[:, 0], weights)
    about = Provenance(model="made", taken="2026-01-01", versions={})
    header = Header(
        name="made", sites=tuple(sites), captured={}, has_programs=False, provenance=about
    )
    table = pd.DataFrame(steps, columns=["phase", "units", "seq", "past"])
    return Trace(header, table, {}, in_memory(decisions))


def same(one: Trace, other: Trace) -> None:
    """Two traces decide the same in the same steps."""
    pd.testing.assert_frame_equal(one.steps.reset_index(drop=True), other.steps, check_dtype=False)
    assert [s.name for s in one.sites] == [s.name for s in other.sites]
    for ours, theirs in zip(one.sites, other.sites, strict=True):
        assert (ours.branches, ours.top_k, ours.unit_rows) == (
            theirs.branches, theirs.top_k, theirs.unit_rows,
        )  # fmt: skip
        a, b = one.decisions(ours.name), other.decisions(theirs.name)
        np.testing.assert_array_equal(a.ids, b.ids)
        assert (a.weights is None) == (b.weights is None)
        if a.weights is not None and b.weights is not None:
            np.testing.assert_array_equal(a.weights, b.weights)


RAGGED = [("prefill", 2, 5, 0), ("prefill", 1, 3, 0), ("decode", 3, 1, 5), ("decode", 3, 1, 6)]


@pytest.mark.parametrize(
    "trace",
    [
        made(RAGGED),
        made(RAGGED, weighed=True),
        made(RAGGED, top_k=(1, 3, 2), weighed=True),
        made(RAGGED, top_k=(None, 2), weighed=True),
        made([("prefill", 3, 4, 0)], unit_rows=UnitRows(a_position=1, a_unit=1)),
        made([("prefill", 70_000, 1, 0)]),
    ],
    ids=["ragged", "weights", "mixed k", "top 1 without weights", "class tokens", "two blocks"],
)
def test_npz_comes_back_the_same(trace: Trace, tmp_path: Path) -> None:
    assert trace.export_routing(tmp_path / "a.npz") == []
    again = condsim.import_routing(tmp_path / "a.npz")
    same(trace, again)
    assert not again.header.notes
    same(trace, condsim.load(again.save(tmp_path / "t")))


def test_nothing_is_cleaned_from_what_condsim_wrote(tmp_path: Path) -> None:
    """Constant runs, unset rows and equal ids are this trace's decisions."""
    trace = made([("prefill", 1, 40, 0)])
    ids = np.zeros((40, 2), np.int8)
    ids[30:] = -1
    kept = dict.fromkeys((site.name for site in trace.sites), Decisions(ids))
    constant = dataclasses.replace(trace, reader=in_memory(kept))
    constant.export_routing(tmp_path / "a.npz")
    same(constant, condsim.import_routing(tmp_path / "a.npz"))


def test_npy_comes_back_as_one_sequence(tmp_path: Path) -> None:
    trace = made(RAGGED, weighed=True)
    lost = trace.export_routing(tmp_path / "a.npy")
    assert [word in " ".join(lost) for word in ("steps", "weights", "experts")] == [True] * 3
    ids = np.load(tmp_path / "a.npy")
    assert ids.dtype == np.int16
    assert ids.shape == (19, 2, 2)
    again = condsim.import_routing(tmp_path / "a.npy", model=condsim.ModelShape(experts=9))
    for ours, theirs in zip(trace.sites, again.sites, strict=True):
        np.testing.assert_array_equal(
            trace.decisions(ours.name).ids, again.decisions(theirs.name).ids
        )


def test_a_captured_trace_goes_out_and_comes_back(tmp_path: Path) -> None:
    trace = condsim.load(resource("traces") / "moe-bytes")
    trace.export_routing(tmp_path / "a.npz")
    same(trace, condsim.import_routing(tmp_path / "a.npz"))


def test_blocks_of_any_size_are_put_side_by_side(tmp_path: Path) -> None:
    trace = made([("prefill", 1, 100, 0)])

    def read(site: str) -> object:
        whole = trace.decisions(site)
        size = 7 if site.endswith("0.experts") else 11
        for start in range(0, 100, size):
            yield Decisions(whole.ids[start : start + size])
        yield Decisions(whole.ids[:0])

    dataclasses.replace(trace, reader=read).export_routing(tmp_path / "a.npz")
    same(trace, condsim.import_routing(tmp_path / "a.npz"))


def test_what_is_no_routing_of_experts_is_refused(tmp_path: Path) -> None:
    exits = condsim.load(resource("traces") / "exit-fashion")
    with pytest.raises(CondsimError, match="no experts to export, only early_exit"):
        exits.export_routing(tmp_path / "a.npz")
    trace = made(RAGGED)
    with pytest.raises(CondsimError, match=r"must end in .npy or .npz"):
        trace.export_routing(tmp_path / "a.csv")
    with pytest.raises(CondsimError, match="there is no folder"):
        trace.export_routing(tmp_path / "none" / "a.npz")
    first, second = trace.sites
    other = second.model_copy(update={"unit_rows": UnitRows(a_position=1, a_unit=1)})
    header = trace.header.model_copy(update={"sites": (first, other)})
    with pytest.raises(CondsimError, match="do not see the same rows"):
        dataclasses.replace(trace, header=header).export_routing(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_no_half_file(tmp_path: Path) -> None:
    trace = made(RAGGED)

    def read(site: str) -> object:
        yield trace.decisions(site)
        raise CondsimError("the file changed")

    (tmp_path / "a.npz").write_bytes(b"older")
    broken = dataclasses.replace(trace, reader=read)  # type: ignore[arg-type]
    with pytest.raises(CondsimError, match="the file changed"):
        broken.export_routing(tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_bytes() == b"older"


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    made(RAGGED).export_routing(tmp_path / "a.npz")
    members = dict(np.load(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **members | {"condsim_routing": 2})
    with pytest.raises(CondsimError, match="upgrade condsim"):
        condsim.import_routing(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{n: v for n, v in members.items() if n != "seq"})
    with pytest.raises(CondsimError, match="damaged"):
        condsim.import_routing(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("has_weights", np.array([True])),
        ("num_experts", np.array([9.5, 9.5])),
        ("top_k", np.array(2)),
        ("unit_rows", np.array([-1, 0])),
        ("units", np.array([1, 1, 1])),
        ("phase", np.array([1, 2])),
    ],
)
def test_what_stands_beside_the_ids_is_checked(name: str, odd: np.ndarray, tmp_path: Path) -> None:
    made([("prefill", 2, 3, 0), ("decode", 2, 1, 3)]).export_routing(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as whole:
        np.savez(tmp_path / "b.npz", **{**whole, name: odd})
    with pytest.raises(CondsimError, match=r"b\.npz") as said:
        condsim.import_routing(tmp_path / "b.npz")
    assert "\n" not in str(said.value)
