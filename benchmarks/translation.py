"""What the experts' capacity does to translations: seconds and chrF of translate-verses.

    python -m benchmarks.translation --measure   # on a quiet machine: a minute and a half
    python -m benchmarks.translation             # predicted beside what was measured

Prefill and decode stand apart. What is timed is the `generate()` of transformers, without condsim:
hooks time each of its forward passes; the seconds are kept in benchmarks/runs. What is predicted
is of the traces in `traces/translate-verses`, which hold the decisions and the chrF at each factor:

    condsim frontier traces/translate-verses --capture --settings capacity=0.5,0.75,1,1.25,1.5,2

The experts of the encoder have room for `max(1, ceil(factor x 40 / 8))` tokens of a verse.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import condsim
from condsim.decide.frontier.settings import FOLDER, traces_in
from condsim.program.regime import DECODE, PREFILL
from condsim.resources import resource
from condsim.steps.rebatch import captured_batch, rebatch
from condsim.trace import Trace
from condsim.trace.spec import setting_in
from condsim.zoo.base import build, read_checkpoint
from condsim.zoo.translate_verses import TRAINED_FACTOR, TranslateVerses
from condsim.zoo.verse_example import LENGTHS, verse_example

NAME = "translate-verses"
FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Capacity factors."""
BATCHES, ROUNDS = 10, 7
"""Batches of 16 verses; how often each is translated at each factor."""
CASE = ["batch", "factor"]
PHASES = ("prefill_s", "decode_s")
KEPT = Path(__file__).parent / "runs" / "translation-2026-12-01.parquet"


# Measured


@dataclass
class Passes:
    """Seconds of each call of some modules, in order. One thread's time on the CPU."""

    seconds: list[float] = field(default_factory=list)
    _began: list[float] = field(default_factory=list)

    def watch(self, module: nn.Module) -> None:
        """Time each call of a module."""
        module.register_forward_pre_hook(self._begin)
        module.register_forward_hook(self._end)

    def _begin(self, *_: Any) -> None:
        self._began.append(time.thread_time())

    def _end(self, *_: Any) -> None:
        self.seconds.append(time.thread_time() - self._began.pop())

    def take(self) -> list[float]:
        """Return what was timed since, and forget it."""
        taken, self.seconds = self.seconds, []
        return taken


def measured(batches: int = BATCHES, rounds: int = ROUNDS) -> pd.DataFrame:
    """A row a translation of a batch: batch, factor, prefill_s, decode_s and the decode steps."""
    translator = build(NAME, read_checkpoint(NAME))
    assert isinstance(translator, TranslateVerses)
    inputs = verse_example(NAME, translator, translator.example_batch, batches).inputs
    encoder, decoder = Passes(), Passes()
    encoder.watch(translator.model.encoder)
    decoder.watch(translator.model)
    order = np.random.default_rng(0)
    rows = []
    _translate(translator, inputs[0])  # the first calls of a process
    for number, batch in enumerate(inputs):
        for _ in range(rounds):
            for factor in order.permutation(FACTORS):
                translator.set_room(max(LENGTHS), 1, factor)
                encoder.take(), decoder.take()
                _translate(translator, batch)
                first, *others = decoder.take()
                seconds = {"prefill_s": sum(encoder.take()) + first, "decode_s": sum(others)}
                rows.append({"batch": number, "factor": factor, **seconds, "steps": len(others)})
    return pd.DataFrame(rows)


@torch.inference_mode()
def _translate(translator: TranslateVerses, batch: dict[str, torch.Tensor]) -> None:
    """Greedily, as long as condsim captures it, or until all verses have ended."""
    tokens = translator.new_tokens + 1
    translator.model.generate(**batch, max_new_tokens=tokens, do_sample=False, num_beams=1)


# Predicted


def traces() -> Iterator[tuple[float, Trace]]:
    """(capacity factor, trace) of each one that comes with condsim."""
    folder = resource("traces") / NAME
    yield TRAINED_FACTOR, condsim.load(folder)
    for trace in traces_in(folder / FOLDER):
        setting = setting_in(trace.header.provenance.spec or "")
        assert setting is not None
        yield float(setting[1]), trace


def predicted(steps: pd.Series) -> pd.DataFrame:
    """A row a case: prefill_s, decode_s, chrf, and the dropped share of the encoder's rows.

    steps: decode steps of each case: greedy decoding ends where all verses of a batch have ended.
    """
    here = condsim.load(resource("traces") / NAME).profile
    assert here is not None
    rows = []
    for factor, trace in traces():
        prefill = _seconds(trace, here, PREFILL)[:, 0]
        decode = _seconds(trace, here, DECODE)
        chrf = _of_batches(trace, trace.quality["conditional"].to_numpy())
        dropped = _of_batches(trace, _dropped(trace))
        for batch, ran in steps.xs(factor, level="factor").items():
            row = {"batch": batch, "factor": factor, "chrf": chrf[batch]}
            row |= {"prefill_s": prefill[batch], "decode_s": decode[batch, :ran].sum()}
            rows.append(row | {"dropped": dropped[batch]})
    return pd.DataFrame(rows)


