"""condsim import and condsim export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from importers.made import EXPERTS, LAYERS, TOP_K, drawn, truncated

import condsim
from cli.harness import GPU, Run, check_refused, parsed


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of 20 tokens and 10 dummies, outside of the folder that commands run in."""
    path = tmp_path / "served.npy"
    np.save(path, np.concatenate([np.repeat(drawn(1, 3), 10, axis=0), drawn(20)]))
    return path


def test_a_file_becomes_a_trace(run: Run, recorded: Path) -> None:
    done = run("import", recorded, "-o", "served", "--experts", EXPERTS)
    assert done.code == 0, done.err
    assert "no programs" in done.out
    assert "note: constant runs: 10 tokens" in done.out
    assert "served.npy" in done.out
    assert "condsim app served" in done.err
    trace = condsim.load("served")
    assert trace.name == "served"
    assert len(trace.decisions("layers.0").ids) == 20


def test_json_says_what_each_file_held(run: Run, recorded: Path) -> None:
    data = parsed(run("import", recorded, recorded, "-o", "t", "--json"))
    assert data["command"] == "import"
    assert [file["constant"] for file in data["files"]] == [10, 10]
    assert [file["tokens"] for file in data["files"]] == [20, 20]
    assert len(data["sites"]) == LAYERS


def test_options_reach_the_import(run: Run, recorded: Path) -> None:
    options = ("--keep-constant", "--phase", "decode", "--format", "arrays", "--top-k", TOP_K)
    data = parsed(run("import", recorded, "-o", "t", *options, "--layers", LAYERS, "--json"))
    assert data["steps"] == 30
    assert data["files"][0]["constant"] == 0


def test_bad_input_is_one_line_and_writes_nothing(run: Run, recorded: Path) -> None:
    check_refused(run("import", "-o", "t"), "at least one file")
    check_refused(run("import", "none.npy", "-o", "t"), "none.npy")
    check_refused(run("import", recorded, "-o", "t", "--experts", 4), "another model")
    check_refused(run("import", recorded, "-o", "t", "--experts", 0), "experts must be at least 1")
    check_refused(run("import", recorded, "-o", "t", "--format", "npy"), "unknown format")
    check_refused(run("import", recorded, "-o", "t", "--programs", "exit-fashion"), "early exit")
    check_refused(run("import", truncated(recorded), "-o", "t"), "truncated")
    check_refused(run("export", "moe-bytes", "-o", "a.csv"), ".npy, .npz")
    check_refused(run("export", "exit-fashion", "-o", "a.npz"), "no experts")


def test_what_needs_programs_says_so(run: Run, recorded: Path) -> None:
    run("import", recorded, "-o", "t")
    for command in (("simulate", "t"), ("report", "t", "-o", "a.html"), ("compare", "t")):
        done = run(*command, "--device", GPU)
        assert done.code == 2
        assert "recorded routing only" in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_a_trace_goes_out_and_comes_back_with_its_programs(run: Run) -> None:
    done = run("export", "moe-bytes", "-o", "a.npz")
    assert (done.code, done.out) == (0, "wrote a.npz\n")
    assert run("import", "a.npz", "-o", "again", "--programs", "moe-bytes").code == 0
    one = parsed(run("simulate", "moe-bytes", "--device", GPU, "--json"))
    other = parsed(run("simulate", "again", "--device", GPU, "--json"))
    assert one["speedup"] == other["speedup"]


def test_what_is_lost_is_said(run: Run) -> None:
    done = run("export", "moe-bytes", "-o", "a.npy")
    assert done.code == 0
    assert done.err.count("note: NPY") == 3
