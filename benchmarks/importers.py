"""Memory and time of importing recorded routing, by the length of the file.

    python -m benchmarks.importers [FORMAT ...] [--megabytes 64 256]

A file of each layout that is read in pieces is made at several sizes, and imported in a process of
its own. Bar: from the first size to any other the peak grows by no more than 24 bytes a token,
which the page on importing allows where rows are sorted, and 16 MiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy_format

LAYERS, TOP_K, EXPERTS = 16, 8, 64
MIB = 1 << 20
BLOCK = 4096
BYTES_A_TOKEN, ROOM = 24, 16 * MIB
CHILD = (
    "import json,resource,sys,condsim;"
    "t=condsim.import_routing(sys.argv[1],model=condsim.ModelShape(experts=64,top_k=8,layers=16));"
    "u=resource.getrusage(resource.RUSAGE_SELF);"
    "tokens=int(t.steps.eval('units*seq').sum());"
    "print(json.dumps([u.ru_maxrss*1024,u.ru_utime+u.ru_stime,tokens]))"
)


def drawn(tokens: int, rng: np.random.Generator) -> np.ndarray:
    """Ids of some tokens, int [tokens, layers, k], distinct in each row."""
    first = rng.integers(EXPERTS, size=(tokens, LAYERS, 1))
    ids: np.ndarray = (first + 3 * np.arange(TOP_K)) % EXPERTS
    return ids


def _npy(path: Path, tokens: int) -> None:
    rng = np.random.default_rng(0)
    about = {"descr": "<i4", "fortran_order": False, "shape": (tokens, LAYERS, TOP_K)}
    with path.open("wb") as file:
        npy_format.write_array_header_1_0(file, about)
        for start in range(0, tokens, BLOCK):
            file.write(drawn(min(BLOCK, tokens - start), rng).astype("<i4").tobytes())


def _csv(path: Path, tokens: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("token,layer,indices\n")
        for token in range(tokens):
            for layer, ids in enumerate(drawn(1, rng)[0].tolist()):
                file.write(f"{token},{layer},{' '.join(map(str, ids))}\n")


def _log(path: Path, tokens: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for token in range(tokens):
            for layer, ids in enumerate(drawn(1, rng)[0].tolist()):
                line = {"req_id": token // 512, "token_idx": token % 512, "layer": layer}
                file.write(json.dumps({**line, "topk_ids": ids}) + "\n")


def _responses(path: Path, tokens: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for start in range(0, tokens, 512):
            ids = drawn(min(512, tokens - start), rng).tolist()
            usage = {"prompt_tokens": len(ids) // 2 or 1, "completion_tokens": len(ids) // 2}
            file.write(json.dumps({"routed_experts": ids, "usage": usage}) + "\n")


def _parquet(path: Path, tokens: int) -> None:
    rng = np.random.default_rng(0)
    writer: pq.ParquetWriter | None = None
    for start in range(0, tokens, BLOCK):
        count = min(BLOCK, tokens - start)
        ids = drawn(count, rng).reshape(-1, TOP_K)
        columns = {
            "token": np.repeat(np.arange(start, start + count), LAYERS),
            "layer": np.tile(np.arange(LAYERS), count),
            "indices": pa.FixedSizeListArray.from_arrays(pa.array(ids.ravel()), TOP_K),
        }
        batch = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="NONE")
        writer.write_table(batch)
    assert writer is not None
    writer.close()


Write = Callable[[Path, int], None]
LAYOUTS: dict[str, tuple[str, int, Write]] = {
    "arrays": (".npy", 4 * LAYERS * TOP_K, _npy),
    "table-csv": (".csv", 28 * LAYERS, _csv),
    "table-parquet": (".parquet", 80 * LAYERS, _parquet),
    "route-log": (".jsonl", 84 * LAYERS, _log),
    "responses": (".jsonl", 33 * LAYERS, _responses),
}
"""Layout → (ending, about so many bytes a token, what writes a file of some tokens)."""


def imported(write: Write, path: Path, tokens: int) -> tuple[int, int, float, int]:
    """(bytes of the file, peak bytes, CPU seconds, tokens) of one import."""
    write(path, tokens)
    size = path.stat().st_size
    command = [sys.executable, "-c", CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path.unlink()
    if done.returncode:
        raise SystemExit(done.stderr.strip().splitlines()[-1])
    peak, seconds, read = json.loads(done.stdout.strip().splitlines()[-1])
    return size, peak, seconds, read


def main(arguments: list[str]) -> int:
    """Print a line a layout and size. Returns 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=list(LAYOUTS))
    parser.add_argument("--megabytes", type=int, nargs="+", default=[64, 256])
    asked = parser.parse_args(arguments)
    missed = 0
    print(
        f"{'layout':14} {'file, MB':>9} {'tokens':>10} "
        f"{'peak, MB':>9} {'grown, MB':>9} {'CPU, s':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.formats:
            ending, a_token, write = LAYOUTS[name]
            path = Path(folder) / f"routing{ending}"
            first: tuple[int, int] | None = None
            for megabytes in asked.megabytes:
                tokens = megabytes * 1_000_000 // a_token
                size, peak, seconds, read = imported(write, path, tokens)
                first = first or (peak, read)
                grown, more = peak - first[0], read - first[1]
                over = grown > BYTES_A_TOKEN * more + ROOM
                missed += over
                shown = (size / 1e6, read, peak / 1e6, grown / 1e6, seconds)
                line = "{:14} {:9.0f} {:10,} {:9.0f} {:9.0f} {:7.1f}".format(name, *shown)
                print(line, "MISSED" if over else "", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
