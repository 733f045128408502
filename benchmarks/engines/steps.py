"""What an engine is asked to serve, and what a step of it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import condsim
from benchmarks.engines.rows import DEVICES, MODELS, MXFP4
from condsim.catalogue import CATALOGUE
from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.programs import programs_of
from condsim.catalogue.parts.question import Question, trace_of
from condsim.catalogue.parts.tensor import share_of
from condsim.cost.device import Target
from condsim.hardware import hardware
from condsim.predict.dense import Stored, dense_step
from condsim.predict.memory import Memory
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.runtimes import RUNTIMES

LENGTHS = 0.9
"""Mean of lengths that are even between 0.8 times and what is named."""
DRAWN_STEPS = 2
"""Decode steps of drawn routing whose mean is taken."""
BLACKWELL = "nvidia-b200"
"""Where both engines compute gpt-oss in MXFP8: the runs set
`VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8`."""
ENGINES_MEMORY = 0.9
"""Share of the device's memory: vLLM's `gpu-memory-utilization` in the runs."""


@dataclass(frozen=True)
class Serving:
    """A model on a device, always as many sequences of as many tokens.

    ranks: devices that share every layer.
    """

    model: str
    device: str
    batch: int
    prompt: int
    new: int
    dtype: str
    stored: Stored
    ranks: int = 1

    def batch_that_fits(self) -> int:
        """Sequences whose caches have room; the others wait."""
        _, memory = self._step(DECODE, self.batch, self._context)
        room = ENGINES_MEMORY * memory.device_bytes
        left = room - memory.weights_bytes - memory.activations_bytes
        fit = int(self.batch * left / memory.caches_bytes)
        return max(1, min(self.batch, fit))

    def token_s(self, batch: int) -> float:
        """Seconds per output token: a decode step, and the prompts that fall on it."""
        decode_s, _ = self._step(DECODE, batch, self._context)
        return decode_s + self.prompt_s * batch / self.new

    @cached_property
    def prompt_s(self) -> float:
        """Seconds of one prompt alone."""
        return self._step(PREFILL, 1, self.prompt)[0]

    @property
    def _context(self) -> int:
        return self.prompt + self.new // 2

    @property
    def _share(self) -> CatalogueModel:
        """What one of the devices runs."""
        return share_of(CATALOGUE[self.model], self.ranks)

    def _step(self, phase: str, batch: int, context: int) -> tuple[float, Memory]:
        if CATALOGUE[self.model].conditional:
            return self._conditional(Question(batch, context, phase))
        return self._dense(phase, batch, context)

    def _conditional(self, question: Question) -> tuple[float, Memory]:
        trace = trace_of(self._share, question)
        prediction = condsim.simulate(
            trace,
            self.device,
            batch=question.batch,
            phase=question.phase,
            dtype=self.dtype,
            runtime="served",
            weights=self.stored.weights,
            caches=self.stored.caches,
            parallel=condsim.Parallel(tensor=self.ranks) if self.ranks > 1 else None,
            steps=[0] if question.phase == PREFILL else list(range(DRAWN_STEPS)),
        )
        return prediction.latency_s, prediction.memory

    def _dense(self, phase: str, batch: int, context: int) -> tuple[float, Memory]:
        programs = programs_of(self._share, Regime.of_batch(phase, batch))
        parameters = programs.header.provenance.parameters
        target = Target(hardware(self.device), self.dtype, RUNTIMES["served"], parameters)
        seq = context if phase == PREFILL else 1
        step = dense_step(programs, target, batch, seq, context, self.stored)
        return step.latency_s, step.memory


def serving_of(row: Any) -> Serving:
    """What a row of the file was measured at."""
    model, device = MODELS[row.model_path], DEVICES[row.system]
    dtype, stored = "fp8", Stored(caches="fp8")
    if model == MXFP4:
        dtype = "bf16"
        stored = Stored(weights="mxfp4", caches="bf16")
        if device == BLACKWELL:
            stored = Stored(weights="mxfp4_mxfp8", caches="fp8")
    prompt, new = int(LENGTHS * row.isl), int(LENGTHS * row.osl)
    batch, ranks = int(row.batch_size), int(row.tp_size)
    return Serving(model, device, batch, prompt, new, dtype, stored, ranks)
