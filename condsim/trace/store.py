"""Load and save traces: a folder of Parquet and JSON, columnar, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.lib as pa
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException
from pydantic import ValidationError

from condsim.errors import CondsimError
from condsim.hardware import load_profile
from condsim.program import from_json, to_json
from condsim.trace import MEASUREMENTS, SCHEMA_VERSION, SEGMENTS, Decisions, Header, Site, Trace

ROW_GROUP = 65536
STEPS = ("phase", "units", "seq", "past")
CASE = ("strategy", "baseline", "phase", "batch", "conditional_s", "baseline_s", "fingerprint")


def save(trace: Trace, folder: Path) -> Path:
    """Write `trace` to `folder`; an older trace there is replaced in one step.

    Raises CondsimError where the folder exists and is not a trace.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "trace.json").exists():
        raise CondsimError(
            f"{folder} exists and is not a trace; choose another folder, nothing was overwritten"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(trace, work)
        work.chmod(0o755)
        old = None
        if folder.exists():
            old = folder.with_name(f".{folder.name}-old")
            folder.rename(old)
        work.rename(folder)
        if old is not None:
            shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return folder


def _write(trace: Trace, folder: Path) -> None:
    (folder / "trace.json").write_text(trace.header.model_dump_json(indent=1) + "\n")
    with gzip.GzipFile(folder / "programs.json.gz", "wb", mtime=0) as f:
        f.write(json.dumps(to_json(trace.programs), separators=(",", ":")).encode())
    trace.steps.to_parquet(folder / "steps.parquet", index=False)
    if not trace.quality.empty:
        trace.quality.to_parquet(folder / "quality.parquet", index=False)
    if not trace.measurements.empty:
        trace.measurements.to_parquet(folder / "measurements.parquet", index=False)
    if not trace.segments.empty:
        trace.segments.to_parquet(folder / "segments.parquet", index=False)
    if trace.profile is not None:
        trace.profile.save(folder / "profile.yaml")
    (folder / "decisions").mkdir()
    for file in dict.fromkeys(s.stored for s in trace.sites):
        sites = [s for s in trace.sites if s.stored == file]
        _write_decisions(trace, sites, folder / "decisions" / f"{file}.parquet")


def _write_decisions(trace: Trace, sites: list[Site], path: Path) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for blocks in zip(*(trace.reader(s.name) for s in sites), strict=True):
            table = pa.Table.from_pydict(_columns(sites, blocks))
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=ROW_GROUP)
    finally:
        if writer is not None:
            writer.close()


def _columns(sites: list[Site], blocks: tuple[Decisions, ...]) -> dict[str, np.ndarray]:
    site, block = sites[0], blocks[0]
    columns: dict[str, np.ndarray] = {}
    if site.encoding == "depth":
        columns["depth"] = np.sum([b.ids == 1 for b in blocks], axis=0).astype(np.int8)
        for s, b in zip(sites, blocks, strict=True):
            if b.scores is not None:
                columns[f"score_{s.level}"] = b.scores.astype(np.float32)
        return columns
    if site.encoding == "bits":
        packed = np.packbits(block.ids, axis=1)
        return {f"bits_{i}": packed[:, i] for i in range(packed.shape[1])}
    ids = block.ids.reshape(len(block.ids), -1)
    small = np.int8 if site.branches <= 127 else np.int16
    columns |= {f"id_{j}": ids[:, j].astype(small) for j in range(ids.shape[1])}
    if block.weights is not None:
        columns |= {f"weight_{j}": block.weights[:, j] for j in range(block.weights.shape[1])}
    if block.scores is not None:
        columns["score"] = block.scores
    return columns


