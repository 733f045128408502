"""How fast condsim is, beside an earlier condsim where one is given.

    python -m benchmarks.speed [--json] [--before FOLDER] [--repeats N] [--parts PART...] [--long]

FOLDER holds the earlier one; `git worktree add ../before d92c267` makes such a folder.

Every part is measured in a process of its own, on one thread, as often as N says; the earlier
condsim and this one take turns. The table shows medians, and from the least to the most. Shipped
traces are simulated on the machine that they carry; large ones, and those that carry none, on the
machine that `moe-bytes` carries. Large traces are built once and kept in the temporary folder.
`--long` adds those of four million tokens, and of one and four million rows that are a step each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEASURE = ROOT / "benchmarks" / "speeds" / "parts.py"
REPEATS = 3
TOKENS = 1_000_000
LONG = 4 * TOKENS
SHIPPED = sorted(file.parent.name for file in (ROOT / "traces").glob("*/trace.json"))
"""The traces that come with condsim."""
OBSERVED = ("branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes")
"""Models of the zoo that are observed while they run."""

Values = dict[str, list[float]]
"""Name of a figure → what it was, once a repeat."""


@dataclass(frozen=True)
class Figure:
    """One number that a part gives.

    key: its name in what the part prints.
    bar: what it should not be over, or not under where more is better; None: it is only shown.
    """

    key: str
    label: str
    unit: str
    bar: float | None = None
    more_is_better: bool = False

    def met(self, value: float) -> bool | None:
        """Say whether a value meets the bar; None where there is none."""
        if self.bar is None:
            return None
        if self.more_is_better:
            return value >= self.bar
        return value <= self.bar


@dataclass(frozen=True)
class Part:
    """What one process measures.

    command: the part of `benchmarks/speeds/parts.py`, and its arguments.
    build: the part that builds the large trace that it needs; None for none.
    needs: a folder that a condsim must have for it, below its own; an earlier one may lack a trace.
    """

    command: tuple[str, ...]
    figures: tuple[Figure, ...]
    build: tuple[str, ...] | None = None
    needs: str = "."


@dataclass(frozen=True)
class Row:
    """A figure with its values of the earlier condsim (empty where none was given) and this one."""

    figure: Figure
    before: list[float]
    after: list[float]


# What is measured


def parts(long: bool) -> list[Part]:
    """Return all parts. long: also those of the longer trace."""
    found = [one(name) for name in SHIPPED]
    found += [many(), replay(TOKENS, "grouped", 3), replay(TOKENS, "looped", 15)]
    if long:
        found += [replay(LONG, "grouped", None), replay(LONG, "looped", None)]
        found += [replay_rows(TOKENS), replay_rows(LONG)]
    found += [count("count-memory", "memory", 200), count("count-files", "files", 100), starting()]
    found += [observing(name) for name in OBSERVED]
    return found


def one(name: str) -> Part:
    """Return the part that asks a shipped trace for single configurations."""
    figure = Figure("ms", f"one configuration of {name}", "ms", 10)
    return Part(("one", name), (figure,), needs=f"traces/{name}")


def many() -> Part:
    """Return the part that asks for many configurations in one call."""
    label = "many configurations in one call"
    return Part(("many",), (Figure("a_second", label, "/s", 300, more_is_better=True),))


def replay(tokens: int, strategy: str, bar: float | None) -> Part:
    """Return the part that simulates a large trace. bar: of its seconds."""
    what = f"{tokens // 1_000_000} M tokens, {strategy}"
    seconds = Figure("s", what, "s", bar)
    memory = Figure("gib", f"{what}: peak memory", "GiB")
    build = ("build", str(tokens))
    return Part(("replay", str(tokens), strategy), (seconds, memory), build)


def replay_rows(rows: int) -> Part:
    """Return the part that simulates a trace of many rows, a row a step."""
    what = f"{rows // 1_000_000} M rows, one a step"
    seconds = Figure("s", what, "s")
    memory = Figure("gib", f"{what}: peak memory", "GiB")
    build = ("build-rows", str(rows))
    return Part(("replay-rows", str(rows)), (seconds, memory), build)


def count(command: str, source: str, bar: float) -> Part:
    """Return the part that counts decisions. bar: millions a second."""
    figure = Figure("millions_a_second", f"decisions from {source}", "M/s", bar, True)
    return Part((command, str(TOKENS)), (figure,), ("build", str(TOKENS)))


def starting() -> Part:
    """Return the part that starts the command and imports the library."""
    show_help = Figure("help_ms", "condsim --help", "ms", 300)
    import_library = Figure("import_s", "import condsim", "s", 1)
    return Part(("starting",), (show_help, import_library))


def observing(name: str) -> Part:
    """Return the part that observes a model while it runs."""
    forward = Figure("forward_ms", f"forward pass of {name}", "ms")
    overhead = Figure("overhead_percent", f"observing {name} adds", "%", 10)
    return Part(("observing", name), (forward, overhead))


# How it is measured


def measured(part: Part, trees: Mapping[str, Path], repeats: int) -> list[Row]:
    """Measure a part in all trees, which take turns. trees: "before" (if any) and "after"."""
    trees = {when: tree for when, tree in trees.items() if (tree / part.needs).is_dir()}
    if part.build is not None:
        for tree in trees.values():
            in_process(tree, part.build)
    values: dict[str, Values] = {"before": {}, "after": {}}
    for _ in range(repeats):
        for when, tree in trees.items():
            for key, value in in_process(tree, part.command).items():
                values[when].setdefault(key, []).append(value)
    rows = []
    for figure in part.figures:
        before = values["before"].get(figure.key, [])
        rows.append(Row(figure, before, values["after"][figure.key]))
    return rows


def in_process(tree: Path, command: tuple[str, ...]) -> dict[str, float]:
    """Run a part in a process that has the condsim of a tree; returns its figures.

    This process stays small: the memory of its processes is counted from its own.
    """
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, str(MEASURE), *command],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(process.stdout)
    return figures


LENGTHENED = {"tokens, grouped": 1.2, "tokens, looped": 1.2, "rows, one a step": None}
"""What was measured of a shorter and a longer trace → how much more memory the longer one should
take at most."""


def growth(rows: Iterable[Row]) -> list[Row]:
    """Return how much more memory the longer traces take, of those that were measured."""
    by_label = {row.figure.label: row for row in rows}
    found = []
    for what, bar in LENGTHENED.items():
        short = by_label.get(f"{TOKENS // 1_000_000} M {what}: peak memory")
        long = by_label.get(f"{LONG // 1_000_000} M {what}: peak memory")
        if short is not None and long is not None:
            figure = Figure("", f"{what}: memory, 4 times as long", "times", bar)
            before = ratios(long.before, short.before)
            found.append(Row(figure, before, ratios(long.after, short.after)))
    return found


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Return one ratio a repeat."""
    return [a / b for a, b in zip(above, below, strict=True)]


