"""DeepSeek-V3: 256 experts, top 8, loads of decode steps after prompts of 2,000 tokens."""

from __future__ import annotations

from condsim.routing.parts.statistics import Statistics, published

published(
    Statistics(
        name="deepseek-v3",
        source="DeepSeek in decode after 2,000 tokens: quantiles of the expert counts that the "
        "SGLang team published with its large-scale expert parallelism blog, layers 3 to 60",
        loads={
            0.000: (0.022, 0.098, 0.203, 0.273, 0.430, 0.752, 1.263, 2.069, 2.578, 4.641, 5.625),
            0.123: (0.176, 0.270, 0.392, 0.484, 0.662, 0.879, 1.184, 1.735, 2.038, 2.913, 3.896),
            0.298: (0.223, 0.267, 0.343, 0.445, 0.587, 0.838, 1.203, 1.665, 2.088, 3.861, 4.984),
            0.474: (0.107, 0.143, 0.203, 0.246, 0.382, 0.643, 1.027, 1.744, 2.446, 8.072, 9.149),
            0.649: (0.092, 0.166, 0.254, 0.350, 0.480, 0.822, 1.200, 1.867, 2.630, 3.786, 4.768),
            0.825: (0.105, 0.143, 0.207, 0.263, 0.380, 0.579, 0.947, 2.203, 3.954, 6.713, 8.172),
            1.000: (0.067, 0.129, 0.278, 0.387, 0.542, 0.842, 1.247, 1.858, 2.394, 3.197, 5.205),
        },
    )
)
