"""Inputs are made and tried in processes whose memory and time are limited."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing as mp
import os
import resource
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

from fuzz import beside, calls, commands, judge, questions, recorded, whole
from fuzz.judge import Verdict
from fuzz.kinds import KINDS

MEMORY_BYTES = 1 << 30
"""That one input may take, over what the process has before."""
CPU_SECONDS = 10.0
"""Of the processor, so that a busy machine is no failure."""
WALL_SECONDS = 600.0
"""For what waits and computes nothing; the machine may stand still for a while."""
INPUTS_OF_A_PROCESS = 400
"""Then a fresh one begins, so that what is remembered does not grow."""
QUESTION = "question.json"

KIND_MODULES = (beside, calls, commands, recorded, whole)
"""They register kinds."""

Job = tuple[str, int]
"""A kind and the number of an input: they make the same input each time."""


@dataclass(frozen=True)
class Done:
    """An input that was tried. seconds: of the processor."""

    job: Job
    verdict: Verdict
    folder: Path
    seconds: float = 0.0


def try_input(job: Job, bases: Path, folder: Path) -> Verdict:
    """Make an input in an empty folder, and try it."""
    name, number = job
    question = KINDS[name](Random(f"{name} {number}"), bases, folder)
    (folder / QUESTION).write_text(
        json.dumps({"kind": name, "number": number, **question}, indent=1)
    )
    return replay(folder, bases)


def replay(folder: Path, bases: Path) -> Verdict:
    """Try an input that lies in a folder."""
    question = json.loads((folder / QUESTION).read_text())
    before = _reset_peak()
    try:
        with warnings.catch_warnings(action="ignore"):
            verdict = judge.of_answer(questions.put(question, folder, bases))
    except Exception as error:
        verdict = judge.of_error(error)
    used = _peak() - before
    if used > MEMORY_BYTES:
        return Verdict("memory", verdict.place, f"{used >> 20} MiB; {verdict.kind}: {verdict.said}")
    return verdict


def _status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    return 0


def _reset_peak() -> int:
    """Forget the largest memory so far; returns what is used now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def limit_memory() -> None:
    """Refuse more memory than an input may take; what the process has by now is not counted."""
    most = _status("VmData") + MEMORY_BYTES + (MEMORY_BYTES >> 1)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _work(connection: Connection, bases: Path, work: Path) -> None:
    """What a process does: try inputs until there are no more."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    questions.keep_still(work / "cache")
    limit_memory()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job = connection.recv()
            folder = _folder(work, job)
            folder.mkdir(parents=True)
            try:
                verdict = try_input(job, bases, folder)
            except Exception as error:  # the input could not be made
                verdict = dataclasses.replace(judge.of_error(error), kind="no input")
            connection.send(verdict)


def _folder(work: Path, job: Job) -> Path:
    return work / f"{job[0].replace(' ', '-')}-{job[1]}"


class _Process:
    """One process and what it is at."""

    def __init__(self, bases: Path, work: Path) -> None:
        self.work = work
        self.connection, other = mp.Pipe()
        context = mp.get_context("fork")
        self.process = context.Process(target=_work, args=(other, bases, work), daemon=True)
        self.process.start()
        other.close()
        self.job: Job | None = None
        self.tried = 0

    def give(self, job: Job) -> None:
        self.job, self.began, self.cpu = job, time.monotonic(), self._cpu_seconds()
        self.connection.send(job)
        self.tried += 1

    def _cpu_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def taken(self, verdict: Verdict, seconds: float = 0.0) -> Done:
        assert self.job is not None
        done = Done(self.job, verdict, _folder(self.work, self.job), seconds)
        self.job = None
        return done

    def result(self) -> Done:
        """What it says, or that it died."""
        used = self._cpu_seconds() - self.cpu
        try:
            verdict = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            self.tried = INPUTS_OF_A_PROCESS
            return self.taken(Verdict("died", f"exit code {self.process.exitcode}"))
        if used > CPU_SECONDS:
            verdict = Verdict(
                "slow", verdict.place, f"{used:.1f} s; {verdict.kind}: {verdict.said}"
            )
        return self.taken(verdict, used)

    def too_slow(self) -> bool:
        if self.job is None:
            return False
        wall = time.monotonic() - self.began
        return wall > WALL_SECONDS or self._cpu_seconds() - self.cpu > 2 * CPU_SECONDS

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def run(jobs: Iterable[Job], bases: Path, work: Path, processes: int) -> Iterator[Done]:
    """Try inputs in so many processes; the folder of each is removed when the next is asked for."""
    left = iter(jobs)
    pool = [_Process(bases, work) for _ in range(processes)]
    try:
        for process in pool:
            _give_next(process, left)
        while busy := [process for process in pool if process.job is not None]:
            for done in _finished(busy):
                yield done
                shutil.rmtree(done.folder, ignore_errors=True)
            for place, process in enumerate(pool):
                if process.job is None:
                    if process.tried >= INPUTS_OF_A_PROCESS:
                        process.end()
                        pool[place] = _Process(bases, work)
                    _give_next(pool[place], left)
    finally:
        for process in pool:
            process.end()


def _give_next(process: _Process, left: Iterator[Job]) -> None:
    for job in left:
        process.give(job)
        return


def _finished(busy: list[_Process]) -> Iterator[Done]:
    """Those that have answered, died, or taken too long."""
    ready: list[Any] = wait([process.connection for process in busy], timeout=0.5)
    for process in busy:
        if process.connection in ready:
            yield process.result()
        elif process.too_slow():
            process.process.kill()
            process.process.join()
            process.tried = INPUTS_OF_A_PROCESS
            yield process.taken(Verdict("slow", "was ended"))
