"""A figure and what belongs to it."""

from __future__ import annotations

import pandas as pd

from condsim.dashboard.charts import timeline
from condsim.dashboard.parts.figure import INWARD, vega_lite

COLUMNS = ["start_ms", "end_ms", "duration_us", "lane", "part"]
COLUMNS += ["operator", "module", "guard", "basis"]


def test_a_chart_is_given_to_the_browser_without_altairs_theme() -> None:
    specification = vega_lite(timeline.timeline(pd.DataFrame(columns=COLUMNS)))
    assert specification["config"] == INWARD
    assert specification["height"] == 300
