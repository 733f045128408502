"""Traces and profiles that stay whole, with other numbers in them: they get past every check."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import yaml

from condsim.resources import resource
from fuzz import damage
from fuzz.bases import NAMES
from fuzz.kinds import ARGUMENTS, Question, kind, one_trace, rewrite_json, shipped_profile
from fuzz.questions import MORE

POSSIBLE: dict[str, tuple[Any, ...]] = {
    "device": (
        *("raspberry-pi-5", "nvidia-h100-sxm", "google-tpu-v5e", "apple-neural-engine-m4"),
        str(resource("traces") / "exit-fashion" / "profile.yaml"),  # a calibrated one
    ),
    "batch": (None, 1, 2, 3, 5, 64),
    "baseline": ("same-params", "same-flops"),
    "threshold": (None, None, 0.3, 0.9),
    "steps": (None, [0], [0, 1], [3, 1]),
    "engine": ("closed", "events"),
    "capacity_factor": (1.0, 1.25, 8.0),
    "dtype": (None, "fp32", "bf16"),
}
"""Arguments that most traces take."""


def asked(random: Random) -> dict[str, Any]:
    """Arguments of a simulation; a few are impossible."""
    known = ARGUMENTS if random.random() < 0.15 else POSSIBLE
    names = random.sample(sorted(known), random.choice([1, 2, 3]))
    return {name: random.choice(known[name]) for name in names}


def use(random: Random) -> Question:
    more = random.choice(list(MORE))
    return {"ask": "trace", "device": "raspberry-pi-5", "more": more, "arguments": asked(random)}


@kind("other decisions")
def _(random: Random, bases: Path, folder: Path) -> Question:
    """Values of the same tables in other places."""
    trace = one_trace(random, bases, folder)
    for path in sorted(trace.glob("decisions/*.parquet")):
        table = pd.read_parquet(path)
        way = random.choice(["shuffled", "first", "last", "as it was"])
        for name in table.columns:
            if name.startswith(("id", "bits")) or name in ("depth", "score"):
                table[name] = _moved(random, table[name], way)
        table.to_parquet(path, index=False)
    return use(random)


def _moved(random: Random, column: pd.Series, way: str) -> pd.Series:
    if way == "shuffled":
        return column.sample(frac=1, random_state=random.randrange(1000)).set_axis(column.index)
    if way == "as it was" or not len(column):
        return column
    return pd.Series([column.iloc[0 if way == "first" else -1]] * len(column), dtype=column.dtype)


@kind("other steps")
def _(random: Random, bases: Path, folder: Path) -> Question:
    """Steps that together have as many units as before."""
    trace = one_trace(random, bases, folder)
    steps = pd.read_parquet(trace / "steps.parquet")
    units = steps["units"].tolist()
    for _ in range(random.choice([1, 3])):
        taken, given = (random.randrange(len(units)) for _ in range(2))
        moved = random.randrange(units[taken])
        units[taken], units[given] = units[taken] - moved, units[given] + moved
    steps["units"] = pd.Series(units, dtype=steps["units"].dtype)
    if random.random() < 0.3:
        steps["past"] = steps["past"] + random.choice([1, 100])
    steps.to_parquet(trace / "steps.parquet", index=False)
    return use(random)


@kind("other sizes")
def _(random: Random, bases: Path, folder: Path) -> Question:
    """Numbers of programs and headers, times a few."""
    trace = one_trace(random, bases, folder)
    file = random.choice(["programs.json.gz", "trace.json"])
    rewrite_json(trace / file, lambda value: scaled(random, value))
    return use(random)


def scaled(random: Random, value: Any) -> Any:
    """A few numbers that are above 1, times or by a little."""
    known = [(c, k) for c, k in damage.places(value) if type(c[k]) in (int, float) and c[k] > 1]
    for container, key in random.sample(known, min(len(known), random.choice([1, 1, 4]))):
        number = container[key]
        near = [number + 1, number - 1, number * 2] if type(number) is int else [number / 2]
        container[key] = random.choice([*near, number * 3])
    return value


@kind("other rates")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    """Profiles whose numbers are larger or smaller."""
    fields = scaled(random, shipped_profile(random))
    (folder / "profile.yaml").write_text(yaml.dump(fields, Dumper=yaml.SafeDumper))
    return {"ask": "profile", "base": random.choice(NAMES), "arguments": asked(random)}
