"""Decoders of which each new token leaves at the first exit that is sure.

Where tokens leave is drawn: of those that reach an exit the same share leaves at each, so that a
token runs as many layers as published on average. Tokens are independent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from condsim.catalogue.forms.base import Form, form
from condsim.catalogue.forms.decoder import PROBED_POSITIONS, PROBED_UNITS, steps_of
from condsim.errors import CondsimError
from condsim.mechanisms.base import NOT_REACHED
from condsim.mechanisms.token_exit import GOES_ON, LEAVES
from condsim.program.regime import DECODE
from condsim.trace import Decisions
from condsim.trace.encoding import in_memory

if TYPE_CHECKING:
    import torch

    from condsim.catalogue.parts.base import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.trace import Trace

MEAN = "mean_layers"
"""Of `config`: what is no argument of the model, but what a token runs on average."""


@form
class ExitingDecoder(Form):
    """config: arguments of `condsim.zoo.exit_decoder.ExitDecoder`, and mean_layers."""

    name = "exit_decoder"
    served = False
    code = ("zoo/exit_decoder.py", "zoo/exit_bytes.py", "zoo/exit_cache.py")

    def check(self, model: CatalogueModel, question: Question) -> None:
        """Raises CondsimError for a prompt, of which all tokens run all layers, and for positions
        that the model has not."""
        if question.phase != DECODE:
            raise CondsimError(
                f"phase: {model.name} decides while it decodes only, got {question.phase!r}; ask "
                f"for {DECODE}"
            )
        most = model.config["max_seq"]
        if question.context > most:
            raise CondsimError(
                f"context must be at most {most:,}, the positions of {model.name}, got "
                f"{question.context:,}"
            )

    def build(self, model: CatalogueModel) -> torch.nn.Module:
        import torch

        from condsim.zoo.exit_decoder import ExitDecoder

        config = {name: value for name, value in model.config.items() if name != MEAN}
        return ExitDecoder(**config).to(torch.bfloat16).eval()

    def inputs(self, model: CatalogueModel) -> dict[str, Any]:
        import torch

        tokens = torch.zeros((PROBED_UNITS, PROBED_POSITIONS), dtype=torch.long)
        return {"input_ids": tokens}

    def decided(self, model: CatalogueModel, programs: Trace, question: Question) -> Trace:
        steps = _one_after_another(steps_of(question))
        exits, layers = model.config["exits"], model.config["layers"]
        share = leaving_share((*exits, layers), model.config[MEAN])
        rng = np.random.default_rng(question.seed)
        tokens = question.batch * len(steps)
        here = np.ones(tokens, bool)
        decisions = {}
        for site in programs.sites:
            goes_on = rng.random(tokens) >= share
            ids = np.where(goes_on, GOES_ON, LEAVES)
            decisions[site.name] = Decisions(np.where(here, ids, NOT_REACHED).astype(np.int8))
            here = here & goes_on
        note = (
            f"exits are drawn, a token runs {model.config[MEAN]} of {layers} layers on average "
            f"({model.routing}): {share:.0%} of those that reach an exit leave there, tokens are "
            f"independent (estimated), seed {question.seed}"
        )
        return programs.with_reader(in_memory(decisions), steps, note)


def _one_after_another(steps: pd.DataFrame) -> pd.DataFrame:
    """Decode steps of the same sequences, the last of them at the positions that are asked for."""
    last = int(steps["past"].iloc[-1])
    first = max(1, last - len(steps) + 1)
    return steps.assign(past=np.arange(first, first + len(steps)))


def leaving_share(ends: tuple[int, ...], mean: float) -> float:
    """Return the share of those that reach an exit that leaves there, the same at each.

    ends: layers before each exit, and all. mean: layers that a token runs on average, between the
    first and the last of `ends`.
    """
    from scipy import optimize  # takes longer to import than to use

    return float(optimize.brentq(partial(_surplus, ends, mean), 0.0, 1.0))


def _surplus(ends: tuple[int, ...], mean: float, share: float) -> float:
    """Layers above the mean that a token runs. share: that leaves at each exit."""
    layers, reaching = 0.0, 1.0
    for end in ends[:-1]:
        layers += end * reaching * share
        reaching *= 1 - share
    return layers + ends[-1] * reaching - mean
