"""The kinds of inputs: each is a function that writes one input into a folder.

It gets a random generator, the folder of the bases and an empty folder, and returns the question
(`fuzz.questions`): JSON, so that an input can be kept and put again.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from condsim.resources import resource
from fuzz import damage
from fuzz.bases import DEVICES, NAMES
from fuzz.questions import BASES, MORE

Question = dict[str, Any]
Kind = Callable[[Random, Path, Path], Question]
KINDS: dict[str, Kind] = {}


def kind(name: str) -> Callable[[Kind], Kind]:
    """Register a kind of inputs."""

    def register(make: Kind) -> Kind:
        KINDS[name] = make
        return make

    return register


def base_word(name: str) -> str:
    """The word of a command line that stands for a base."""
    return f"{BASES}/{name}"


def one_trace(random: Random, bases: Path, folder: Path, having: str = "*") -> Path:
    """A copy of a base. having: pattern of a file that it has."""
    names = [name for name in NAMES if any((bases / name).glob(having))]
    target = folder / "trace"
    shutil.copytree(bases / random.choice(names), target)
    return target


def use(random: Random) -> Question:
    """What is done with a damaged trace."""
    return {"ask": "trace", "device": random.choice(DEVICES), "more": random.choice(list(MORE))}


def rewrite_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Change the JSON in a file, which may be packed."""
    packed = path.suffix == ".gz"
    data = path.read_bytes()
    value = change(json.loads(gzip.decompress(data) if packed else data))
    text = json.dumps(value).encode()
    path.write_bytes(gzip.compress(text, 1) if packed else text)


def rewrite_table(random: Random, path: Path) -> None:
    """Damage a table."""
    write_table(damage.retabled(random, pd.read_parquet(path)), path)


def write_table(table: pd.DataFrame, to: Path | io.BytesIO) -> None:
    """Write a table; one that Parquet cannot hold gets columns of text."""
    try:
        table.to_parquet(to, index=False)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        texts = {name: [ascii(v) for v in table.iloc[:, i]] for i, name in enumerate(table.columns)}
        pd.DataFrame(texts).to_parquet(to, index=False)


@kind("bytes of a trace")
def _(random: Random, bases: Path, folder: Path) -> Question:
    trace = one_trace(random, bases, folder)
    path = random.choice(sorted(path for path in trace.rglob("*") if path.is_file()))
    path.write_bytes(damage.damaged(random, path.read_bytes()))
    return use(random)


@kind("files of a trace")
def _(random: Random, bases: Path, folder: Path) -> Question:
    trace = one_trace(random, bases, folder)
    path, other = random.sample(sorted(path for path in trace.rglob("*") if path.is_file()), 2)
    match random.randrange(5):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            path.write_bytes(other.read_bytes())
        case 3:
            path.unlink()
            path.symlink_to(random.choice([path.name, "nowhere", other.name]))
        case _:
            path.rename(other)
    return use(random)


@kind("trace.json")
def _(random: Random, bases: Path, folder: Path) -> Question:
    trace = one_trace(random, bases, folder)
    rewrite_json(trace / "trace.json", lambda value: damage.restructured(random, value))
    return use(random)


@kind("numbers of trace.json")
def _(random: Random, bases: Path, folder: Path) -> Question:
    trace = one_trace(random, bases, folder)
    rewrite_json(trace / "trace.json", lambda value: damage.renumbered(random, value))
    return use(random)


@kind("programs")
def _(random: Random, bases: Path, folder: Path) -> Question:
    trace = one_trace(random, bases, folder)
    rewrite_json(trace / "programs.json.gz", lambda value: damage.restructured(random, value))
    return use(random)


@kind("numbers of programs")
def _(random: Random, bases: Path, folder: Path) -> Question:
    trace = one_trace(random, bases, folder)
    rewrite_json(trace / "programs.json.gz", lambda value: damage.renumbered(random, value))
    return use(random)


def _table_kind(name: str, pattern: str, more: str | None = None) -> None:
    @kind(name)
    def make(random: Random, bases: Path, folder: Path) -> Question:
        trace = one_trace(random, bases, folder, pattern)
        rewrite_table(random, random.choice(sorted(trace.glob(pattern))))
        question = use(random)
        return question if more is None else question | {"more": more}


_table_kind("steps", "steps.parquet")
_table_kind("decisions", "decisions/*.parquet")
_table_kind("measurements", "measurements.parquet", more="cases")
_table_kind("segments", "segments.parquet", more="segments")
_table_kind("quality", "quality.parquet", more="save")


