"""Decoders of which a token may jump over the later layers, as a router before each says.

Which tokens jump over which layer is drawn: every layer is entered as often as any other, tokens
and layers are independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from condsim.catalogue.forms.base import form
from condsim.catalogue.forms.decoder import Decoder, steps_of
from condsim.trace import Decisions

if TYPE_CHECKING:
    import torch

    from condsim.catalogue.parts.base import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.trace import Trace

OWN = ("first", "router", "adapter", "skipped")
"""Of `config`: what is no field of transformers' configuration."""


@form
class SkippingDecoder(Decoder):
    """config: of transformers' Llama, and first: the layer from which on layers may be jumped over;
    router, adapter: widths of `condsim.zoo.skippable_layers`; skipped: layers that a token jumps
    over, of all that it may."""

    name = "skipping_decoder"
    served = False
    code = ("zoo/skippable_layers.py",)

    def build(self, model: CatalogueModel) -> torch.nn.Module:
        from dataclasses import replace

        from condsim.zoo.skippable_layers import Widths, with_skippable_layers

        config = {name: value for name, value in model.config.items() if name not in OWN}
        plain = super().build(replace(model, config=config))
        widths = Widths(model.config["router"], model.config["adapter"])
        return with_skippable_layers(plain, model.config["first"], widths)

    def decided(self, model: CatalogueModel, programs: Trace, question: Question) -> Trace:
        steps = steps_of(question)
        rows = int((steps["units"] * steps["seq"]).sum())
        sites = {site.name: number for number, site in enumerate(programs.sites)}
        share = 1 - model.config["skipped"] / len(sites)

        def read(site: str) -> Iterator[Decisions]:
            rng = np.random.default_rng([question.seed, sites[site]])
            enters = rng.random(rows) < share
            yield Decisions(enters.astype(np.int8))

        note = (
            f"layers are drawn, {model.config['skipped']} of the last {len(sites)} are jumped over "
            f"({model.routing}); tokens and layers are independent (estimated), seed "
            f"{question.seed}"
        )
        return programs.with_reader(read, steps, note)
