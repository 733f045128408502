"""The accuracy suite: what its frozen list covers, how its models are named, and how a table is
judged."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import condsim
from benchmarks import accuracy
from benchmarks.suite import effects, judge, models, outside, processors, segments, worker
from benchmarks.suite.cases import HALVES, OUTSIDE, Case, Under, by_model, half, listed, read
from benchmarks.suite.run import run, traces
from condsim.errors import CondsimError
from condsim.protocols import PROTOCOLS
from condsim.zoo.specs import load_spec

FAMILY = {
    "mixtral": "moe",
    "qwen2moe": "moe",
    "deepseekv3": "moe",
    "gptoss": "moe",
    "moe": "moe",
    "exit": "early_exit",
    "exitformer": "early_exit",
    "skip": "skip",
    "skipformer": "skip",
    "branch": "multi_branch",
    "branchformer": "multi_branch",
    "branchnet": "multi_branch",
    "sparse": "sparse_activation",
    "sparseformer": "sparse_activation",
    "prune": "token_pruning",
    "prunevit": "token_pruning",
    "merge": "token_merging",
    "mergevit": "token_merging",
}


def test_the_list_covers_what_it_should() -> None:
    cases = read()
    assert len(set(cases)) == len(cases)
    assert 2 * len(cases) >= 200  # against both baselines
    counts = pd.Series([FAMILY[c.model.split("-")[0]] for c in cases]).value_counts()
    assert set(counts.index) == set(FAMILY.values())
    assert 2 * counts.min() >= 20
    assert {c.strategy for c in cases} == {
        "looped",
        "grouped",
        "batched",
        "padded",
        "compacted",
        "wait",
        "masked",
        "gathered",
        "sorted",
        "merged",
    }
    assert {c.phase for c in cases} == {"prefill", "decode"}
    assert {c.protocol for c in cases} == set(PROTOCOLS)
    assert {c.model for c in cases if c.protocol == "loop"} == {c.model for c in cases}
    assert {1, 256} <= {c.batch for c in cases}


def test_the_second_list_has_other_models() -> None:
    cases = read(OUTSIDE)
    families = {case.model.split("-")[0] for case in cases}
    assert 2 * len(set(cases)) >= 60
    assert families == set(outside.FAMILIES)
    assert not families & {case.model.split("-")[0] for case in read()}
    assert listed(Under(cases="outside")) == cases


@pytest.mark.parametrize("name", ["exitvit-d32-l2-q50", "glm4moe-d64-i16-e4-k2-l2"])
def test_a_model_of_the_second_list_runs(name: str) -> None:
    example = load_spec(f"{outside.__file__}:{name}")
    inputs = example.inputs[0]
    with torch.inference_mode():
        output = example.model(**inputs) if isinstance(inputs, dict) else example.model(inputs)
    assert len(output if isinstance(output, torch.Tensor) else output.logits) == 8 * (
        1 + isinstance(inputs, torch.Tensor)
    )


def test_runs_beside_the_usual_one_have_a_model_of_each_family() -> None:
    families = {c.model.split("-")[0] for c in read()}
    assert listed(Under(threads=2)) == read()
    in_bf16, in_graphs = listed(Under(dtype="bf16")), listed(Under(runtime="compiled"))
    assert (
        {c.model.split("-")[0] for c in in_bf16}
        == {c.model.split("-")[0] for c in in_graphs}
        == families
    )
    assert all(c.model.endswith("-bf16") for c in in_bf16)
    assert all((c.phase, c.protocol) == ("prefill", "repeat") for c in in_graphs)
    assert len({c.model for c in in_graphs}) == len(in_graphs)


def test_a_run_does_not_go_on_under_something_else(tmp_path: Path) -> None:
    (tmp_path / "under.json").write_text('{"threads": 2, "dtype": "fp32", "runtime": "eager"}')
    with pytest.raises(CondsimError, match=r"was begun under .*threads.*2"):
        run(tmp_path)
    assert not (tmp_path / "profile.yaml").exists()


def test_the_command_for_a_gpu_runs_with_this_processor_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration of a GPU's constants, measurement on a device, comparison: all that `--device
    cuda` does."""
    numbers = {
        "peak_flops.fp32": 2e11,
        "memory.hbm.bandwidth": 2e10,
        "memory.l2.bandwidth": 1e11,
        "gpu.sms": 1,
    }
    like = (
        condsim.hardware("nvidia-h100-sxm")
        .replace(dtype="fp32", **numbers)
        .save(tmp_path / "core.yaml")
    )
    case = Case("skipformer-d128-l6-q50", "prefill", 1, "masked", "repeat")
    module, under = sys.modules[run.__module__], Under(device="cpu:0")

    def here(folder: Path, under: Under, process: int, fast_s: float) -> None:
        worker.measure_model(
            case.model,
            [case],
            process,
            fast_s,
            under,
            folder / "parts" / f"{process}-{case.model}.parquet",
        )

    monkeypatch.setattr(
        sys.modules[worker.captured.__module__], "place", lambda model: tmp_path / model
    )
    monkeypatch.setattr(module, "listed", lambda _under: [case])
    monkeypatch.setattr(module, "measure", here)
    monkeypatch.setattr(
        module, "calibrate_accelerator", partial(module.calibrate_accelerator, most_bytes=2e6)
    )
    run(tmp_path / "run", 1, under, str(like))
    table = condsim.compare(traces(tmp_path / "run"))
    assert len(table) == 2
    assert (table["measured_latency_s"] > 0).all()
    assert (table["predicted_latency_s"] > 0).all()
    assert set(table["profile"]) == {"nvidia-h100-sxm-here"}