# What is shown


def heading() -> str:
    """Return the first line of the table."""
    return line("figure", "bar", "before", "after", "met")


def as_line(row: Row) -> str:
    """Return a figure's line of the table."""
    figure = row.figure
    before = shown(row.before, figure.unit)
    after = shown(row.after, figure.unit)
    return line(figure.label, shown_bar(figure), before, after, shown_met(row))


def line(label: str, bar: str, before: str, after: str, met: str) -> str:
    """Return a line of the table."""
    return f"{label:42} {bar:>10}  {before:>27}  {after:>27}  {met}".rstrip()


def shown_bar(figure: Figure) -> str:
    """Return a bar as it is read."""
    if figure.bar is None:
        return ""
    sign = "≥" if figure.more_is_better else "≤"
    return f"{sign} {figure.bar:g} {figure.unit}"


def shown(values: list[float], unit: str) -> str:
    """Return the median, and from the least to the most where there are several."""
    if not values:
        return ""
    median = f"{statistics.median(values):.3g} {unit}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):.3g} to {max(values):.3g})"


def shown_met(row: Row) -> str:
    """Return whether the median meets the bar."""
    met = row.figure.met(statistics.median(row.after))
    if met is None:
        return ""
    return "yes" if met else "no"


def as_json(rows: Iterable[Row]) -> str:
    """Return all values."""
    found: list[dict[str, Any]] = []
    for row in rows:
        figure = row.figure
        found.append(
            {
                "figure": figure.label,
                "unit": figure.unit,
                "bar": figure.bar,
                "met": figure.met(statistics.median(row.after)),
                "before": row.before,
                "after": row.after,
            }
        )
    return json.dumps(found)


# The command


def arguments(given: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed")
    known = sorted({part.command[0] for part in parts(long=True)})
    parser.add_argument("--json", action="store_true", help="print all values as JSON")
    parser.add_argument("--before", type=Path, help="the folder of an earlier condsim")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each part")
    parser.add_argument("--parts", nargs="+", choices=known, default=known, help="only these")
    parser.add_argument(
        "--long", action="store_true", help="also traces of four million tokens and rows"
    )
    chosen = parser.parse_args(given)
    if chosen.repeats < 1:
        parser.error("--repeats must be at least 1")
    if chosen.before and not (chosen.before / "condsim" / "__init__.py").is_file():
        parser.error(f"--before: {chosen.before} holds no condsim")
    return chosen


def all_rows(chosen: argparse.Namespace, trees: Mapping[str, Path]) -> Iterator[Row]:
    """Measure the chosen parts; yields each row as soon as it is there."""
    found: list[Row] = []
    for part in parts(chosen.long):
        if part.command[0] in chosen.parts:
            print("measuring", *part.command, file=sys.stderr)
            rows = measured(part, trees, chosen.repeats)
            found += rows
            yield from rows
    yield from growth(found)


def main(given: list[str] | None = None) -> None:
    """Measure, and print the table or JSON."""
    chosen = arguments(given)
    trees = {"after": ROOT}
    if chosen.before:
        trees = {"before": chosen.before.resolve(), "after": ROOT}
    if chosen.json:
        print(as_json(list(all_rows(chosen, trees))))
        return
    print(heading(), flush=True)
    for row in all_rows(chosen, trees):
        print(as_line(row), flush=True)


if __name__ == "__main__":
    main()