def shipped_profile(random: Random) -> Any:
    """The fields of a profile; calibrated ones are large, so they are rare."""
    files = sorted(resource("hwprofiles").glob("*.yaml"))
    small = [file for file in files if file.stat().st_size < 20_000]
    chosen = random.choice(small if random.random() < 0.9 else files)
    return yaml.load(chosen.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def with_profile(random: Random, folder: Path, fields: Any) -> Question:
    try:
        text = yaml.dump(fields, Dumper=yaml.SafeDumper)
    except RecursionError:  # JSON is YAML, too
        text = json.dumps(fields)
    (folder / "profile.yaml").write_text(text, errors="backslashreplace")
    return {"ask": "profile", "base": random.choice(NAMES)}


@kind("profiles")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    return with_profile(random, folder, damage.restructured(random, shipped_profile(random)))


@kind("numbers of profiles")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    return with_profile(random, folder, damage.renumbered(random, shipped_profile(random)))


YAML = (
    *("name: 2001-99-99", "x: !!int abc", "x: !!float abc", "x: !!bool maybe", "x: !!binary %"),
    *("x: !!timestamp abc", "x: " + "9" * 5000, "? [a]\n: b", "&a [*a]", "- " * 3000, "{" * 3000),
    *("!!python/object/apply:os.system ['true']", "x: &a {b: *a}", "a: 1\na: 2", "\t", "---\n---"),
)


@kind("text of profiles")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    text = yaml.safe_dump(shipped_profile(random)).encode()
    if random.random() < 0.4:
        line = random.choice(YAML).encode()
        text = random.choice([line, text + b"\n" + line, line + b"\n" + text])
    else:
        text = damage.damaged(random, text)
    (folder / "profile.yaml").write_bytes(text)
    return {"ask": "profile", "base": random.choice(NAMES)}


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "device": (*DEVICES, "nvidia-v100-sxm2", "google-edge-tpu", None, "nowhere", "a.yaml"),
    "strategy": (None, "looped", "grouped", "compacted", "masked", "padded", "offloaded", "skip",
                 "two_four", "predicated", "bucketed", "all", "moe=looped", "moe=looped,", "=", ",",
                 {"moe": "looped"}, {"moe": None}, {"x": "looped"}, {}),
    "batch": (None, 1, 2, 3, 8, 32, 64, 10**6),
    "baseline": ("same-params", "same-flops", None, "x"),
    "dtype": (None, "fp32", "bf16", "fp16", "int8", "x"),
    "runtime": (None, "eager", "compiled", "cuda_graphs", "static", "x"),
    "threshold": (None, 0.0, 0.5, 0.99, 1.0, -1.0, 2.0, 1e30),
    "phase": (None, "prefill", "decode", "x"),
    "protocol": ("stream", "repeat", "loop", "x"),
    "steps": (None, [0], [0, 1], [3], [-1], [10**9], [], [0, 0], list(range(100))),
    "engine": ("closed", "events", "x"),
    "capacity_factor": (1.0, 1.25, 0.1, 8.0, 1e6, 0.0, -1.0),
    "expert_cache": (None, 0.0, 0.5, 1.0, 1.5),
}  # fmt: skip
"""Arguments of `condsim.simulate` with values of the right types, some of them impossible."""


@kind("arguments")
def _(random: Random, _bases: Path, _folder: Path) -> Question:
    names = random.sample(sorted(ARGUMENTS), random.choice([1, 2, 2, 3, 4]))
    chosen = {name: random.choice(ARGUMENTS[name]) for name in names}
    return {"ask": "arguments", "base": random.choice(NAMES), "arguments": chosen}


@kind("arguments of any type")
def _(random: Random, _bases: Path, _folder: Path) -> Question:
    names = random.sample(sorted(ARGUMENTS), random.choice([1, 1, 2]))
    chosen = {name: damage.junk(random) for name in names}
    return {"ask": "arguments", "base": random.choice(NAMES), "arguments": chosen}


@kind("requests")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    count = random.choice([1, 5, 40])
    columns = {
        "arrival_s": [number / 10 for number in range(count)],
        "prompt_tokens": [1 + number % 7 for number in range(count)],
        "output_tokens": [1 + number % 3 for number in range(count)],
    }
    path = folder / random.choice(["requests.csv", "requests.parquet"])
    table = pd.DataFrame(columns)
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    if random.random() < 0.5:
        path.write_bytes(damage.damaged(random, path.read_bytes()))
    elif path.suffix == ".csv":
        damage.retabled(random, table).to_csv(path, index=False, errors="surrogatepass")
    else:
        rewrite_table(random, path)
    asked = ["--device", random.choice(DEVICES), "--requests", path.name, "--json"]
    return {"ask": "command", "words": ["serve", base_word(random.choice(NAMES)), *asked]}


@kind("uploads")
def _(random: Random, bases: Path, folder: Path) -> Question:
    source = bases / random.choice(NAMES)
    paths = [path for path in sorted(source.rglob("*")) if path.is_file()]
    files = {f"t/{path.relative_to(source)}": path.read_bytes() for path in paths}
    for _ in range(random.choice([0, 1, 1, 2])):
        _change_members(random, files)
    if random.random() < 0.3:
        names = [[name, f"file-{number}"] for number, name in enumerate(files)]
        for number, data in enumerate(files.values()):
            (folder / f"file-{number}").write_bytes(data)
        return {"ask": "upload", "files": names}
    packing = random.choice([0, 8, 8, 8, 12, 14])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, data in files.items():
            if name:  # zipfile writes no member without a name
                archive.writestr(name, data)
    data = out.getvalue()
    (folder / "a.zip").write_bytes(damage.damaged(random, data) if random.random() < 0.6 else data)
    return {"ask": "upload", "zip": "a.zip"}


NAMES_OF_FILES = (
    *("../x.json", "/x.json", "t\\x.json", "C:/x.json", "t/x\0.json"),
    *("n" * 300 + ".json", "t/" * 200 + "x.json"),
    *("t", "t/trace.json/x.json", "t/x.txt", "other/trace.json", "t/x\n.json", "__MACOSX/x.json"),
    *("", "."),
)


def _change_members(random: Random, files: dict[str, bytes]) -> None:
    """Change the name or the content of a file that is uploaded."""
    name = random.choice(list(files))
    match random.randrange(4):
        case 0:
            files[random.choice(NAMES_OF_FILES)] = files.pop(name)
        case 1:
            files[random.choice(NAMES_OF_FILES)] = b"x"
        case 2:
            files[name] = damage.damaged(random, files[name])
        case _:
            try:
                header = json.loads(files["t/trace.json"])
            except (KeyError, ValueError):  # it was taken out, or damaged already
                header = {}
            files["t/trace.json"] = json.dumps(damage.restructured(random, header)).encode()
