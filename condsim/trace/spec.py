"""How a spec names a setting: `exit-fashion:threshold=0.8`, `file.py:function:kept=12`."""

from __future__ import annotations

CAPACITY, DROPPING = "capacity_factor", "padded"
"""A setting of how experts run and not of the model: its name, and the strategy that drops rows."""


def setting_in(spec: str) -> tuple[str, str] | None:
    """(name, value as text) that a spec sets; None where it sets nothing."""
    _, colon, last = spec.rpartition(":")
    if not colon or "=" not in last:
        return None
    name, _, value = last.partition("=")
    return name.strip(), value.strip()


def without_setting(spec: str) -> str:
    """The spec of the same model as it is."""
    return spec if setting_in(spec) is None else spec.rpartition(":")[0]


def with_setting(spec: str, name: str, value: float) -> str:
    """The spec of the same model with another setting."""
    return f"{without_setting(spec)}:{name}={value:g}"
