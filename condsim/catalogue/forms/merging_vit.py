"""Vision transformers, plain or with tokens that merge in every block by a fixed schedule (ToMe).

How many tokens are left after each block is the same for every image, so nothing is drawn: which of
them these are changes no operator's size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from condsim.catalogue.forms.base import Form, form
from condsim.mechanisms.base import NOT_REACHED
from condsim.mechanisms.tokens import STAYS
from condsim.program.regime import PREFILL
from condsim.trace import Decisions, Site
from condsim.trace.columns import STEP_COLUMNS
from condsim.trace.encoding import in_memory

if TYPE_CHECKING:
    import torch

    from condsim.catalogue.parts.base import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.trace import Trace

PROBED_UNITS = 2
STEPS = 2
GONE = 0
"""The branch of a token that joins another one."""


@form
class MergingTransformer(Form):
    """config: arguments of `condsim.zoo.merging_vit.MergingVit`."""

    name = "merging_vit"
    images = True
    served = False
    code = ("zoo/merging_vit.py", "zoo/merge_fashion.py", "zoo/vit.py")

    def build(self, model: CatalogueModel) -> torch.nn.Module:
        import torch

        from condsim.zoo.merging_vit import MergingVit

        return MergingVit(**model.config).to(torch.bfloat16).eval()

    def inputs(self, model: CatalogueModel) -> dict[str, Any]:
        import torch

        pixels = model.config.get("image", 224)
        images = torch.zeros((PROBED_UNITS, 3, pixels, pixels), dtype=torch.bfloat16)
        return {"images": images}

    def decided(self, model: CatalogueModel, programs: Trace, question: Question) -> Trace:
        rows = [(PREFILL, question.batch, 1, 0)] * STEPS
        steps = pd.DataFrame(rows, columns=STEP_COLUMNS)
        images = STEPS * question.batch
        decisions = {}
        for site, ids in zip(programs.sites, _schedule(programs.sites, model.config), strict=True):
            decisions[site.name] = Decisions(np.tile(ids, images))
        note = (
            f"each block merges {model.config['merged']} tokens of every image, by its schedule "
            f"({model.routing}): nothing is drawn"
        )
        return programs.with_reader(in_memory(decisions), steps, note)


def _schedule(sites: tuple[Site, ...], config: Any) -> list[np.ndarray]:
    """What an image's tokens do at each site, in order: int [tokens] each."""
    from condsim.zoo.merging_vit import tokens_kept

    everyone = sites[0].unit_rows.of(1)
    here, found = everyone, []
    for _ in sites:
        stay = tokens_kept(here, config["merged"])
        ids = np.full(everyone, NOT_REACHED, np.int8)
        ids[:stay] = STAYS
        ids[stay:here] = GONE
        found.append(ids)
        here = stay
    return found
