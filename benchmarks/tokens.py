"""Published throughputs of vision transformers that drop or merge tokens, beside predictions
from the operators that condsim records.

    python -m benchmarks.tokens [--tables FOLDER]

The models are written with `condsim.route` and `condsim.tokens` (`benchmarks/vision/deit.py`) and
recorded on PyTorch's meta device. ToMe's rows are those of `benchmarks/literature/measured.csv`
(V100, fp32). EViT's are read from FOLDER/token-reduction.csv (default: ../shared/vision), where
there is one: its device is not stated, so only ratios between its rows are compared, on two GPUs.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.literature.predict import seconds_of
from benchmarks.vision.deit import Deit, Evit, Shape, Tome
from condsim.capture.fit import Fitter, Run
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.lower import lower
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.tokens import Tokens
from condsim.program import Program
from condsim.record.nest import tree
from condsim.steps.extents import SiteRule, Steps
from condsim.trace.header import UnitRows

HERE = Path(__file__).resolve().parent
TABLES = HERE.parent.parent / "shared" / "vision"
LITERATURE = HERE / "literature" / "measured.csv"
SATURATED, RECORDED = 128, (2, 3, 5)
"""Images a batch: as published (saturated), and as recorded."""
OF_TOME = ("nvidia-v100-sxm2",)
OF_EVIT = ("nvidia-v100-sxm2", "nvidia-a100-sxm-80gb")
EVIT_BATCH = 64
DEIT_S = Shape(12, 384, 6, 197)
PATCH = {197: 16, 577: 16, 1370: 14}


class Recorded:
    """A model's programs: as it runs, and with all tokens. kept: site → tokens that stay."""

    def __init__(self, make, shape: Shape) -> None:
        with torch.device("meta"):
            model: Deit = make().eval()
        self.live = LiveModel.of(model)
        self.shape = shape
        self.kept: dict[str, int] = {}
        self.mechanism: Tokens | None = None
        self.program = self._recorded({})
        self.dense = self._recorded({"*": "same-params"})

    def _recorded(self, strategies: dict[str, str]) -> Program:
        runs = []
        for units in RECORDED:
            pixels = self.shape.pixels
            images = torch.empty(units, 3, pixels, pixels, device="meta")
            execution = Execution(strategies)
            recorder = self.live.record(Batch((images,), {}, units, None), execution)
            for info in execution.sites.values():
                mechanism = MECHANISMS[info.mechanism]
                assert isinstance(mechanism, Tokens)
                self.mechanism = mechanism
            runs.append(Run({"batch": units}, tree(recorder, {}), recorder.calls))
        for site, tokens in _loops_of(runs):
            self.kept.setdefault(site, tokens)
        name = next(iter(strategies.values()), "gathered")
        return Fitter().program(name, "prefill-n", runs)

    def seconds(self, device: str, batch: int, dense: bool = False) -> float:
        """Of one forward of `batch` images."""
        program = self.dense if dense else self.program
        assert self.mechanism is not None
        rules = {}
        for site in self.kept:
            rows = UnitRows(a_position=0, a_unit=self.shape.tokens)
            rules[site] = SiteRule(site, self.mechanism, 2, rows)
        strategy = "same-params" if dense else self.mechanism.fixed
        strategies = {self.mechanism.name: strategy}
        one = np.ones(1, np.int64)
        kept = {site: np.array([[0, tokens]]) for site, tokens in self.kept.items()}
        steps = Steps.rectangular(one * batch, one, one, kept, kept=kept)
        return seconds_of(lower(program, rules, strategies, steps), device)


def _loops_of(runs: list[Run]) -> list[tuple[str, int]]:
    """(site, tokens that stay) of every guard of a run."""
    found = []
    scopes = [runs[0].scope]
    while scopes:
        for node in scopes.pop().nodes:
            for instance in getattr(node, "instances", ()):
                found.append((node.site, instance.rows))
                scopes.append(instance.scope)
    return found


def tome() -> pd.DataFrame:
    """Published and predicted speedup of ToMe."""
    table = pd.read_csv(LITERATURE).drop_duplicates("id")
    table = table[table["id"].str.startswith("tome-")]
    rows = []
    for row in table.itertuples():
        numbers = re.findall(r"(\d+) layers, d (\d+), (\d+) heads, (\d+) tokens", row.shape)[0]
        layers, width, heads, tokens = (int(number) for number in numbers)
        shape = Shape(layers, width, heads, tokens, PATCH[tokens])
        r = int(re.findall(r"r=(\d+)", row.routing)[0])
        model = Recorded(lambda shape=shape, r=r: Tome(shape, r), shape)
        for device in OF_TOME:
            took = model.seconds(device, SATURATED)
            speedup = model.seconds(device, SATURATED, dense=True) / took
            rows.append((row.id, device, float(row.speedup), speedup))
    return pd.DataFrame(rows, columns=["id", "device", "published", "predicted"])


def evit(tables: Path) -> pd.DataFrame:
    """Published and predicted throughput of EViT over that of the first row."""
    table = pd.read_csv(tables / "token-reduction.csv")
    table = table[(table["method"] == "EViT") & table["throughput_img_per_s"].notna()]
    rows = []
    for device in OF_EVIT:
        predicted, published = [], table["throughput_img_per_s"].tolist()
        for row in table.itertuples():
            fuse = "fused" in row.kind
            model = Recorded(lambda row=row, fuse=fuse: Evit(DEIT_S, row.keep, fuse), DEIT_S)
            predicted.append(EVIT_BATCH / model.seconds(device, EVIT_BATCH))
        for number, name in enumerate(table["id"]):
            if number:
                ratios = published[number] / published[0], predicted[number] / predicted[0]
                rows.append((name, device, *ratios))
    return pd.DataFrame(rows, columns=["id", "device", "published", "predicted"])


def by_batch() -> pd.DataFrame:
    """Predicted speedup of EViT (keep 0.7) over DeiT-S, batch by batch."""
    model = Recorded(lambda: Evit(DEIT_S, 0.7, fuse=False), DEIT_S)
    rows = []
    for device in OF_EVIT:
        for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            speedup = model.seconds(device, batch, dense=True) / model.seconds(device, batch)
            rows.append((device, batch, speedup))
    return pd.DataFrame(rows, columns=["device", "batch", "speedup"])


def shown(name: str, table: pd.DataFrame) -> None:
    """Print a table with its errors, their median, and how many directions are right."""
    table["error, %"] = 100 * (table["predicted"] / table["published"] - 1)
    right = (table["predicted"] > 1) == (table["published"] > 1)
    print(f"\n{name}: {right.sum()} of {len(table)} directions right, |error| median", end=" ")
    print(f"{table['error, %'].abs().median():.1f} %, worst {table['error, %'].abs().max():.1f} %")
    print(table.round(3).to_string(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, default=TABLES)
    tables = parser.parse_args().tables
    shown("ToMe, speedup over the same transformer", tome())
    if (tables / "token-reduction.csv").exists():
        shown("EViT, throughput over that of its first row", evit(tables))
    else:
        print(f"\nEViT is skipped: there is no token-reduction.csv in {tables}; pass --tables")
    print("\nEViT, keep 0.7, over DeiT-S, predicted")
    print(by_batch().pivot(index="batch", columns="device", values="speedup").round(2).to_string())


if __name__ == "__main__":
    main()
