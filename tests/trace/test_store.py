"""A trace survives a folder; damage gives one clear line and a failed save leaves nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.store import in_memory

RNG = np.random.default_rng(0)
UNITS, SEQ = 12, 3


def make_trace(name: str = "made") -> Trace:
    """All three encodings: ids with weights a position, a chain of exits with scores, packed bits."""
    sites = (
        Site(
            name="experts",
            mechanism="moe",
            branches=5,
            top_k=2,
            stored="experts",
            per_position=True,
            has_weights=True,
        ),
        *(
            Site(
                name=f"exit{j}",
                mechanism="early_exit",
                branches=2,
                encoding="depth",
                stored="exits",
                level=j,
                has_scores=True,
                parents=tuple((f"exit{i}", 1) for i in range(j)),
            )
            for j in range(2)
        ),
        Site(
            name="blocks",
            mechanism="sparse_activation",
            branches=11,
            encoding="bits",
            stored="blocks",
        ),
    )
    depth = RNG.integers(0, 3, UNITS)
    decisions = {
        "experts": Decisions(
            np.argsort(RNG.random((UNITS * SEQ, 5)), axis=1)[:, :2].astype(np.int16),
            RNG.random((UNITS * SEQ, 2)).astype(np.float32),
        ),
        "exit0": Decisions(
            (depth > 0).astype(np.int16), scores=RNG.random(UNITS).astype(np.float32)
        ),
        "exit1": Decisions(
            np.where(depth < 1, -1, depth > 1).astype(np.int16),
            scores=RNG.random(UNITS).astype(np.float32),
        ),
        "blocks": Decisions(RNG.random((UNITS, 11)) < 0.4),
    }
    header = Header(
        name=name,
        sites=sites,
        captured={"moe": "looped"},
        provenance=Provenance(model="tests.Made", taken="2026-01-01T00:00:00+00:00", versions={}),
    )
    steps = pd.DataFrame([{"phase": "prefill", "units": 4, "seq": SEQ, "past": 0}] * (UNITS // 4))
    return Trace(header, steps, {}, in_memory(decisions))


def test_round_trip_of_all_encodings(tmp_path: Path) -> None:
    trace = make_trace()
    again = condsim.load(trace.save(tmp_path / "t"))
    assert again.header == trace.header
    pd.testing.assert_frame_equal(again.steps, trace.steps)
    for site in trace.sites:
        a, b = trace.decisions(site.name), again.decisions(site.name)
        for x, y in ((a.ids, b.ids), (a.weights, b.weights), (a.scores, b.scores)):
            assert (x is None) == (y is None), site.name
            if x is not None and y is not None:
                np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(trace.unit_counts(site.name), again.unit_counts(site.name))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _newer(folder: Path) -> None:
    data = json.loads((folder / "trace.json").read_text())
    (folder / "trace.json").write_text(json.dumps({**data, "schema_version": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_newer, "schema version 99 is newer"),
        (lambda f: _truncate(f / "trace.json"), "trace.json is damaged"),
        (lambda f: _truncate(f / "programs.json.gz"), "programs.json.gz is damaged"),
        (lambda f: (f / "programs.json.gz").unlink(), "programs.json.gz"),
        (lambda f: _truncate(f / "steps.parquet"), "steps.parquet is damaged"),
        (lambda f: _truncate(f / "decisions" / "exits.parquet"), "exits.parquet is damaged"),
        (lambda f: (f / "decisions" / "blocks.parquet").unlink(), "blocks.parquet is missing"),
        (lambda f: (f / "trace.json").write_text("[]"), "trace.json"),
        (lambda f: (f / "trace.json").write_bytes(b"\xff\xfe\x00"), "trace.json"),
        (lambda f: (f / "trace.json").unlink(), "is not a trace"),
    ],
)
def test_damage_is_one_clear_line(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = make_trace().save(tmp_path / "t")
    damage(folder)
    with pytest.raises(CondsimError, match=message) as error:
        condsim.load(folder)
    assert "\n" not in str(error.value)


def test_a_failed_save_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    good = make_trace("good")
    folder = good.save(tmp_path / "t")

    def broken(_: str) -> object:
        raise OSError("disk full")

    bad = dataclasses.replace(make_trace("bad"), reader=broken)  # type: ignore[arg-type]
    for target in (folder, tmp_path / "new"):
        with pytest.raises(OSError, match="disk full"):
            bad.save(target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t"]
    assert condsim.load(folder).name == "good"


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(CondsimError, match="is not a trace"):
        make_trace().save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
