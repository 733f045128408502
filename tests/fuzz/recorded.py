"""Routing that others recorded: a file in each layout that is read, damaged or strange."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from importers.made import EXPERTS, LAYERS, TOP_K, base64_response, drawn, log_lines, selection

import condsim
from condsim.importers import IMPORTERS
from fuzz import damage
from fuzz.kinds import Question, kind, write_table

Arrays = dict[str, np.ndarray]
DTYPES = ("int8", "uint16", "int64", "float32", "float16", "bool", "complex64", "U3", "uint64")
SIZES = (1, TOP_K, LAYERS, EXPERTS, 0, -1, 10**9)


def of_numbers(random: Random, values: np.ndarray) -> np.ndarray:
    """An array with other numbers, type, rank or length."""
    if values.dtype.kind not in "iuf":
        return values[:-1]
    match random.randrange(8):
        case 0:
            return values.astype(random.choice(DTYPES))
        case 1:
            return values.transpose(random.sample(range(values.ndim), values.ndim))
        case 2:
            return values.reshape(-1) if random.random() < 0.5 else values[None]
        case 3:
            return values[: random.randrange(len(values) + 1)] if values.ndim else values
        case 4:
            return np.concatenate([values, values]) if values.ndim else values
        case 5:
            return np.zeros((*values.shape[:-1], random.choice([0, 1, 3])), values.dtype)
        case _:
            changed = values.astype(np.float64 if random.random() < 0.3 else np.int64)
            flat = changed.reshape(-1)
            number = random.choice([n for n in damage.NUMBERS if -(2**62) < n < 2**62])
            for _ in range(random.choice([1, 1, 5])):
                if flat.size:
                    flat[random.randrange(flat.size)] = number
            return changed


def npz(random: Random, arrays: Arrays) -> bytes:
    """Arrays of which one may be changed, renamed or left out."""
    arrays = dict(arrays)
    name = random.choice(list(arrays))
    match random.randrange(6):
        case 0:
            pass
        case 1:
            del arrays[name]
        case 2:
            arrays[random.choice(("x", "layer_99", "routed_experts", "a/b"))] = arrays.pop(name)
        case _:
            arrays[name] = of_numbers(random, arrays[name])
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(random: Random) -> tuple[str, bytes]:
    file = io.BytesIO()
    np.save(file, of_numbers(random, drawn(random.choice([1, 9, 40]))))
    return "a.npy", file.getvalue()


def arrays(random: Random) -> tuple[str, bytes]:
    return "a.npz", npz(random, {f"request_{n}": drawn(5 + n, n) for n in range(2)})


def passes(random: Random) -> tuple[str, bytes]:
    members = {f"topk_ids_of_layer_{n}": drawn(3, n).transpose(1, 0, 2) for n in range(3)}
    return "a.npz", npz(random, members | {"forward_mode": np.array([1, 2, 2])})


def counts(random: Random) -> tuple[str, bytes]:
    of_experts = np.arange(2 * LAYERS * EXPERTS).reshape(2, LAYERS, EXPERTS)
    return "a.npz", npz(random, {"logical_count": of_experts})


def by_layer(random: Random) -> tuple[str, bytes]:
    ids = drawn(6)
    return "a.npz", npz(random, {f"layer_{n}": ids[:, n] for n in range(LAYERS)})


def lines(random: Random, records: list[Any]) -> bytes:
    """JSON lines of which some are damaged."""
    change = random.choice([damage.restructured, damage.renumbered])
    changed = change(random, records)
    if not isinstance(changed, list):
        changed = [changed]
    return "".join(json.dumps(record) + "\n" for record in changed).encode()


def log(random: Random) -> tuple[str, bytes]:
    return "a.jsonl", lines(random, log_lines(drawn(4)))


def responses(random: Random) -> tuple[str, bytes]:
    answers: list[Any] = [base64_response(drawn(5), 3), base64_response(drawn(4))]
    answers.append({"routed_experts": drawn(3).tolist()})
    return "a.json", lines(random, random.sample(answers, random.choice([1, 2])))


def selected(random: Random) -> tuple[str, bytes]:
    change = random.choice([damage.restructured, damage.renumbered])
    return "0.json", json.dumps(change(random, selection(drawn(5), 3))).encode()


def rows() -> pd.DataFrame:
    """A row a token and layer."""
    records = [
        {"layer": layer, "token": token, "indices": chosen, "scores": [0.25] * len(chosen)}
        for token, of_token in enumerate(drawn(5).tolist())
        for layer, chosen in enumerate(of_token)
    ]
    return pd.DataFrame(records)


def parquet(random: Random) -> tuple[str, bytes]:
    file = io.BytesIO()
    write_table(damage.retabled(random, rows()), file)
    return "layer_0.parquet", file.getvalue()


def csv(random: Random) -> tuple[str, bytes]:
    table = rows()
    for name in ("indices", "scores"):
        table[name] = [" ".join(map(str, values)) for values in table[name]]
    text = damage.retabled(random, table).to_csv(index=False)
    return "a.csv", text.encode(errors="backslashreplace")


def count_table(random: Random) -> tuple[str, bytes]:
    counted = {"layer_id": [0, 0, 1, 1], "expert_id": [0, 1, 0, 3], "count": [4, 4, 2, 6]}
    text = damage.retabled(random, pd.DataFrame(counted)).to_csv(index=False)
    return "a.csv", text.encode(errors="backslashreplace")


def many_layers(random: Random) -> tuple[str, bytes]:
    """A row in each of many layers, or with numbers that no layer has."""
    layers = [random.choice([number, number * 1000, 2**31 - 1]) for number in range(600)]
    table = pd.DataFrame({"layer": layers, "indices": ["0 1 2 3"] * len(layers)})
    return "a.csv", table.to_csv(index=False).encode()


def claimed(random: Random) -> tuple[str, bytes]:
    """An array whose header claims more than there is."""
    file = io.BytesIO()
    np.save(file, drawn(4))
    shape = random.choice(["(4000000000, 3, 4)", "(4, 3, 4000000000)", "(4, -3, 4)", "(4,)"])
    header = file.getvalue()[:128].replace(b"(4, 3, 4)", shape.encode())
    return "a.npy", header[:127].ljust(127) + b"\n" + file.getvalue()[128:]


LAYOUTS: dict[str, tuple[Callable[[Random], tuple[str, bytes]], ...]] = {
    "arrays": (npy, arrays, claimed),
    "sglang-recorder": (passes,),
    "counts": (counts, count_table),
    "layer-arrays": (by_layer,),
    "route-log": (log,),
    "responses": (responses,),
    "expert-selection": (selected,),
    "table": (parquet, csv, many_layers),
    "condsim": (),
}
"""Importer → what writes files for it; those of condsim are exported."""


@kind("recorded routing")
def _(random: Random, bases: Path, folder: Path) -> Question:
    layout = random.choice(list(LAYOUTS))
    if not LAYOUTS[layout]:
        name = "routing.npz"
        condsim.load(bases / "moe-bytes").export_routing(folder / "whole.npz")
        with np.load(folder / "whole.npz") as whole:
            data = npz(random, dict(whole))
    else:
        name, data = random.choice(LAYOUTS[layout])(random)
    if random.random() < 0.2:
        data = damage.damaged(random, data)
    (folder / name).write_bytes(data)
    shape = [random.choice([right, right, None]) for right in (LAYERS, EXPERTS, TOP_K)]
    if random.random() < 0.2:
        shape[random.randrange(3)] = random.choice(SIZES)
    format = random.choice([*IMPORTERS, *[None] * 8 * len(IMPORTERS)])
    phase = random.choice([None, None, "prefill", "decode"])
    return {"ask": "recorded", "file": name, "shape": shape, "format": format, "phase": phase}
