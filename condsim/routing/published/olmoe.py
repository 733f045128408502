"""OLMoE-1B-7B: 64 experts, top 8, counted over 208,896 tokens of web text (c4)."""

from __future__ import annotations

from condsim.routing.parts.statistics import Statistics, published

published(
    Statistics(
        name="olmoe",
        source="OLMoE-1B-7B-0924 on c4: quantiles of the counts in github.com/allenai/OLMoE, "
        "scripts/routing_output (Apache-2.0), layers 0, 7 and 15",
        loads={
            0.0: (0.300, 0.481, 0.717, 0.769, 0.842, 0.969, 1.069, 1.256, 1.352, 2.071, 3.017),
            0.467: (0.200, 0.338, 0.502, 0.584, 0.753, 0.967, 1.220, 1.404, 1.649, 2.333, 2.658),
            1.0: (0.190, 0.214, 0.305, 0.412, 0.577, 0.923, 1.315, 1.659, 1.869, 2.285, 2.499),
        },
        pair_bits=0.65,  # of layers 0 and 7; 1.27 of 7 and 15
    )
)
