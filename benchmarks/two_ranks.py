"""A layer of experts in two processes, measured and predicted.

    python -m benchmarks.two_ranks [--rounds N] [--csv FILE]

Two processes of one thread each hold half of a Mixtral layer's experts and send tokens to each
other with torch.distributed (gloo, loopback). In turn with that, one of them runs the whole layer
alone while the other one waits. The prediction knows the captured layer, the calibration of this
machine, and what sending one and many tokens between the two takes, which is measured without the
layer, between other computing; nothing is fitted to the layer's own times. It needs two free cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.distributed as dist
import yaml
from torch.multiprocessing.spawn import spawn

import condsim
from condsim.hardware import this_machine

UNITS, POSITIONS = 32, 64
EXPERTS, TOP_K, RANKS = 8, 2, 2
HELD = EXPERTS // RANKS
BATCHES = (2, 8, 32)
WIDTHS = (256, 512)
SKEWS = {"balanced": 0.0, "skewed": 0.6}
"""How much more the router likes the experts of the first rank."""
BAR = 0.15
LINK_ROUNDS = 40
BETWEEN_S = 2e-3
"""Of computing before each exchange that is timed."""
MANY = 4096
"""Tokens of the message that says how fast the loopback is."""
PORT = "tcp://127.0.0.1:29611"


@dataclass(frozen=True)
class Case:
    """One layer. width: of a token."""

    width: int
    skew: str

    def layer(self) -> torch.nn.Module:
        """Build it, the same in every process."""
        from transformers import MixtralConfig
        from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

        config = MixtralConfig(
            hidden_size=self.width,
            intermediate_size=2 * self.width,
            num_local_experts=EXPERTS,
            num_experts_per_tok=TOP_K,
        )
        torch.manual_seed(0)
        layer = torch.nn.Sequential(MixtralSparseMoeBlock(config)).eval()
        with torch.no_grad():
            for weight in layer.parameters():
                torch.nn.init.normal_(weight, std=self.width**-0.5)
            layer[0].gate.weight[:HELD, 0] += SKEWS[self.skew]
        return layer

    def tokens(self) -> torch.Tensor:
        """Draw the units that are served, [units, positions, width]."""
        drawn = torch.randn(
            UNITS, POSITIONS, self.width, generator=torch.Generator().manual_seed(1)
        )
        drawn[..., 0] = 1.0
        return drawn


CASES = [Case(width, skew) for width in WIDTHS for skew in SKEWS]


class Share:
    """The part of a layer that one rank has."""

    def __init__(self, layer: Any, rank: int) -> None:
        block = layer[0]
        self.rank, self.other = rank, 1 - rank
        self.gate, self.experts = block.gate, block.experts
        held = slice(rank * HELD, (rank + 1) * HELD)
        for name in ("gate_up_proj", "down_proj"):
            part = getattr(self.experts, name).detach()[held].clone()
            setattr(self.experts, name, torch.nn.Parameter(part, requires_grad=False))
        self.experts.num_experts = HELD

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Run the layer on this rank's tokens, [tokens, width]."""
        _, weights, ids = self.gate(tokens)
        own, sent = self._going_to(ids, self.rank), self._going_to(ids, self.other)
        packed = torch.cat([tokens[sent], weights[sent], ids[sent].to(tokens.dtype)], dim=1)
        received = self._exchanged(packed)
        width = tokens.shape[1]
        hidden = torch.cat([tokens[own], received[:, :width]])
        all_weights = torch.cat([weights[own], received[:, width : width + TOP_K]])
        all_ids = torch.cat([ids[own], received[:, width + TOP_K :].long()])
        done = self.experts(hidden, self._local(all_ids), all_weights)
        back = torch.empty(len(sent), width)
        _exchange(done[len(own) :].contiguous(), back, self.other)
        result = torch.zeros_like(tokens)
        result.index_add_(0, own, done[: len(own)])
        return result.index_add_(0, sent, back)

    def _going_to(self, ids: torch.Tensor, rank: int) -> torch.Tensor:
        return torch.nonzero((ids // HELD == rank).any(1)).squeeze(1)

    def _local(self, ids: torch.Tensor) -> torch.Tensor:
        """Numbers of the experts that are held; the number after them for all others."""
        return torch.where(ids // HELD == self.rank, ids - self.rank * HELD, HELD)

    def _exchanged(self, packed: torch.Tensor) -> torch.Tensor:
        """Send rows, and take in as many as the other rank sends."""
        count = torch.empty(1, dtype=torch.long)
        _exchange(torch.tensor([len(packed)]), count, self.other)
        received = torch.empty(int(count), packed.shape[1])
        _exchange(packed, received, self.other)
        return received


def _exchange(sent: torch.Tensor, received: torch.Tensor, other: int) -> None:
    working = [dist.isend(sent, other), dist.irecv(received, other)]
    for each in working:
        each.wait()


def _compute_for(seconds: float) -> None:
    """Multiply matrices for so long."""
    matrix = torch.ones(64, 64)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        torch.mm(matrix, matrix)


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _links(width: int, other: int) -> tuple[float, float]:
    """Return (seconds of an exchange of one token, bytes a second of many).

    Both ranks compute before each exchange, as a layer does: threads that wait for messages sleep
    meanwhile, and are woken by the other rank's.
    """
    seconds = {}
    for tokens in (1, MANY):
        sent, received, count = torch.ones(tokens, width), torch.empty(tokens, width), torch.ones(1)
        spent_s = []
        for _ in range(LINK_ROUNDS):
            spent_s.append(0.0)
            for message, into in ((count, torch.empty(1)), (sent, received), (sent, received)):
                _compute_for(BETWEEN_S)
                spent_s[-1] += _timed(lambda: _exchange(message, into, other)) / 2  # noqa: B023
        seconds[tokens] = statistics.median(spent_s)
    moved = 4 * width * (MANY - 1)
    return seconds[1], moved / (seconds[MANY] - seconds[1])


def _rank(rank: int, rounds: int, folder: str) -> None:
    """Measure all cases in one of two processes; the first one writes what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=PORT, rank=rank, world_size=RANKS)
    rows = []
    with torch.inference_mode():
        for case in CASES:
            start_s, bandwidth = _links(case.width, 1 - rank)
            for row in _measured(case, rank, rounds):
                rows.append({**row, "start_s": start_s, "bandwidth": bandwidth})
    if rank == 0:
        pd.DataFrame(rows).to_json(Path(folder) / "measured.json", orient="records")
    dist.destroy_process_group()


def _measured(case: Case, rank: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row a batch: seconds of a step alone, and of both together."""
    whole, share, tokens = case.layer(), Share(case.layer(), rank), case.tokens()
    for batch in BATCHES:
        steps = tokens.split(batch)
        own = [step.chunk(RANKS)[rank].reshape(-1, case.width) for step in steps]
        _check(share(own[0]), whole(steps[0]).chunk(RANKS)[rank])
        alone_s, together_s = [], []
        for _ in range(rounds):
            dist.barrier()
            if rank == 0:
                alone_s.append(_timed(lambda: [whole(step) for step in steps]))  # noqa: B023
            dist.barrier()
            together_s.append(_timed(lambda: [share(part) for part in own]))  # noqa: B023
        if rank == 0:
            yield {
                "width": case.width,
                "skew": case.skew,
                "batch": batch,
                "alone_s": statistics.median(alone_s) / len(steps),
                "together_s": statistics.median(together_s) / len(steps),
            }


def _check(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted.reshape(found.shape), rtol=1e-3, atol=1e-4)


def _fabric(start_s: float, bandwidth: float, folder: str) -> str:
    """Write what was measured of the loopback as a fabric; returns its path."""
    said = {"basis": "measured", "source": "this run, gloo without the layer"}
    link = {"start": {"value": start_s, **said}, "bandwidth": {"value": bandwidth, **said}}
    file = Path(folder) / "loopback.yaml"
    fields = {"name": "loopback", "description": "Two processes.", "node": RANKS, "inside": link}
    file.write_text(yaml.safe_dump(fields))
    return str(file)


def _predicted(case: Case, rows: Sequence[dict[str, Any]], folder: str) -> None:
    """Add what condsim says to the rows of one case."""
    profile = this_machine()
    assert profile is not None, "this machine is not calibrated (condsim calibrate)"
    trace = condsim.capture(case.layer(), [case.tokens()], measure=False, name="layer")
    for row in rows:
        fabric = _fabric(row["start_s"], row["bandwidth"], folder)
        parallel = condsim.Parallel(expert=RANKS, fabric=fabric, exchange="links")
        asked = (trace, profile, "looped", row["batch"])
        alone = condsim.simulate(*asked, protocol="stream")
        together = condsim.simulate(*asked, protocol="stream", parallel=parallel)
        row["predicted_alone_s"] = alone.latency_s
        row["predicted_together_s"] = together.latency_s
        row["speedup"] = row["alone_s"] / row["together_s"]
        row["predicted_speedup"] = alone.latency_s / together.latency_s
        row["error"] = row["predicted_speedup"] / row["speedup"] - 1


def main() -> None:
    """Measure, predict, and print a row a case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--csv", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        spawn(_rank, (asked.rounds, folder), nprocs=RANKS)
        rows = pd.read_json(Path(folder) / "measured.json").to_dict("records")
        for case in CASES:
            of_case = [
                row for row in rows if (row["width"], row["skew"]) == (case.width, case.skew)
            ]
            _predicted(case, of_case, folder)
    table = pd.DataFrame(rows)
    print(table.to_string(float_format=lambda value: f"{value:.4g}"))
    off = table["error"].abs()
    print(f"speedup over one process: median |error| {off.median():.1%}, worst {off.max():.1%}")
    print(f"bar {BAR:.0%}: {'met' if off.median() <= BAR else 'missed'}")
    if asked.csv:
        table.to_csv(asked.csv, index=False)


if __name__ == "__main__":
    main()
