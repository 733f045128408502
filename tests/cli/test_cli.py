"""The command line: results on stdout, everything else on stderr, one line and exit code 2 for bad input, nothing half-written."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from condsim.cli import main
from condsim.hardware import hardware
from condsim.show.text import number, si, times, waterfall_lines

GPU = "nvidia-h100-sxm"
SPEC = '''
import torch
from torch import nn
import condsim


class Gated(nn.Module):
    """Half of the rows take the block."""

    def __init__(self):
        super().__init__()
        self.first, self.block, self.last = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4)

    def forward(self, x):
        h = self.first(x).relu()
        condsim.route("gate", "skip", (h[:, 0] > h[:, 0].median()).long())
        with condsim.branch("gate", 1) as rows:
            if rows:
                h = rows.put(h, self.block(rows.take(h)).relu())
        return self.last(h)


def made(scale=1.0):
    torch.manual_seed(0)
    model = Gated().eval()
    return model, [torch.randn(4, 16) for _ in range(4)]


def broken():
    model, inputs = made()
    model.block.weight.data[0, 0] = float("nan")
    return model, inputs


def dense():
    return nn.Sequential(nn.Linear(16, 4)).eval(), [torch.randn(4, 16)]


def nothing():
    return 3
'''

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder and an empty cache: (exit code, stdout, stderr)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return call


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("spec") / "tiny.py"
    file.write_text(SPEC)
    return file


@pytest.fixture(scope="session")
def trace(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captured tiny model, not measured."""
    folder = tmp_path_factory.mktemp("traces") / "tiny"
    assert main(["capture", f"{spec}:made", "-o", str(folder), "--no-measure"]) == 0
    return folder


