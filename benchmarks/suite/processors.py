"""Judge every kept run by one and the same cost model, and print a row a processor.

    python -m benchmarks.suite.processors
    python -m benchmarks.suite.processors --runs FOLDER    # also the runs that lie in FOLDER

Below this table it prints the errors by run, those of the second list, and what each effect is
worth. An interval is judged with the factor that the other processors ask for.

The runs lie in `benchmarks/runs`. Predictions are kept in the user's cache by the source code that
made them, so that a second call takes seconds.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pandas as pd
from platformdirs import user_cache_dir

import condsim
from benchmarks.suite import effects, judge
from benchmarks.suite.captured import place
from benchmarks.suite.cases import LIST, OUTSIDE, read
from benchmarks.suite.run import traces
from condsim.hardware import HardwareProfile

RUNS = Path(__file__).parents[1] / "runs"
UNUSED = {"calibrate", "capture", "cli", "dashboard", "importers", "live", "record", "show"}
"""Packages of condsim that no comparison passes through, except for names of columns."""
USUAL = ("eager", "fp32", 1)
"""Runtime, dtype and threads of the runs that are compared."""


@dataclass(frozen=True)
class Run:
    """A folder with a profile and with what was measured under it."""

    folder: Path

    @cached_property
    def profile(self) -> HardwareProfile:
        return condsim.hardware(str(self.folder / "profile.yaml"))

    @property
    def processor(self) -> str:
        """Its name as the system says it, with its shared cache, which tells machines apart."""
        machine = self.profile.fingerprint or {}
        shared_mb = int(machine.get("l3", 0)) / 2**20
        return f"{machine.get('cpu', 'unknown')}, {shared_mb:.0f} MiB"

    @cached_property
    def measured(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "measurements.parquet")

    @property
    def models(self) -> list[str]:
        return list(self.measured["model"].unique())

    @property
    def is_usual(self) -> bool:
        """Whether it is eager, in fp32, with one thread."""
        profile = self.profile
        runtimes = set(self.measured["runtime"])
        return {(runtime, profile.dtype, profile.threads) for runtime in runtimes} == {USUAL}

    def is_of(self, models: Iterable[str]) -> bool:
        """Whether it measured nothing but some of these models."""
        return set(self.models) <= set(models)

    def table(self) -> pd.DataFrame:
        """Return `condsim.compare` of its cases, with the seconds of each effect."""
        kept = _kept() / f"{self._key()}.parquet"
        if kept.exists():
            return pd.read_parquet(kept)
        found = traces(self.folder)
        table = effects.with_effects(condsim.compare(found), found)
        kept.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(kept, index=False)
        return table

    def _key(self) -> str:
        """Return a digest of what the table depends on: the code, the run and the traces."""
        digest = hashlib.sha256(_source().encode())
        for file in ("profile.yaml", "measurements.parquet"):
            digest.update((self.folder / file).read_bytes())
        for model in self.models:
            header = place(model) / "trace.json"
            digest.update(header.read_bytes() if header.exists() else b"")
        return digest.hexdigest()[:32]


def _kept() -> Path:
    return Path(user_cache_dir("condsim")) / "judged"


@cache
def _source() -> str:
    """Return a digest of the code that predicts."""
    digest = hashlib.sha256()
    whole = Path(condsim.__file__).parent
    for file in sorted(whole.rglob("*.py")):
        if file.relative_to(whole).parts[0] not in UNUSED:
            digest.update(file.read_bytes())
    return digest.hexdigest()


# Which runs there are


def kept(folders: Sequence[Path], cases: Path = LIST) -> list[Run]:
    """Return the usual runs of a list that lie in some folders, in the order of their names."""
    models = {case.model for case in read(cases)}
    found = []
    for folder in folders:
        for file in sorted(folder.glob("*/measurements.parquet")):
            run = Run(file.parent)
            if (run.folder / "profile.yaml").exists() and run.is_usual and run.is_of(models):
                found.append(run)
    return found


def by_processor(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Group runs by processor: its name → its runs."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.processor, []).append(run)
    return found


# Tables


def judged(tables: dict[str, pd.DataFrame], factors: dict[str, float]) -> pd.DataFrame:
    """Return the errors of each processor, a row each.

    tables: processor → its cases. factors: processor → the factor that the others ask for.
    """
    rows = {}
    for name, table in tables.items():
        said = judge.verdicts(table)
        row = {"cases": f"{len(table)}", **_errors(table)}
        row["wrong verdicts"] = f"{said[judge.WRONG_IF_CLEAR]:.0f}"
        row["interval holds"] = f"{said[judge.INSIDE]:.0f} %"
        row["asks for"] = f"{judge.conformal_factor([table]):.2f}"
        if name in factors:
            inside = (judge.scores(table) <= factors[name]).mean()
            row["others ask for"] = f"{factors[name]:.2f}"
            row["holds with it"] = f"{100 * inside:.0f} %"
        rows[name] = row
    return pd.DataFrame(rows).T


def _errors(table: pd.DataFrame) -> dict[str, str]:
    """Return "median / 90th percentile" of |error|, over mechanisms and of mixtures alone."""
    statistics = judge.statistics(table, judge.LIMITS)
    found = {}
    for rows, label in (("mean over mechanisms", ""), ("moe", "moe ")):
        if rows not in statistics.index:
            continue
        row = statistics.loc[rows]
        for what in judge.LIMITS:
            median, p90 = row[f"{what} median"], row[f"{what} p90"]
            found[f"{label}{what}"] = f"{median:.1f} / {p90:.1f}"
    return found


def factors_of_others(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Return processor → the factor that intervals need on all others together (leave one out)."""
    found = {}
    for name in tables:
        others = [table for other, table in tables.items() if other != name]
        if others:
            found[name] = judge.conformal_factor(others)
    return found


