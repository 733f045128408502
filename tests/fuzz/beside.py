"""Files that lie beside a trace: tables of sweeps, scenarios, placements, fabrics, other
settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow.lib as pa
import pyarrow.parquet as pq
import yaml

from condsim.decide.sweep.table import FORMAT, MARK
from condsim.resources import resource
from fuzz import damage
from fuzz.bases import BESIDE, DEVICES, NAMES, TABLES, WITH_OTHERS
from fuzz.kinds import YAML, Question, base_word, kind, rewrite_json, rewrite_table
from fuzz.whole import scaled

DEVICE = ["--device", "raspberry-pi-5"]
EXPERTS = 8
"""Of a layer of moe-bytes."""


@kind("tables of sweeps")
def _(random: Random, bases: Path, folder: Path) -> Question:
    """Bytes, or columns and values under the mark of a sweep."""
    file = random.choice(list(TABLES))
    content = (bases / file).read_bytes()
    if random.random() < 0.4:
        (folder / file).write_bytes(damage.damaged(random, content))
    else:
        shutil.copy(bases / file, folder / file)
        _retabled(random, folder / file)
    return {"ask": "sweep", "file": file, "details": TABLES[file]}


def _retabled(random: Random, path: Path) -> None:
    """Damage a table whose types and mark stay where they can."""
    before = pq.read_table(path)
    frame = before.to_pandas(ignore_metadata=True)
    if random.random() < 0.3:
        frame = frame.sample(frac=random.random(), random_state=random.randrange(1000))
    else:
        frame = damage.retabled(random, frame)
    known = {field.name: field.type for field in before.schema}
    arrays = [_array(frame.iloc[:, place], known.get(name)) for place, name in enumerate(frame)]
    names = [str(name) for name in frame]
    metadata = {MARK: random.choice([FORMAT, FORMAT, FORMAT, FORMAT, b"2"])}
    table = pa.Table.from_arrays(arrays, names=names).replace_schema_metadata(metadata)
    pq.write_table(table, path)


def _array(column: pd.Series, kind: Any) -> Any:
    """A column in its type, in the type of its values, or as text."""
    for attempt in (kind, None):
        try:
            return pa.array(column.tolist(), attempt)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            continue
    return pa.array([ascii(value) for value in column])


SCENARIO: dict[str, Any] = {
    "name": "night", "about": "at night", "batch": 8, "most": 16, "phase": "prefill",
    "context": 128, "threshold": 1.1, "prefers": "latency",
}  # fmt: skip


def yaml_of(random: Random, fields: Any) -> bytes:
    """Fields as YAML with other values, other numbers, odd lines, or damaged bytes."""
    ways: list[Callable[[Random, Any], Any]] = [damage.restructured, damage.renumbered, scaled]
    value = random.choice(ways)(random, fields)
    try:
        text = yaml.dump(value, Dumper=yaml.SafeDumper)
    except RecursionError:  # JSON is YAML, too
        text = json.dumps(value)
    content = text.encode(errors="backslashreplace")
    if random.random() < 0.15:
        content += b"\n" + random.choice(YAML).encode()
    return damage.damaged(random, content) if random.random() < 0.15 else content


@kind("scenario files")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    known = random.sample(sorted(SCENARIO), random.choice([1, 3, len(SCENARIO)]))
    (folder / "mine.yaml").write_bytes(yaml_of(random, {name: SCENARIO[name] for name in known}))
    about = base_word(random.choice(NAMES))
    words = ["advise", about, *DEVICE, "--scenario", "mine.yaml", "--json"]
    return {"ask": "command", "words": words}


@kind("placements")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    slots = list(range(EXPERTS)) + random.sample(range(EXPERTS), random.choice([0, 4, 8]))
    if random.random() < 0.4:
        file = "mine.csv"
        table = pd.DataFrame({"expert": slots, "slot": range(len(slots))})
        changed = damage.retabled(random, table)
        content = changed.to_csv(index=False).encode(errors="backslashreplace")
    else:
        file = "mine.json"
        value = {f"layers.{n}.mlp.experts": slots for n in range(4)}
        ways: list[Callable[[Random, Any], Any]] = [damage.restructured, damage.renumbered]
        changed = random.choice(ways)(random, random.choice([value, slots]))
        content = json.dumps(changed).encode()
    if random.random() < 0.1:
        content = damage.damaged(random, content)
    (folder / file).write_bytes(content)
    spread = f"expert={random.choice([1, 2, 4, 8])},placement={file}"
    return _on_several(spread)


def _on_several(spread: str) -> Question:
    words = ["simulate", base_word("moe-bytes"), "--device", "nvidia-h100-sxm", "--json"]
    return {"ask": "command", "words": [*words, "--parallel", spread]}


@kind("fabrics")
def _(random: Random, _bases: Path, folder: Path) -> Question:
    """Nodes and their links."""
    file = random.choice(sorted((resource("hwprofiles") / "fabrics").glob("*.yaml")))
    (folder / "mine.yaml").write_bytes(yaml_of(random, yaml.safe_load(file.read_text())))
    ranks = random.choice([2, 4, 8])
    return _on_several(f"expert={ranks},fabric=mine.yaml")


@kind("other settings of a trace")
def _(random: Random, bases: Path, folder: Path) -> Question:
    """One of the traces that lie in the folder of another."""
    shutil.copytree(bases / WITH_OTHERS, folder / "trace")
    beside = random.choice(BESIDE)
    damaged = folder / "trace" / beside
    if random.random() < 0.2:
        damaged = folder / "trace"
    path = random.choice(sorted(path for path in damaged.iterdir() if path.is_file()))
    if path.suffix == ".parquet":
        rewrite_table(random, path)
    elif path.suffix in (".json", ".gz"):
        change = random.choice([damage.restructured, damage.renumbered])
        rewrite_json(path, lambda value: change(random, value))
    else:
        path.write_bytes(damage.damaged(random, path.read_bytes()))
    command = "noise" if beside.startswith("noise") else "frontier"
    return {"ask": "command", "words": [command, "trace", *DEVICE, "--json"]}


@kind("two traces")
def _(random: Random, bases: Path, folder: Path) -> Question:
    """A trace beside another of the same model, or of any: coverage and drift."""
    name = random.choice(NAMES)
    shutil.copytree(bases / random.choice([name, name, name, random.choice(NAMES)]), folder / "b")
    path = random.choice([*(folder / "b" / "decisions").iterdir(), folder / "b" / "steps.parquet"])
    rewrite_table(random, path)
    commands = [["coverage", base_word(name), "--of", "b"], ["drift", base_word(name), "b"]]
    words = [*random.choice(commands), "--device", random.choice(DEVICES), "--json"]
    if words[0] == "drift" and random.random() < 0.4:
        words += ["--false-alarm-every", "10", "--window", random.choice(["1", "2", "32"])]
    elif words[0] == "coverage" and random.random() < 0.4:
        words += ["--test-set", random.choice(["branches", "sets", "paths", "cost"])]
    return {"ask": "command", "words": words}
