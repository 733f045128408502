"""Command lines: every command and option that the command line has, with values good and bad.

Both are asked of the command line itself, so that a new one is tried as well.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from typing import Any, get_args

from condsim.cli import COMMANDS, app
from fuzz import damage
from fuzz.bases import DEVICES, NAMES
from fuzz.kinds import ARGUMENTS, Question, base_word, kind

USUAL: dict[str, tuple[Any, ...]] = {
    **ARGUMENTS,
    "weights": ("fp8", "int4", "x"),
    "caches": ("fp8", "x"),
    "context": (1, 4096, 0, 10**12),
    "parallel": (
        *("expert=2", "expert=8,placement=eplb,slots=24", "expert=0", "expert=4,nodes=3"),
        *("expert=4,slots=999999999999", "expert=2,groups=0", "expert=2,fabric=nvlink-4", "=,"),
        *("expert=2,overlap=shared-experts", "expert=4096", "expert=2,placement=nowhere.json"),
    ),
    "poisson": ("100/s", "5/min", "0/s", "1e9/s", "x"),
    "bursts": ("4/1s", "0/1s", "3/0"),
    "count": (1, 50, 0, -1),
    "prompt_tokens": ("5", "2-9", "9-2", "x"),
    "output_tokens": ("5", "2-9", "0"),
    "scheduler": ("dynamic", "static", "chunked", "continuous"),
    "max_batch": (1, 4, 0),
    "max_wait": (0.0, 0.1, -1),
    "token_budget": (64, 1),
    "kv_tokens": (64, 1),
    "kv_block": (16, 1, 0, 10**9),
    "exits": ("leave", "wait", "regroup"),
    "overhead": (0.0, 1e-3, -1.0, 1e12),
    "cache": ("lru", "belady", "pinned"),
    "dispatch": ("shared", "least-loaded", "round-robin"),
    "replicas": (1, 3, 0),
    "limit_latency": (0.1, 0.0),
    "limit_ttft": (0.1, -1.0),
    "limit_tpot": (0.1, 1e30),
    "seed": (0, 7, -1),
    "scenario": ("edge", "server", "batch", "nowhere.yaml", "x"),
    "pays_from": (1.0, 1.3, 0.0, -1.0, 1e300),
    "require": ("speedup=1.2", "speedup=0", "speedup=nan", "x=1", "speedup="),
    "of": tuple(map(base_word, NAMES)),
    "again": tuple(map(base_word, NAMES)),
    "test_set": ("branches", "sets", "transitions", "paths", "cost", "x"),
    "level": (0.05, 0.0, 1.0, -1.0, 2.0, 1e-300),
    "false_alarm_every": (10, 1, 0, 10**9),
    "window": (1, 8, 0, 10**9),
    "tolerance": (0.005, 0.0, 2.0, -1.0),
    "target": (1.3, 0.0, 1e300),
    "settings": ("threshold=0.5", "x"),
    "inputs": ("gaussian=1", "x"),
    "batches": (1, 0),
    "grid": (
        *("batch=1,2", "batch=1:8:log2", "strategy=all", "skew=0,1", "share=0.5", "threshold=0.5"),
        *("memory.dram.bandwidth=0.5,2", "batch=", "x=1", "batch=1:1e9", "batch=nan", "skew=1e300"),
        *("device=raspberry-pi-5,google-tpu-v4", "baseline=all", "protocol=loop,x", "batch=1:9:0"),
        *("parallel=expert=2", "capacity_factor=1,1e9", "host.dispatch=0,1e300", "batch=9:1:1"),
    ),
    "workers": (1, 1, 1, 0, -1),
    "dask": ("nowhere",),
}
"""Option → values that it may be given, some of them impossible."""
WORDS = (
    *(damage.TEXTS, NAMES, DEVICES),
    ("1", "2", "8", "0", "-1", "1e18", "inf", "1.5", "99999999999999999999", "0x10", "1_0"),
    ("a.svg", "a.png", "a.json", "a.csv", "a.html", "nowhere/a.svg", "folder", ".", "/dev/null"),
    ("segment", "operator", "fp32", "bf16", "eager", "compiled", "same-flops", "--", "--help"),
    ("this-machine", "bash", "tests/cli/tiny.py:nothing", "--json=1", "--no-measure", "-x", "-h"),
)
LIMITS = (
    *("nan", "inf", "-inf", "-1", "-0.0", "0", "0.5", "1", "1e-300", "5e-324", "1e308", "1e309"),
    *("", " ", "1 ", "\u0661", "\u00bd", "\uff11", "1_0", "0x1p3", "1e18", str(2**63)),
    *("9" * 400, "1,5", "True"),
)
"""Words for an option that is a number."""
NEEDS_MODELS = ("capture", "measure", "calibrate", "app", "demo")
"""Commands that would run models or a server: they only get what is refused."""
RUN_MODELS = ("--capture", "--measure")
"""Flags of others that would."""
ALWAYS = {
    "sweep": ["--workers", "1"],
    "serve": ["--count", "50"],
    "frontier": ["--device", "raspberry-pi-5"],
}
"""What keeps a command small, unless another value is tried."""


@cache
def options_of(command: str) -> dict[str, bool]:
    """Options of a command → whether they are flags."""
    options = {}
    for argument in app[command].assemble_argument_collection():
        if argument.name.startswith("--") and argument.name not in RUN_MODELS:
            options[argument.name] = argument.hint is bool
    return options


@cache
def numeric(command: str) -> frozenset[str]:
    """Options of a command that are numbers."""
    found = set()
    for argument in app[command].assemble_argument_collection():
        hints = {argument.hint, *get_args(argument.hint)}
        if hints & {int, float}:
            found.add(argument.name)
    return frozenset(found)


@cache
def positional(command: str) -> int:
    """How many words a command takes that are no options."""
    arguments = app[command].assemble_argument_collection()
    return sum(argument.name[0] not in "-*" for argument in arguments)


@kind("command lines")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    (folder / "folder").mkdir()
    command = random.choice(list(COMMANDS))
    words: list[str] = [command]
    if command in NEEDS_MODELS:
        words.append(random.choice(["nowhere", "--x", "-1", "a.py:f", "[/x]", "\x1b[2J"]))
    elif random.random() < 0.9:
        words += [_subject(random) for _ in range(positional(command))]
    if command == "report":
        words += ["-o", random.choice(["a.html", "a.txt", "folder", "nowhere/a.html"])]
    more: list[str] = []
    for _ in range(random.choice([0, 1, 1, 2, 3])):
        more += _option(random, command)
    usual = ALWAYS.get(command, [])
    return {"ask": "command", "words": [*words, *more, *([] if set(usual) & set(more) else usual)]}


def _subject(random: Random) -> str:
    """What a command is about: a base, sometimes a trace that comes with condsim."""
    name = random.choice(NAMES)
    return name if random.random() < 0.1 else base_word(name)


def _option(random: Random, command: str) -> list[str]:
    """An option with a value of its own, or any."""
    known = options_of(command)
    if not known or random.random() < 0.1:
        return [_word(random)]
    option = random.choice(list(known))
    if known[option]:
        return [option]
    if option in numeric(command) and option != "--workers" and random.random() < 0.5:
        return [option, random.choice(LIMITS)]
    usual = [str(v) for v in USUAL.get(option[2:].replace("-", "_"), ()) if v is not None]
    named = bool(usual) and random.random() < 0.85
    risky = option in ("--workers", "--dask")  # others would begin processes, or wait
    return [option, random.choice(usual) if named or risky else _word(random)]


def _word(random: Random) -> str:
    return random.choice(random.choice(WORDS))