def tables_of(runs: dict[str, list[Run]]) -> dict[str, pd.DataFrame]:
    """Return processor → the cases of all its runs."""
    found = {}
    for name, of_processor in runs.items():
        found[name] = pd.concat([run.table() for run in of_processor], ignore_index=True)
    return found


def worth(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return |error| by processor with everything, and without each effect in turn."""
    rows = {"everything": _errors_by(tables)}
    for effect in effects.EFFECTS:
        without = {name: effects.without(table, effect) for name, table in tables.items()}
        rows[f"without {effect}"] = _errors_by(without)
    return pd.DataFrame(rows).T


def _errors_by(tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    found = {}
    for name, table in tables.items():
        errors = _errors(table)
        for what in judge.LIMITS:
            found[f"{name}: {what}"] = errors[what]
    return found


def tell(folders: Sequence[Path]) -> None:
    """Print the tables of all kept runs."""
    runs = by_processor(kept(folders))
    tables = tables_of(runs)
    factors = factors_of_others(tables)
    show("by processor, all of its runs; |error| in percent, median / p90", judged(tables, factors))
    by_run = {}
    for of_processor in runs.values():
        for run in of_processor:
            by_run[run.folder.name] = run.table()
    show("by run", judged(by_run, {}))
    outside = by_processor(kept(folders, OUTSIDE))
    if outside:
        show("the second list, that nothing was tuned on", judged(tables_of(outside), factors))
    together = judge.conformal_factor(list(tables.values()))
    print(f"\nall processors together ask for a factor of {together:.2f}")
    show("|error| without each effect in turn, percent, median / p90", worth(tables))


def show(title: str, table: pd.DataFrame) -> None:
    """Print a whole table, in the form that the docs have."""
    header = ["", *table.columns]
    lines = [header, ["---"] * len(header)]
    for name, row in table.iterrows():
        lines.append([str(name), *map(str, row)])
    print(f"\n{title}\n")
    print("\n".join(f"| {' | '.join(line)} |" for line in lines), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="folders with more runs")
    options = parser.parse_args()
    tell([RUNS, *options.runs])


if __name__ == "__main__":
    main()
