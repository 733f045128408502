"""What is checked when a trace is opened, kind by kind; saving refuses the same."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_traces import make_trace

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.trace import Decisions
from condsim.trace.encoding import in_memory

Fields = dict[str, Any]
Change = Callable[[Any], object]


def copied(name: str, into: Path, parts: tuple[str, ...] = ()) -> Path:
    """A shipped trace without measurements and profile; parts: of these, those to keep."""
    left_out = {"measurements.parquet", "profile.yaml"} - set(parts)
    return Path(
        shutil.copytree(
            resource("traces") / name, into / name, ignore=shutil.ignore_patterns(*left_out)
        )
    )


def read_whole(folder: Path) -> None:
    trace = condsim.load(folder)
    for site in trace.sites:
        trace.unit_counts(site.name)


def refused(folder: Path, words: str) -> None:
    """Opening, or reading all decisions, is refused in one short line with these words."""
    with pytest.raises(CondsimError, match=words) as error:
        read_whole(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def of_site(**changed: Any) -> Change:
    return lambda header: header["sites"][0].update(changed)


def of_trace(**changed: Any) -> Change:
    return lambda header: header.update(changed)


HEADERS: list[tuple[str, Change, str]] = [
    ("exit-fashion", of_site(branch_flops=[1.0]), "branch_flops must have 2 numbers"),
    ("exit-fashion", of_site(branch_flops=[-1.0, 1.0]), "branch_flops.*greater than"),
    ("exit-fashion", of_site(branch_flops=[1e300, 1.0]), "branch_flops.*less than"),
    ("exit-fashion", of_site(branch_flops=[float("nan"), 1.0]), "NaN is no number"),
    ("exit-fashion", of_site(branches=3), "depth is for exits"),
    ("exit-fashion", of_site(level=2), "levels of the exits"),
    ("exit-fashion", of_site(name="exit1"), "two sites are called 'exit1'"),
    ("exit-fashion", of_site(name="a" * 300), "at most 200 characters"),
    ("exit-fashion", of_site(name="\x1b[31m"), "must be printable"),
    ("exit-fashion", of_site(mechanism="moe"), "depth is for exits"),
    ("exit-fashion", of_site(parents=[["nobody", 1]]), "no site 'nobody'"),
    ("exit-fashion", of_site(parents=[["exit1", 2]]), "has no branch 2"),
    ("branch-fashion", of_site(branches=1 << 20, branch_flops=[]), "branches.*less than"),
    ("branch-fashion", of_site(branches="3"), "valid integer"),
    ("branch-fashion", of_site(unit_rows={"a_unit": 0}), "at least one row"),
    ("branch-fashion", of_site(top_k=2), "top_k belongs to a mixture"),
    ("branch-fashion", of_trace(costliest={"path": 3}), "has no branch 3"),
    ("branch-fashion", of_trace(costliest={"path": -1}), "has no branch -1"),
    ("branch-fashion", of_trace(costliest={}), "costliest has no branch of site 'path'"),
    ("branch-fashion", of_trace(captured={}), "captured does not say"),
    ("branch-fashion", of_trace(captured={"multi_branch": "x"}), "unknown strategy 'x'"),
    ("branch-fashion", of_trace(captured={"multi_branch": "looped"}), "is not for multi_branch"),
    ("branch-fashion", of_trace(sites=[]), "no site 'path'"),
    ("branch-fashion", of_trace(thresholds={"t": "x"}), "thresholds"),
    ("branch-fashion", of_trace(schema_version="9"), "valid integer"),
    ("branch-fashion", of_trace(name=""), "must not be empty"),
    ("branch-fashion", of_trace(notes=["x"] * 1000), "notes"),
    ("moe-bytes", of_site(top_k=0), "greater than or equal to 1"),
    ("moe-bytes", of_site(top_k=9), "top_k 9 is more than the 8 branches"),
]


@pytest.mark.parametrize(("name", "change", "words"), HEADERS)
def test_headers(tmp_path: Path, name: str, change: Change, words: str) -> None:
    folder = copied(name, tmp_path)
    header = json.loads((folder / "trace.json").read_text())
    change(header)
    (folder / "trace.json").write_text(json.dumps(header))
    refused(folder, words)


def test_counts_of_parameters(tmp_path: Path) -> None:
    folder = copied("branch-fashion", tmp_path)
    header = json.loads((folder / "trace.json").read_text())
    header["provenance"]["parameters"] = -1
    (folder / "trace.json").write_text(json.dumps(header))
    refused(folder, r"provenance\.parameters")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"units": -1}, "column units: must be from 1"),
        ({"units": 1.0}, "column units: must be whole numbers"),
        ({"units": 1 << 40}, "column units: must be from 1"),
        ({"units": 1 << 30}, "at most .* units"),
        ({"phase": None}, "column phase: row 0 has none"),
        ({"phase": "warm-up"}, "a phase is prefill or decode or train"),
        ({"phase": "x" * 5000}, "at most 4000 characters"),
        ({"seq": "x"}, "column seq: must be whole numbers"),
        ({"seq": 0}, "column seq: must be from 1"),
        ({"past": np.nan}, "column past: row 0 has none"),
        ({"past": -1}, "column past: must be from 0"),
    ],
)
def test_steps(tmp_path: Path, changed: Fields, words: str) -> None:
    folder = copied("branch-fashion", tmp_path)
    file = folder / "steps.parquet"
    pd.read_parquet(file).assign(**changed).to_parquet(file, index=False)
    refused(folder, words)


DECISIONS: list[tuple[str, str, Change, str]] = [
    ("branch-fashion", "path", lambda t: t.assign(id_0=np.int8(3)), "a row took 3"),
    ("branch-fashion", "path", lambda t: t.assign(id_0=np.int8(-2)), "a row took -2"),
    ("branch-fashion", "path", lambda t: t.assign(id_0=np.int8(-1)), "never reached site 'path'"),
    ("branch-fashion", "path", lambda t: t.assign(id_0=0.0), "column id_0.*double"),
    ("branch-fashion", "path", lambda t: t.assign(id_1=t.id_0), "no place for"),
    ("exit-fashion", "exits", lambda t: t.assign(depth=np.int8(4)), "3 exits; a row passed 4"),
    ("exit-fashion", "exits", lambda t: t.assign(depth=np.int8(-1)), "a row passed -1"),
    ("exit-fashion", "exits", lambda t: t.assign(depth=np.nan), "column depth"),
    ("exit-fashion", "exits", lambda t: t.assign(score_0=np.inf), "is infinite"),
    ("exit-fashion", "exits", lambda t: t.drop(columns="depth"), "depth.*missing"),
    ("moe-bytes", "layers.0.mlp.experts", lambda t: t.drop(columns="id_1"), "id_1.*missing"),
    ("moe-bytes", "layers.0.mlp.experts", lambda t: t.assign(id_1=t.id_0), "twice"),
    ("moe-bytes", "layers.0.mlp.experts", lambda t: t.assign(weight_1=np.inf), "not finite"),
    ("sparse-bytes", "ffn1", lambda t: t.assign(bits_0=0.0), "column bits_0"),
    ("sparse-bytes", "ffn1", lambda t: t.drop(columns="bits_2"), "bits_2.*missing"),
]


@pytest.mark.parametrize(("name", "stored", "change", "words"), DECISIONS)
def test_decisions(tmp_path: Path, name: str, stored: str, change: Change, words: str) -> None:
    folder = copied(name, tmp_path)
    file = folder / "decisions" / f"{stored}.parquet"
    changed: Any = change(pd.read_parquet(file))
    changed.to_parquet(file, index=False)
    refused(folder, words)


MEASURED: list[tuple[Change, str]] = [
    (lambda t: t.assign(conditional_s=0.0), "column conditional_s: must be from"),
    (lambda t: t.assign(baseline_s=-1.0), "column baseline_s: must be from"),
    (lambda t: t.assign(baseline_s=np.inf), "column baseline_s: must be finite"),
    (lambda t: t.assign(conditional_s="x"), "column conditional_s: must be numbers"),
    (lambda t: t.assign(step=np.nan), "column step: row 0 has none"),
    (lambda t: t.assign(step=10**6), "there is no step"),
    (lambda t: t.assign(phase="decode"), "has no phase 'decode'"),
    (lambda t: t.assign(fingerprint="{"), "fingerprint must be a mapping"),
    (lambda t: t.assign(fingerprint=None), "column fingerprint: row 0 has none"),
    (lambda t: t.assign(batch=1.5), "column batch: must be whole numbers"),
    (lambda t: pd.concat([t, t.head(1)]), "stands there twice"),
    (lambda t: t.drop(columns="baseline_s"), "no column baseline_s"),
]


@pytest.mark.parametrize(("change", "words"), MEASURED)
def test_measurements(tmp_path: Path, change: Change, words: str) -> None:
    folder = copied("branch-fashion", tmp_path, ("measurements.parquet",))
    file = folder / "measurements.parquet"
    changed: Any = change(pd.read_parquet(file).head(20))
    changed.to_parquet(file, index=False)
    refused(folder, words)


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"dense": np.nan}, "dense: row 0 has none"), ({"dense": "x"}, "dense must be numbers")],
)
def test_quality(tmp_path: Path, changed: Fields, words: str) -> None:
    folder = copied("branch-fashion", tmp_path)
    file = folder / "quality.parquet"
    pd.read_parquet(file).assign(**changed).to_parquet(file, index=False)
    refused(folder, words)


def test_a_text_that_many_rows_share_is_not_written_out(tmp_path: Path) -> None:
    folder = copied("branch-fashion", tmp_path)
    steps = pd.DataFrame({"phase": "x" * 10_000, "units": 1, "seq": 1, "past": 0}, range(2048))
    steps.to_parquet(folder / "steps.parquet", index=False)
    assert (folder / "steps.parquet").stat().st_size < 20_000
    refused(folder, "column phase must have at most 4000 characters")


def _programs(change: Change) -> bytes:
    with gzip.open(resource("traces") / "branch-fashion" / "programs.json.gz") as file:
        data = json.load(file)
    change(data)
    return gzip.compress(json.dumps(data).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["programs"].update({"x/prefill-n": {}}),
        lambda data: data["programs"]["masked/prefill-n"].update(regime="warm-up-n"),
        lambda data: data["programs"]["masked/prefill-n"].update(strategy="nothing"),
        lambda data: data["programs"]["masked/prefill-n"]["root"][0].append(-1),
        lambda data: data["programs"]["masked/prefill-n"]["root"][0].append(10**6),
        lambda data: data["programs"]["masked/prefill-n"]["root"][0].append(1.5),
        lambda data: data["programs"]["masked/prefill-n"]["root"][0].append(["other", [0], []]),
        lambda data: data["programs"]["masked/prefill-n"]["root"][0].append(["path", [3], []]),
        lambda data: data["programs"]["masked/prefill-n"]["root"][0].append(["path", [1, 1], []]),
        lambda data: data["tensors"].append([[[1 << 41, 0, 0]], "float", ""]),
        lambda data: data["tensors"].append([[[0.5, 0, 0]], "float", ""]),
        lambda data: data["tensors"].append([[[1 << 30, 0, 0], [1 << 30, 0, 0]], "float", ""]),
        lambda data: data["operators"].append(
            ["relu", [10**6], [], [], "", "", "", 0, 0, 0, 0, []]
        ),
        lambda data: data["operators"].append(["relu", [], [], ["1"], "", "", "", 0, 0, 0, 0, []]),
        lambda data: data.update(format=3),
        lambda data: data.pop("tensors"),
        lambda data: data.update(programs=[]),
    ],
)
def test_programs(tmp_path: Path, change: Change) -> None:
    folder = copied("branch-fashion", tmp_path)
    (folder / "programs.json.gz").write_bytes(_programs(change))
    refused(folder, r"programs")


def test_saving_refuses_what_opening_would(tmp_path: Path) -> None:
    trace = make_trace()
    long_name = trace.header.model_copy(update={"name": "x" * 300})
    experts = trace.decisions("experts")
    twice = replace(experts, ids=np.zeros_like(experts.ids))
    others = {site.name: trace.decisions(site.name) for site in trace.sites}
    not_finite = trace.steps.assign(past=-1)
    zero_weights = Decisions(experts.ids, np.full_like(experts.weights, np.nan))
    for bad in (
        replace(trace, header=long_name),
        replace(trace, steps=not_finite),
        replace(trace, quality=pd.DataFrame({"dense": [np.inf]})),
        replace(trace, reader=in_memory(others | {"experts": twice})),
        replace(trace, reader=in_memory(others | {"experts": zero_weights})),
    ):
        with pytest.raises(CondsimError):
            bad.save(tmp_path / "t")
        assert list(tmp_path.iterdir()) == []
    trace.save(tmp_path / "t")


@pytest.mark.parametrize("folder", [5, None, b"x", "\0", "\ud800"])
def test_what_is_no_path(folder: Any) -> None:
    with pytest.raises(CondsimError):
        condsim.load(folder)
