"""How columns of errors are shown, on every table that has some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

NUMBER = st.column_config.NumberColumn
OF_ERRORS: Mapping[str, Any] = {
    "bias": NUMBER(format="percent", help="Median of predicted / measured - 1, with its sign."),
    "median_abs_error": NUMBER("median |error|", format="percent"),
    "p90_abs_error": NUMBER("90th percentile", format="percent"),
    "worst_abs_error": NUMBER("worst", format="percent"),
    "error": NUMBER(format="percent", help="predicted / measured - 1"),
    "predicted_speedup": NUMBER("predicted", format="%.2fx"),
    "measured_speedup": NUMBER("measured", format="%.2fx"),
}
"""Column → how Streamlit shows it."""