@pytest.fixture(scope="session")
def measured(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with measurements under a profile of no machine."""
    from dataclasses import replace

    from condsim.measure import measure

    folder = tmp_path_factory.mktemp("traces") / "measured"
    timed = measure(trace, processes=1, pairs=3)
    return replace(timed, profile=hardware(GPU)).save(folder)


def finite(value: Any) -> bool:
    """No NaN or infinity anywhere in parsed JSON."""
    if isinstance(value, dict):
        return all(finite(v) for v in value.values())
    if isinstance(value, list):
        return all(finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def parsed(text: str) -> dict[str, Any]:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    data: dict[str, Any] = json.loads(text, parse_constant=refuse)
    assert data["schema_version"] == 1
    assert finite(data)
    return data


def test_capture_writes_a_trace_that_loads(trace: Path) -> None:
    from condsim.trace.store import load

    assert [s.mechanism for s in load(trace).sites] == ["skip"]


def test_capture_json(run: Run, spec: Path) -> None:
    code, out, _ = run(
        "capture", f"{spec}:made", "-o", "x", "--no-measure", "--batch-limit", 2, "--json"
    )
    data = parsed(out)
    assert (code, data["steps"], data["measurements"]) == (0, 2, [])


def test_simulate_says_what_and_why(run: Run, trace: Path) -> None:
    code, out, err = run("simulate", trace, "--device", GPU)
    assert code == 0
    for word in (
        "speedup",
        "90 % interval",
        "latency",
        "energy",
        "peak memory",
        "same-flops",
        "estimated",
        "flops",
        "launch",
        "predicted",
    ):
        assert word in out, word
    assert err.startswith("next: condsim ")


def test_simulate_json_is_the_library_s_answer(run: Run, trace: Path) -> None:
    import condsim

    code, out, err = run("simulate", trace, "--device", GPU, "--batch", 2, "--json")
    data = parsed(out)
    prediction = condsim.simulate(condsim.load(trace), GPU, batch=2)
    assert (code, err) == (0, "")
    assert data["speedup"] == prediction.speedup
    assert data["latency_s"] == prediction.latency_s
    assert data["peak_bytes"] == prediction.peak_bytes
    assert set(data["speedups"]) == {"same-params", "same-flops"}
    assert math.prod(w["factor"] for w in data["waterfall"]) == pytest.approx(
        data["speedup"], rel=1e-9
    )


def test_simulate_all(run: Run, trace: Path) -> None:
    code, out, _ = run("simulate", trace, "--device", GPU, "--strategy", "all", "--json")
    rows = parsed(out)["predictions"]
    assert code == 0
    assert {r["strategy"] for r in rows} == {"compacted", "masked", "predicated", "wait"}
    code, out, _ = run("simulate", trace, "--device", GPU, "--strategy", "all")
    assert code == 0
    assert "masked" in out


def test_simulate_writes_files(run: Run, trace: Path) -> None:
    code, _, _ = run("simulate", trace, "--device", GPU, "--timeline", "t.json", "--plot", "w.svg")
    assert code == 0
    assert json.loads(Path("t.json").read_text())["traceEvents"]
    assert Path("w.svg").read_text().startswith("<?xml")
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["t.json", "w.svg"]


def test_measure_adds_to_the_trace(
    run: Run, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("condsim.cli.record.own_profile", lambda *_: hardware(GPU))
    copy = shutil.copytree(trace, tmp_path / "copy")
    code, out, _ = run("measure", copy, "--processes", 1, "--pairs", 3, "--batch", 2, "--json")
    cases = parsed(out)["measurements"]
    assert code == 0
    assert {(m["batch"], m["baseline"], m["basis"]) for m in cases} == {
        (2, "same-params", "measured"),
        (2, "same-flops", "measured"),
    }


def test_compare(run: Run, measured: Path) -> None:
    code, out, _ = run("compare", measured, "--csv", "table.csv")
    assert code == 0
    assert "another machine" in out
    assert len(pd.read_csv("table.csv")) == 2
    code, out, _ = run("compare", measured, "--json")
    data = parsed(out)
    assert data["summary"]["rows"] == 2
    assert data["summary"]["median_abs_error"] is None
    for row in data["rows"]:
        assert row["error"] == pytest.approx(row["predicted_speedup"] / row["measured_speedup"] - 1)
        assert row["same_machine"] is False


def test_profiles(run: Run) -> None:
    code, out, _ = run("profiles")
    assert code == 0
    assert GPU in out
    code, out, _ = run("profiles", "--json")
    assert GPU in {p["name"] for p in parsed(out)["profiles"]}
    code, out, _ = run("profiles", GPU, "--json")
    numbers = parsed(out)["profile"]["numbers"]
    assert code == 0
    assert {n["basis"] for n in numbers} <= {"measured", "calibrated", "sourced", "estimated"}
    assert (
        next(n["value"] for n in numbers if n["what"] == "peak_flops.bf16")
        == hardware(GPU).peak_flops["bf16"].value
    )


def test_help_names_every_command(run: Run) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for command in ("demo", "capture", "measure", "simulate", "compare", "calibrate", "profiles"):
        assert command in out


def damaged(trace: Path, folder: Path, what: str) -> Path:
    """A copy of a trace with something wrong."""
    copy = shutil.copytree(trace, folder / what)
    if what == "truncated":
        file = next((copy / "decisions").glob("*.parquet"))
        file.write_bytes(file.read_bytes()[:-40])
    elif what == "future":
        header = json.loads((copy / "trace.json").read_text())
        (copy / "trace.json").write_text(json.dumps(header | {"schema_version": 99}))
    elif what == "programs":
        (copy / "programs.json.gz").write_bytes(b"no")
    else:
        (copy / "trace.json").write_text('{"schema_version": 1')
    return copy


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert code == 2, (out, err)
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err, err
    assert not list(Path.cwd().iterdir()), "something was written"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "nvidia-h100"], ["nvidia-h100-sxm", "condsim profiles"]),
        (["--device", GPU, "--strategy", "lopped"], ["lopped", "looped"]),
        (["--device", GPU, "--strategy", "grouped"], ["grouped", "skip", "compacted"]),
        (["--device", GPU, "--batch", "0"], ["batch must be at least 1, got 0"]),
        (["--device", GPU, "--batch", "1000000"], ["batch", "1000000"]),
        (["--device", GPU, "--batch", "many"], ["batch", "many"]),
        (["--device", GPU, "--baseline", "same-param"], ["same-params"]),
        (["--device", GPU, "--dtype", "fp4"], ["fp4"]),
        (["--device", GPU, "--runtime", "egaer"], ["eager"]),
        (["--device", GPU, "--phase", "decode"], ["decode", "prefill"]),
        (["--device", GPU, "--threshold", "0.5"], ["threshold"]),
        (["--device", GPU, "--plot", "w.bmp"], [".svg"]),
        (["--device", GPU, "--plot", "nowhere/w.svg"], ["nowhere"]),
        (["--device", "all", "--plot", "w.svg"], ["--plot"]),
        (["--devise", GPU], ["--devise", "--device"]),
    ],
)
def test_bad_options(run: Run, trace: Path, arguments: list[str], words: list[str]) -> None:
    refused(run("simulate", trace, *arguments), *words)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("truncated", ["parquet", "damaged"]),
        ("future", ["99", "upgrade"]),
        ("programs", ["programs.json.gz", "damaged"]),
        ("header", ["trace.json"]),
    ],
)
def test_damaged_traces(run: Run, trace: Path, tmp_path: Path, what: str, words: list[str]) -> None:
    refused(run("simulate", damaged(trace, tmp_path, what), "--device", GPU), *words)


@pytest.mark.parametrize("bandwidth", ["-1.0e+12", "0", ".nan", "fast"])
def test_bad_profiles(run: Run, trace: Path, tmp_path: Path, bandwidth: str) -> None:
    from condsim.hardware import profiles

    lines = profiles()[GPU].read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if "bandwidth" in line)
    indent = lines[at][: lines[at].index("bandwidth")]
    lines[at] = f"{indent}bandwidth: {{value: {bandwidth}, basis: sourced}}"
    file = tmp_path / "bad.yaml"
    file.write_text("\n".join(lines))
    refused(run("simulate", trace, "--device", file), "bad.yaml", "bandwidth")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("broken", ["block.weight"]),
        ("dense", ["condsim.route"]),
        ("nothing", ["(torch.nn.Module, inputs)"]),
        ("none", ["none", "made"]),
    ],
)
def test_bad_models(run: Run, spec: Path, function: str, words: list[str]) -> None:
    refused(run("capture", f"{spec}:{function}", "-o", "x"), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["capture", "moe-byte", "-o", "x"], ["moe-bytes"]),
        (["capture", "nowhere.py:f", "-o", "x"], ["nowhere.py"]),
        (["capture", "moe-bytes"], ["--output"]),
        (
            ["capture", "moe-bytes", "-o", "x", "--batch-limit", "0"],
            ["batch-limit must be at least 1, got 0"],
        ),
        (["capture", "moe-bytes", "-o", "x", "--new-tokens", "-1"], ["new-tokens", "-1"]),
        (["simulate", "nowhere"], ["nowhere"]),
        (["simulate"], ["TRACE"]),
        (["compare"], ["at least one trace"]),
        (["compare", "nowhere"], ["nowhere"]),
        (["measure", "nowhere"], ["nowhere"]),
        (["profiles", "nvidia-h100"], ["nvidia-h100-sxm"]),
        (["profiles", "this-machine"], ["condsim calibrate"]),
        (["calibrate", "--threads", "0"], ["threads must be at least 1, got 0"]),
        (["calibrate", "--like", "nvidia-l40s"], ["--device cuda"]),
        (["calibrate", "--device", "warp"], ["no device 'warp'"]),
        (["measure", "exit-fashion", "--device", "warp"], ["no device 'warp'"]),
        (
            ["measure", "exit-fashion", "--device", "cuda", "--by", "segment"],
            ["leave out --device cuda"],
        ),
        (["simulat"], ["simulate"]),
    ],
)
def test_bad_commands(run: Run, arguments: list[str], words: list[str]) -> None:
    refused(run(*arguments), *words)


def test_compare_without_measurements_says_what_to_do(run: Run, trace: Path) -> None:
    refused(run("compare", trace), "condsim measure")


def test_measure_refuses_before_it_begins(run: Run, trace: Path) -> None:
    refused(run("measure", trace, "--batch", 0), "batch must be at least 1, got 0")
    refused(run("measure", trace, "--processes", 0), "processes must be at least 1, got 0")
    refused(run("measure", trace, "--strategy", "lopped"), "lopped")


def test_capture_leaves_other_folders_alone(run: Run, spec: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("important")
    code, _, err = run("capture", f"{spec}:made", "-o", "mine", "--no-measure")
    assert code == 2
    assert "nothing was overwritten" in err
    assert [p.name for p in Path("mine").iterdir()] == ["thesis.txt"]


def test_demo_leaves_other_files_alone(run: Run) -> None:
    Path("mine").mkdir()
    Path("mine/moe-bytes").mkdir()
    Path("mine/moe-bytes/thesis.txt").write_text("important")
    code, _, err = run("demo", "--output", "mine")
    assert code == 2
    assert "nothing was overwritten" in err
    code, _, err = run("demo", "--output", "mine/moe-bytes/thesis.txt")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert [str(p) for p in Path().rglob("*.*")] == ["mine/moe-bytes/thesis.txt"]


def test_interrupt(run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("condsim.cli.predict.open_trace", stop)
    code, out, err = run("simulate", trace)
    assert (code, out, err) == (130, "", "")


def test_a_machine_without_profile_is_calibrated_first(
    run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def calibrate(threads: int = 1, **_: object) -> Any:
        asked.append(threads)
        return hardware(GPU)

    monkeypatch.setattr(importlib.import_module("condsim.calibrate"), "calibrate", calibrate)
    code, _, err = run("simulate", trace)
    assert (code, asked) == (0, [1])
    assert "calibrating" in err


def test_a_closed_pipe_is_no_error() -> None:
    code = f"import sys, condsim.cli; sys.exit(condsim.cli.main(['profiles', '{GPU}']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert "Traceback" not in child.stderr.read()


def test_numbers_for_people() -> None:
    assert [si(v, "s") for v in (0.00413, 1.9, 1.5e-6, 0.0, 12345.0, float("nan"))] == [
        "4.13 ms",
        "1.90 s",
        "1.50 µs",
        "0 s",
        "12.3 ks",
        "n/a",
    ]
    assert [times(v) for v in (1.4, 0.0541, None)] == ["1.40x", "0.054x", "n/a"]
    assert number(1979.4) == "1979"


@pytest.mark.parametrize("factors", [[4.0, 0.5, 1.2], [0.3, 1.0, 0.2], [1.0, 1.0, 1.0]])
@pytest.mark.parametrize("plain", [True, False])
def test_waterfall_bars_meet(factors: list[float], plain: bool) -> None:
    """Each bar begins where the one before ended; totals begin at 1x."""
    speedups = np.cumprod(factors)
    table = pd.DataFrame(
        {
            "world": ["flops", "gather", "launch"],
            "meaning": "",
            "factor": factors,
            "speedup": speedups,
        }
    )

    class Made:
        waterfall, speedup, speedup_interval = table, float(speedups[-1]), (0.9, 1.1)

    lines = [
        line.plain
        for line in waterfall_lines(Made(), measured=float(speedups[-1]) * 1.1, plain=plain)
    ]  # type: ignore[arg-type]
    bars = [line[34:78] for line in lines[2:]]
    marks = "#+" if plain else "█┃"
    spans = [[i for i, c in enumerate(bar) if c in marks] for bar in bars]
    assert all(spans)
    for before, after in itertools.pairwise(spans[:3]):
        assert {before[0], before[-1]} & {after[0], after[-1]}
    assert {spans[0][0], spans[0][-1]} & {spans[3][0], spans[3][-1]}
    assert plain is all(ord(c) < 128 for line in lines for c in line if c != "·")
