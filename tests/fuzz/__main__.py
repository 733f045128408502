"""`python -m fuzz`: try many damaged inputs, or one that failed before once more.

python -m fuzz --count 20000                 a table by kind; failing inputs are kept
python -m fuzz --kind steps --count 500      one kind
python -m fuzz --replay fuzz-found/FOLDER    one input that failed, with its traceback
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from condsim.dashboard.parts import upload  # imported once, before processes begin
from fuzz import bases, pool, questions
from fuzz.kinds import KINDS
from fuzz.pool import Done, Job

WRONG = ("traceback", "bad number", "memory", "slow", "message", "exit code", "died", "no input")
KEPT_OF_A_PLACE = 2
"""Inputs that fail in one place are alike: so many are kept."""
PROGRESS_EVERY_S = 10.0
assert upload


class Found:
    """What was found so far, by kind and by place."""

    def __init__(self, keep: Path) -> None:
        self.keep = keep
        self.by_kind: dict[str, Counter[str]] = {}
        self.seconds: dict[str, float] = {}
        self.places: Counter[tuple[str, str]] = Counter()
        self.kept: dict[tuple[str, str], str] = {}

    def add(self, done: Done) -> None:
        self.by_kind.setdefault(done.job[0], Counter())[done.verdict.kind] += 1
        self.seconds[done.job[0]] = self.seconds.get(done.job[0], 0.0) + done.seconds
        if done.verdict.right:
            return
        where = (done.verdict.kind, done.verdict.place)
        self.places[where] += 1
        if self.places[where] <= KEPT_OF_A_PLACE and done.folder.exists():
            target = self.keep / done.folder.name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(done.folder, target, symlinks=True)
            for made in ("saved", "again", "into"):
                shutil.rmtree(target / made, ignore_errors=True)
            (target / "said.txt").write_text(done.verdict.said, errors="backslashreplace")
            self.kept.setdefault(where, str(target))

    @property
    def failed(self) -> int:
        return sum(self.places.values())

    def table(self) -> Iterator[str]:
        """A line a kind, and a line a place."""
        yield f"{'kind':26}{'tried':>7}{'answered':>10}{'refused':>9}{'CPU s':>8}" + "".join(
            f"{name:>12}" for name in WRONG
        )
        total: Counter[str] = Counter()
        for name, counts in self.by_kind.items():
            total.update(counts)
            yield _line(name, counts, self.seconds[name])
        yield _line("all", total, sum(self.seconds.values()))
        for (kind, place), count in self.places.most_common():
            yield f"{count:6} {kind}: {place}   {self.kept.get((kind, place), '')}"


def _line(name: str, counts: Counter[str], seconds: float) -> str:
    numbers = f"{counts.total():7}{counts['answered']:10}{counts['refused']:9}{seconds:8.0f}"
    return f"{name:26}{numbers}" + "".join(f"{counts[kind] or '':>12}" for kind in WRONG)


def jobs(kinds: list[str], count: int, first: int) -> Iterator[Job]:
    """So many inputs, the kinds in turn."""
    numbered = ((kind, number) for number in itertools.count(first) for kind in kinds)
    return itertools.islice(numbered, count)


def search(options: argparse.Namespace) -> int:
    """Try inputs, and show what was found. Exit code 1 if anything is wrong."""
    kinds = [name for name in KINDS if not options.kind or name in options.kind]
    found = Found(Path(options.keep))
    began = last = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        whole = Path(work) / "bases"
        bases.write_bases(whole)
        todo = jobs(kinds, options.count, options.first)
        try:
            for number, done in enumerate(pool.run(todo, whole, Path(work), options.processes), 1):
                found.add(done)
                if time.monotonic() - last > PROGRESS_EVERY_S:
                    last = time.monotonic()
                    said = f"{number} of {options.count}, {found.failed} wrong"
                    print(f"{said}, {last - began:.0f} s", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("stopped; so far:", file=sys.stderr)
    print("\n".join(found.table()))
    return 1 if found.failed else 0


def again(folder: Path) -> int:
    """Try one input that was kept, without limits but that of memory."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        whole = Path(work) / "bases"
        bases.write_bases(whole)
        copied = Path(work) / "input"
        shutil.copytree(folder, copied, symlinks=True)
        questions.keep_still(Path(work) / "cache")
        pool.limit_memory()
        verdict = pool.replay(copied, whole)
    print(f"{verdict.kind}: {verdict.place}\n{verdict.said}")
    return 0 if verdict.right else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", default="fuzz-found", help="folder for the inputs that failed")
    parser.add_argument("--replay", type=Path, help="folder of one input that failed")
    options = parser.parse_args()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # what was found is shown, also in the background
        signal.signal(number, signal.default_int_handler)
    return again(options.replay) if options.replay else search(options)


if __name__ == "__main__":
    sys.exit(main())