def load(folder: str | Path) -> Trace:
    """Open a trace; decisions are read when they are asked for.

    Raises CondsimError for a missing, truncated or newer trace, naming the file.
    """
    folder = Path(folder)
    if not (folder / "trace.json").is_file():
        raise CondsimError(
            f"{folder} is not a trace: it has no trace.json (condsim capture SPEC -o FOLDER makes one)"
        )
    header = _header(folder / "trace.json")
    programs_file = folder / "programs.json.gz"
    try:
        programs = from_json(json.loads(gzip.decompress(programs_file.read_bytes())))
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as e:
        raise CondsimError(
            f"{programs_file} is damaged or truncated ({type(e).__name__}); capture the trace again"
        ) from e
    steps = _with_columns(folder / "steps.parquet", STEPS)
    profile_file = folder / "profile.yaml"
    trace = Trace(
        header,
        steps,
        programs,
        _reader(folder, header),
        _table(folder / "quality.parquet")
        if (folder / "quality.parquet").exists()
        else pd.DataFrame(),
        _measurements(folder / "measurements.parquet"),
        (
            _with_columns(path, SEGMENTS)
            if (path := folder / "segments.parquet").exists()
            else pd.DataFrame(columns=list(SEGMENTS))
        ),
        load_profile(profile_file) if profile_file.exists() else None,
    )
    for site in header.sites:
        path = folder / "decisions" / f"{site.stored}.parquet"
        expected = int(trace.rows_per_unit(site).sum())
        found = _metadata(path).num_rows
        if found != expected:
            raise CondsimError(
                f"{path} has {found} rows where the steps need {expected}; the trace is damaged, capture it again"
            )
    return trace


def _header(path: Path) -> Header:
    try:
        data = json.loads(path.read_text())
    except ValueError as e:
        raise CondsimError(f"{path} is damaged or truncated ({e}); capture the trace again") from e
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CondsimError(
            f"{path}: schema version {version} is newer than this condsim reads ({SCHEMA_VERSION}); upgrade condsim"
        )
    try:
        return Header.model_validate(data)
    except ValidationError as e:
        first = e.errors()[0]
        raise CondsimError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']} (got {first['input']!r:.60})"
        ) from e


def _metadata(path: Path) -> Any:
    try:
        return pq.read_metadata(path)
    except FileNotFoundError:
        raise CondsimError(
            f"{path} is missing; the trace is incomplete, capture it again"
        ) from None
    except (ArrowException, OSError) as e:
        raise CondsimError(
            f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
        ) from e


def _measurements(path: Path) -> pd.DataFrame:
    """All columns, those that an older version did not write empty."""
    return (_with_columns(path, CASE) if path.exists() else pd.DataFrame()).reindex(
        columns=list(MEASUREMENTS)
    )


def _table(path: Path) -> pd.DataFrame:
    _metadata(path)
    try:
        return pd.read_parquet(path)
    except (ArrowException, OSError) as e:
        raise CondsimError(
            f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
        ) from e


def _with_columns(path: Path, names: Iterable[str]) -> pd.DataFrame:
    table = _table(path)
    missing = [n for n in names if n not in table]
    if missing:
        raise CondsimError(
            f"{path} has no column {', '.join(missing)}; the trace is damaged, capture it again"
        )
    return table


def _reader(folder: Path, header: Header) -> Any:
    def read(name: str) -> Iterator[Decisions]:
        site = next(s for s in header.sites if s.name == name)
        path = folder / "decisions" / f"{site.stored}.parquet"
        try:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                yield _decode(site, {c: table[c].to_numpy() for c in table.column_names})
        except (ArrowException, OSError, KeyError, ValueError) as e:
            raise CondsimError(
                f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
            ) from e

    return read


def _decode(site: Site, columns: dict[str, np.ndarray]) -> Decisions:
    if site.encoding == "depth":
        depth = columns["depth"]
        ids = np.where(depth < site.level, -1, depth > site.level).astype(np.int8)
        return Decisions(ids, scores=columns.get(f"score_{site.level}"))
    if site.encoding == "bits":
        packed = np.stack([columns[f"bits_{i}"] for i in range(len(columns))], axis=1)
        return Decisions(np.unpackbits(packed, axis=1, count=site.branches).astype(bool))
    k = sum(c.startswith("id_") for c in columns)
    ids = np.stack([columns[f"id_{j}"] for j in range(k)], axis=1)
    weights = (
        np.stack([columns[f"weight_{j}"] for j in range(k)], axis=1)
        if "weight_0" in columns
        else None
    )
    return Decisions(ids if site.top_k is not None else ids[:, 0], weights, columns.get("score"))


def in_memory(decisions: dict[str, Decisions]) -> Any:
    """A reader over arrays, in blocks of the size that files have."""

    def read(name: str) -> Iterator[Decisions]:
        d = decisions[name]
        for at in range(0, max(len(d.ids), 1), ROW_GROUP):
            part = slice(at, at + ROW_GROUP)
            yield Decisions(
                d.ids[part],
                None if d.weights is None else d.weights[part],
                None if d.scores is None else d.scores[part],
            )

    return read


def file_name(site: str) -> str:
    """A site's name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", site)
