"""Decoders of transformers: dense ones, and mixtures of experts whose routing is drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from condsim.catalogue.forms.base import Form, form
from condsim.program.regime import PREFILL
from condsim.routing.drawn import decode_steps, drawn_trace, prefill_steps
from condsim.routing.named import routing_for

if TYPE_CHECKING:
    import torch

    from condsim.catalogue.parts.base import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.trace import Trace

DTYPE = "bfloat16"
"""That models are recorded in; another one is asked for when they are simulated."""
MOST_STEPS = 16
"""Steps that are drawn: as many as a device with two clocks looks at."""
ENOUGH_TOKENS = 4096
"""Tokens after which no more decode steps are drawn: their counts hardly differ."""
PROBED_UNITS, PROBED_POSITIONS = 2, 8
"""Of the input that probing runs are cut from."""


@form
class Decoder(Form):
    """model_type, config: the class of transformers, and its configuration."""

    name = "decoder"

    def build(self, model: CatalogueModel) -> torch.nn.Module:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        with quiet_transformers():
            config = AutoConfig.for_model(model.model_type, **model.config)
            config.dtype = getattr(torch, DTYPE)
            made: Any = AutoModelForCausalLM
            built: torch.nn.Module = made.from_config(config)
        return built.eval()

    def inputs(self, model: CatalogueModel) -> dict[str, Any]:
        import torch

        tokens = torch.zeros((PROBED_UNITS, PROBED_POSITIONS), dtype=torch.long)
        return {"input_ids": tokens, "logits_to_keep": 1}

    def decided(self, model: CatalogueModel, programs: Trace, question: Question) -> Trace:
        generator = routing_for(programs, model.routing, question.seed)
        drawn = drawn_trace(generator, steps_of(question), question.seed)
        return programs.with_routing(drawn)


def steps_of(question: Question) -> pd.DataFrame:
    """Return the steps that decisions are drawn for."""
    if question.phase == PREFILL:
        return prefill_steps(question.batch, question.context)
    count = max(2, min(MOST_STEPS, ENOUGH_TOKENS // question.batch, question.context - 1))
    return decode_steps(question.batch, question.context, count)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """While it lasts, transformers logs errors only."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
