"""New memory: what a step writes that its process does not have yet, against the pages that
fault."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import numpy as np
import pytest

from condsim.cost.cpu.heap import MAPPED_BYTES
from condsim.cost.cpu.new_memory import new_bytes
from condsim.cost.cpu.step_memory import BlocksOfCall, StepBlocks, StepMemory

MB = 1_000_000

FAULTS = """
import ctypes, json, resource, sys

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
mapped_bytes, calls, sizes, rounds = json.loads(sys.argv[1])
library.free(library.malloc(mapped_bytes))  # as settle_allocator does
for number in range(rounds):
    live, faults = {}, []
    for new, freed in calls:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for tensor in new:
            live[tensor] = library.malloc(sizes[tensor])
            library.memset(live[tensor], 1, sizes[tensor])
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        for tensor in freed:
            library.free(live.pop(tensor))
    for block in live.values():
        library.free(block)
print(json.dumps([resource.getpagesize() * count for count in faults]))
"""
"""Runs a step a few times; prints the bytes of pages that faulted in each call of the last one."""


def step(sizes: list[float], calls: list[BlocksOfCall]) -> StepMemory:
    """A step whose tensors are all new. sizes: bytes of each."""
    call_of = np.zeros(len(sizes), int)
    temporary = np.zeros(len(sizes), bool)
    for call in calls:
        call_of[[*call.new, *call.temporary]] = call.call
        temporary[list(call.temporary)] = True
    nothing = np.zeros(len(calls))
    return StepMemory(
        blocks=StepBlocks(calls),
        sizes=np.array(sizes),
        call=call_of,
        read=np.zeros(len(sizes), bool),
        new=~temporary,
        temporary=temporary,
        weights=nothing,
        in_place=nothing,
        product=nothing > 0,
    )


def in_turn(sizes: list[float]) -> StepMemory:
    """A step in which each result dies when the next one is there."""
    calls = []
    for number in range(len(sizes)):
        freed = (number - 1,) if number else ()
        calls.append(BlocksOfCall(number, new=(number,), freed=freed))
    return step(sizes, calls)


def all_at_once(sizes: list[float]) -> StepMemory:
    """A step whose results all live until its end."""
    calls = [BlocksOfCall(number, new=(number,)) for number in range(len(sizes))]
    return step(sizes, calls)


SETTLES = [10 * MB, 20 * MB, 10 * MB, 20 * MB]
LARGE = [MB, 40 * MB, MB]
TRIMMED = [25 * MB, 25 * MB, 25 * MB]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (in_turn(SETTLES), [0, 0, 0, 0]),
        (in_turn(LARGE), [0, 0, 0]),
        (all_at_once(TRIMMED), [25 * MB, 25 * MB, 25 * MB]),
        (all_at_once(TRIMMED[:2]), [0, 0]),
        (in_turn([MAPPED_BYTES / 2 - 1]), [0]),
        (in_turn([10 * MB] * 9), [0] * 9),
    ],
)
def test_what_is_given_back_is_new_in_the_next_step(
    memory: StepMemory, expected: list[float]
) -> None:
    assert new_bytes(memory) == pytest.approx(expected, rel=0.02)


def test_what_is_alive_at_once_counts_copies_and_nothing_that_died() -> None:
    assert in_turn([10 * MB] * 9).most_alive == 20 * MB
    calls = [BlocksOfCall(0, new=(0,)), BlocksOfCall(1, new=(1,), temporary=(2,), freed=(0,))]
    assert step([5 * MB, 3 * MB, 4 * MB], calls).most_alive == 12 * MB


def test_copies_that_an_operator_makes_for_itself_make_the_heap_larger() -> None:
    bare = step([20 * MB, 20 * MB], [BlocksOfCall(0, new=(0,)), BlocksOfCall(1, new=(1,))])
    calls = [BlocksOfCall(0, new=(0,)), BlocksOfCall(1, new=(1,), temporary=(2, 3))]
    copying = step([20 * MB] * 4, calls)
    assert new_bytes(bare).sum() == 0
    assert new_bytes(copying).sum() == pytest.approx(80 * MB, rel=0.02)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator")
@pytest.mark.parametrize(
    "memory",
    [
        in_turn(SETTLES),
        all_at_once(TRIMMED),
        all_at_once([10 * MB] * 8),
    ],
    ids=["settles", "trimmed", "trimmed, eight"],
)
def test_the_pages_that_really_fault_are_those(memory: StepMemory) -> None:
    calls = [(call.new, call.freed) for call in memory.blocks.calls]
    asked = json.dumps((MAPPED_BYTES, calls, memory.sizes.astype(int).tolist(), 4))
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, asked], capture_output=True, text=True, check=True
    )
    faulted = json.loads(done.stdout.splitlines()[-1])
    assert new_bytes(memory) == pytest.approx(faulted, abs=0.5 * MB)