def _seconds(trace: Trace, profile: condsim.HardwareProfile, phase: str) -> np.ndarray:
    """Of the steps of each batch, float [batches, steps]."""
    found = condsim.simulate(trace, profile, phase=phase)
    seconds = found.steps["conditional_s"].to_numpy()
    ends = trace.steps["units"].cumsum()
    captured_as = np.searchsorted(ends, rebatch(trace, None, phase).first_unit, "right")
    batches = (trace.steps["phase"] == PREFILL).sum()
    in_order: np.ndarray = seconds[np.argsort(captured_as)].reshape(batches, -1)
    return in_order


def _of_batches(trace: Trace, values: np.ndarray) -> np.ndarray:
    """Means over the verses of each batch. values: of each verse, float [verses]."""
    means: np.ndarray = values.reshape(-1, captured_batch(trace, PREFILL)).mean(1)
    return means


def _dropped(trace: Trace) -> np.ndarray:
    """Share of each verse's tokens that no expert of the encoder had room for, float [verses]."""
    shares = []
    for site in trace.sites:
        if "encoder" not in site.name:
            continue
        rows = trace.rows_per_unit(site)
        of_row = trace.decisions(site.name).ids[:, 0] < 0
        verses = rows > 0
        unit = np.repeat(np.arange(verses.sum()), rows[verses])
        shares.append(np.bincount(unit, of_row) / rows[verses])
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean


# Judged


def beside(timed: pd.DataFrame) -> pd.DataFrame:
    """A row a case: predicted, and the medians that were measured (names end in `_measured`)."""
    medians = timed.groupby(CASE)[[*PHASES, "steps"]].median()
    found = predicted(medians["steps"].astype(int))
    found = found.merge(medians.reset_index(), on=CASE, suffixes=("", "_measured"))
    for ending in ("", "_measured"):
        total = found[[f"{phase}{ending}" for phase in PHASES]].sum(axis=1)
        found[f"whole_s{ending}"] = total
    return found


def by_factor(found: pd.DataFrame) -> pd.DataFrame:
    """A row a factor: means over the batches, milliseconds a batch, predicted and measured."""
    means = found.groupby("factor").mean()
    table = means[["dropped", "chrf"]].copy()
    for phase in PHASES:
        for ending in ("", "_measured"):
            table[phase.removesuffix("_s") + f"{ending}, ms"] = means[f"{phase}{ending}"] * 1e3
    return table.reset_index()


def best_factors(found: pd.DataFrame, seconds: str) -> pd.DataFrame:
    """A row a batch: the factor of the most chrF a second, predicted and measured.

    seconds: "prefill_s" or "whole_s". by_quality: the factor of the best chrF, whatever it takes.
    behind: how much less the predicted factor gives than the best, as measured.
    """
    rates = {
        "predicted": found["chrf"] / found[seconds],
        "measured": found["chrf"] / found[f"{seconds}_measured"],
        "by_quality": found["chrf"],
    }
    rows = []
    for batch, cases in found.groupby("batch"):
        row: dict[str, Any] = {"batch": batch}
        for name, rate in rates.items():
            row[name] = cases["factor"][rate[cases.index].idxmax()]
        given = rates["measured"][cases.index].to_numpy()
        chosen = given[cases["factor"].to_numpy() == row["predicted"]][0]
        rows.append(row | {"behind": 1 - chosen / given.max()})
    return pd.DataFrame(rows)


def alike_in_halves(timed: pd.DataFrame, seconds: str) -> int:
    """Batches for which both halves of the rounds name the same factor as the best, as measured."""
    first_half = timed.groupby(CASE).cumcount() % 2 == 0
    named = []
    for half in (timed[first_half], timed[~first_half]):
        named.append(best_factors(beside(half), seconds)["measured"])
    return int((named[0] == named[1]).sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="anew, on this machine")
    torch.set_num_threads(1)
    if parser.parse_args().measure:
        measured().to_parquet(KEPT, index=False)
    timed = pd.read_parquet(KEPT)
    found = beside(timed)
    print(by_factor(found).round(3).to_string(index=False))
    for seconds in ("prefill_s", "whole_s"):
        best = best_factors(found, seconds)
        right = (best["predicted"] == best["measured"]).sum()
        alike = (best["by_quality"] == best["measured"]).sum()
        print(f"\nmost chrF a second, {seconds}: {right} of {len(best)} predicted right; ", end="")
        print(f"the best chrF alone would be right in {alike}", end="; ")
        print(f"halves of the rounds agree in {alike_in_halves(timed, seconds)}")
        print(best.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
