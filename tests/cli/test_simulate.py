"""simulate: the library's answer, in words, as JSON and as files."""

from __future__ import annotations

import importlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

import condsim
from cli.harness import GPU, Run, check_refused, parsed
from condsim.hardware import hardware, profiles


def test_it_says_what_and_why(run: Run, trace: Path) -> None:
    done = run("simulate", trace, "--device", GPU)
    assert done.code == 0
    numbers = ("speedup", "90 % interval", "latency", "energy", "peak memory", "same-flops")
    waterfall = ("flops", "launch", "predicted")
    for word in (*numbers, *waterfall, "estimated"):
        assert word in done.out, word
    assert done.err.startswith("next: condsim ")


def test_json_is_the_library_s_answer(run: Run, trace: Path) -> None:
    done = run("simulate", trace, "--device", GPU, "--batch", 2, "--json")
    data = parsed(done)
    prediction = condsim.simulate(condsim.load(trace), GPU, batch=2)
    assert done.err == ""
    assert data["speedup"] == prediction.speedup
    assert data["latency_s"] == prediction.latency_s
    assert data["peak_bytes"] == prediction.peak_bytes
    assert set(data["speedups"]) == {"same-params", "same-flops"}
    factors = [world["factor"] for world in data["waterfall"]]
    assert math.prod(factors) == pytest.approx(data["speedup"], rel=1e-9)


def test_every_option_reaches_the_library(run: Run) -> None:
    options = ("--strategy", "padded", "--capacity-factor", 2, "--batch", 2, "--phase", "prefill")
    data = parsed(run("simulate", "moe-bytes", "--device", GPU, *options, "--json"))
    trace = condsim.load(Path(condsim.__file__).parents[1] / "traces" / "moe-bytes")
    prediction = condsim.simulate(
        trace, GPU, "padded", batch=2, phase="prefill", capacity_factor=2.0
    )
    assert data["latency_s"] == prediction.latency_s


def test_all_strategies(run: Run, trace: Path) -> None:
    asked = ("simulate", trace, "--device", GPU, "--strategy", "all")
    rows = parsed(run(*asked, "--json"))["predictions"]
    assert {row["strategy"] for row in rows} == {"compacted", "masked", "predicated", "wait"}
    speedups = [row["speedup"] for row in rows]
    assert speedups == sorted(speedups, reverse=True)
    done = run(*asked)
    assert done.code == 0
    assert "masked" in done.out


def test_files_are_written(run: Run, trace: Path) -> None:
    done = run("simulate", trace, "--device", GPU, "--timeline", "t.json", "--plot", "w.svg")
    assert done.code == 0
    assert json.loads(Path("t.json").read_text())["traceEvents"]
    assert Path("w.svg").read_text().startswith("<?xml")
    assert sorted(file.name for file in Path.cwd().iterdir()) == ["t.json", "w.svg"]


def test_a_machine_without_profile_is_calibrated_first(
    run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def calibrate(threads: int = 1, **_: object) -> Any:
        asked.append(threads)
        return hardware(GPU)

    monkeypatch.setattr(importlib.import_module("condsim.api"), "calibrate", calibrate)
    done = run("simulate", trace)
    assert (done.code, asked) == (0, [1])
    assert "calibrating" in done.err


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
    check_refused(run("simulate", trace, *arguments), *words)


def truncate_decisions(trace: Path) -> None:
    file = next((trace / "decisions").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-40])


def write_a_future_schema(trace: Path) -> None:
    file = trace / "trace.json"
    header = json.loads(file.read_text())
    file.write_text(json.dumps(header | {"schema_version": 99}))


def overwrite_programs(trace: Path) -> None:
    (trace / "programs.json.gz").write_bytes(b"no")


def truncate_header(trace: Path) -> None:
    (trace / "trace.json").write_text('{"schema_version": 1')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate_decisions, ["parquet", "damaged"]),
        (write_a_future_schema, ["99", "upgrade"]),
        (overwrite_programs, ["programs.json.gz", "damaged"]),
        (truncate_header, ["trace.json"]),
    ],
)
def test_damaged_traces(
    run: Run, trace: Path, tmp_path: Path, damage: Any, words: list[str]
) -> None:
    copy = shutil.copytree(trace, tmp_path / "damaged")
    damage(copy)
    check_refused(run("simulate", copy, "--device", GPU), *words)


@pytest.mark.parametrize("bandwidth", ["-1.0e+12", "0", ".nan", "fast"])
def test_bad_profiles(run: Run, trace: Path, tmp_path: Path, bandwidth: str) -> None:
    lines = profiles()[GPU].read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "bandwidth" in line)
    indent = lines[place][: lines[place].index("bandwidth")]
    lines[place] = f"{indent}bandwidth: {{value: {bandwidth}, basis: sourced}}"
    file = tmp_path / "bad.yaml"
    file.write_text("\n".join(lines))
    check_refused(run("simulate", trace, "--device", file), "bad.yaml", "bandwidth")