def test_a_model_in_bf16_is_that_and_runs() -> None:
    example = models.build("exitformer-d128-l6-q50-bf16")
    assert {p.dtype for p in example.model.parameters()} == {torch.bfloat16}
    with torch.inference_mode():
        assert example.model(example.inputs[0]).dtype == torch.bfloat16


def test_halves_are_told_by_the_name_alone() -> None:
    first = [
        half(c.model, c.phase, c.batch, c.strategy, b)
        for c in read()
        for b in ("same-params", "same-flops")
    ]
    assert set(first) == set(HALVES)
    assert 0.4 < np.mean([h == "check" for h in first]) < 0.6
    assert half("moe-bytes", "prefill", 1, "grouped", "same-params") == half(
        "moe-bytes", "prefill", 1, "grouped", "same-params"
    )


@pytest.mark.parametrize(
    "name",
    ["mixtral-d128-i256-e8-k2-l4", "exitformer-d128-l6-q50", "exit-fashion-t0.5", "moe-bytes-k1"],
)
def test_a_name_builds_the_same_model_anywhere(name: str) -> None:
    assert name in by_model(read())
    example, again = load_spec(f"{models.__file__}:{name}"), models.build(name)
    for a, b in zip(example.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("name", "said"),
    [("nothing-d8", "no model 'nothing-d8'"), ("mixtral-large", "cannot read the name")],
)
def test_a_name_that_says_nothing_is_an_error(name: str, said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        models.build(name)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return condsim.compare("traces/exit-fashion")


def test_statistics_are_means_over_mechanisms(table: pd.DataFrame) -> None:
    other = table.assign(mechanism="moe", error=3 * table["error"])
    both = judge.statistics(pd.concat([table, other, other], ignore_index=True))
    assert both.loc["mean over mechanisms", "speedup median"] == pytest.approx(
        2 * both.loc["early_exit", "speedup median"]
    )
    assert both["cases"].to_dict() == {
        "early_exit": len(table),
        "moe": 2 * len(table),
        "mean over mechanisms": 3 * len(table),
    }


def test_a_measurement_that_may_be_1_counts_for_no_verdict(table: pd.DataFrame) -> None:
    one = table.iloc[:1].assign(
        verdict="faster", measured_speedup=0.9, measured_low=0.8, measured_high=0.95
    )
    assert judge.verdicts(one)["wrong where the measurement is over 5 % from 1"] == 1
    assert judge.verdicts(one.assign(measured_high=1.01))["definite verdicts"] == 0


def test_every_part_of_the_report_is_printed(
    table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = condsim.load("traces/exit-fashion")
    result = accuracy.tell(table, [trace], effects=True)
    said = capsys.readouterr().out
    for part in (
        "by mechanism",
        "the development half",
        "the check half",
        "by strategy",
        "the worst",
        "limits",
        "without each effect",
        "whose very size",
    ):
        assert part in said
    assert isinstance(result["worth"], dict)
    assert set(result["worth"]) == {
        "everything",
        *(f"without {e}" for e in judge.effects(trace.profile)),
    }


def test_one_case_of_each_model_is_timed_by_segment() -> None:
    chosen = segments.chosen()
    assert [c.model for c in chosen] == list(by_model(read()))
    assert {c.protocol for c in chosen} == {"repeat"}


def test_operators_of_short_sides_count_as_much_as_those_of_long_ones() -> None:
    rows = [
        ("a", "baseline", "linear", 9.0, 6.0),
        ("a", "baseline", "add", 1.0, 2.0),
        ("b", "baseline", "linear", 0.05, 0.05),
        ("b", "baseline", "add", 0.05, 0.1),
    ]
    found = segments.operators(
        pd.DataFrame(rows, columns=["trace", "side", "operator", "measured_s", "predicted_s"])
    )
    assert found["share"].to_dict() == pytest.approx({"add": 30.0, "linear": 70.0})
    assert found["error"].to_dict() == pytest.approx({"add": 100.0, "linear": -100 * 0.15 / 0.7})
    assert list(found.index) == [
        "add",
        "linear",
    ]  # by what they are worth: + 30 and - 15 % of a side


def test_a_run_without_times_by_segment_has_none(tmp_path: Path) -> None:
    assert segments.traces(tmp_path) == []


def test_a_factor_of_several_machines_weighs_each_the_same(table: pd.DataFrame) -> None:
    narrow = table.assign(
        low=table["predicted_speedup"] * 0.99, high=table["predicted_speedup"] * 1.01
    )
    wide = table.assign(low=table["predicted_speedup"] * 0.5, high=table["predicted_speedup"] * 2.0)
    alone = {name: judge.conformal_factor([t]) for name, t in {"n": narrow, "w": wide}.items()}
    assert alone["w"] < alone["n"]
    few_narrow, few_wide = pd.concat([narrow] * 9), pd.concat([wide] * 9)
    many_wide = pd.concat([wide] * 81)
    both = judge.conformal_factor([few_narrow, few_wide])
    assert judge.conformal_factor([few_narrow, many_wide]) == pytest.approx(both, rel=0.2)
    assert judge.conformal_factor([pd.concat([few_narrow, many_wide])]) < both


def test_intervals_are_judged_with_the_factor_of_other_processors(table: pd.DataFrame) -> None:
    others = table.assign(
        low=table["predicted_speedup"] * 0.5, high=table["predicted_speedup"] * 2.0
    )
    factors = processors.factors_of_others({"here": table, "there": others})
    assert factors["here"] == judge.conformal_factor([others])
    assert factors["there"] == judge.conformal_factor([table])
    shown = processors.judged({"here": table, "there": others}, factors)
    assert list(shown.index) == ["here", "there"]
    assert shown.loc["here", "others ask for"] == f"{factors['here']:.2f}"


def test_kept_runs_are_told_apart_by_processor_and_by_list() -> None:
    runs = processors.by_processor(processors.kept([processors.RUNS]))
    names = {run.folder.name for of in runs.values() for run in of}
    assert "2026-11-28-c" in names
    assert not names & {"2026-11-28-bf16", "2026-11-28-two-threads", "2026-11-28-compiled"}
    assert len(runs) >= 2


def test_a_table_is_predicted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_kept", lambda: tmp_path)
    trace = condsim.load("traces/exit-fashion")
    asked = []
    monkeypatch.setattr(processors, "traces", lambda _folder: asked.append(1) or [trace])
    monkeypatch.setattr(processors.Run, "_key", lambda _run: "key")
    run = processors.Run(tmp_path)
    pd.testing.assert_frame_equal(run.table(), run.table())
    assert len(asked) == 1


def test_an_effect_left_out_is_what_a_profile_without_it_says() -> None:
    trace = condsim.load("traces/exit-fashion")
    of_batch_8 = trace.measurements[trace.measurements["batch"] == 8]
    assert trace.profile is not None
    assert trace.profile.residency is not None
    # What the time that passes evicts depends on every other effect.
    residency = trace.profile.residency.model_copy(update={"others": 0.0})
    profile = trace.profile.replace(cold=None, residency=residency)
    trace = dataclasses.replace(trace, measurements=of_batch_8, profile=profile)
    table = effects.with_effects(condsim.compare(trace), [trace])
    changed = judge.effects(trace.profile)
    compared = set(effects.EFFECTS) & set(changed) - {effects.CODE}  # the profile also has no
    assert len(compared) >= 5  # first calls without it
    for effect in compared:
        left_out = effects.without(table, effect)
        bare = condsim.compare(dataclasses.replace(trace, profile=changed[effect]))
        for column in ("predicted_latency_s", "predicted_speedup"):
            assert left_out[column].to_numpy() == pytest.approx(bare[column].to_numpy(), rel=1e-9)
