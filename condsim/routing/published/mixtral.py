"""Mixtral-8x7B: 8 experts, top 2, counted over 208,896 tokens of web text (c4)."""

from __future__ import annotations

from condsim.routing.parts.statistics import Statistics, published

published(
    Statistics(
        name="mixtral",
        source="Mixtral-8x7B-v0.1 on c4: loads from the counts in github.com/allenai/OLMoE, "
        "scripts/routing_output (Apache-2.0), layers 0, 7 and 15",
        loads={
            0.0: (0.816, 0.947, 0.952, 0.966, 0.998, 1.090, 1.110, 1.121),
            0.226: (0.948, 0.967, 0.971, 0.983, 0.986, 1.021, 1.048, 1.076),
            0.484: (0.623, 0.908, 1.038, 1.054, 1.060, 1.095, 1.099, 1.124),
        },
        pair_bits=0.09,  # of layers 0 and 7; 0.14 of 7 and 15
    )
)
