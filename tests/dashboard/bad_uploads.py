"""Uploads that must be refused in one line: name → (bytes of a zip, what the line says)."""

from __future__ import annotations

import gzip
import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

Files = dict[str, bytes]


def files_of(folder: Path) -> Files:
    """Path in the folder → content."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def parquet(**columns: object) -> bytes:
    out = io.BytesIO()
    pd.DataFrame(columns).to_parquet(out)
    return out.getvalue()


def header(files: Files, change: Callable[[dict], None]) -> Files:
    data = json.loads(files["trace.json"])
    change(data)
    return {**files, "trace.json": json.dumps(data).encode()}


def link(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("trace.json")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/hostname")
    return out.getvalue()


def encrypted(files: Files) -> bytes:
    data = bytearray(packed({"trace.json": files["trace.json"]}))
    data[6] |= 1  # general purpose flag of the local header
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def bomb(files: Files) -> bytes:
    """A few hundred kB that unpack to many GB: one name, whose content repeats."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("trace.json", files["trace.json"])
        with archive.open("steps.parquet", "w", force_zip64=True) as part:
            for _ in range(24):
                part.write(bytes(1 << 20))
    return out.getvalue()


def gzip_bomb(files: Files) -> bytes:
    return packed({**files, "programs.json.gz": gzip.compress(bytes(24 << 20))})


def bad_uploads(good: Path) -> dict[str, tuple[bytes, str]]:
    """The set. good: folder of a trace that is in order. Bombs are of 24 MiB, many files are 51: tests lower the limits."""
    files = files_of(good)
    decisions = next(n for n in files if n.startswith("decisions/"))
    without = lambda name: {k: v for k, v in files.items() if k != name}  # noqa: E731
    whole = packed(files)

    def outside(data: dict) -> None:
        data["sites"][0]["stored"] = "../../secret"

    def newer(data: dict) -> None:
        data["schema_version"] = 999

    def no_branches(data: dict) -> None:
        data["sites"][0]["branches"] = 0

    return {
        "not a zip": (b"hello", "not a zip"),
        "empty": (b"", "not a zip"),
        "truncated": (whole[: len(whole) // 2], "not a zip"),
        "corrupt member": (whole[:200] + bytes(64) + whole[264:], "not a zip"),
        "no files": (packed({}), "no trace.json"),
        "no trace": (packed({"steps.parquet": files["steps.parquet"]}), "no trace.json"),
        "two traces": (
            packed({f"{f}/{n}": d for f in "ab" for n, d in files.items()}),
            "holds 2 traces",
        ),
        "leads out": (packed({**files, "../evil.json": b"{}"}), "'../evil.json' leads out"),
        "absolute": (packed({**files, "/tmp/evil.json": b"{}"}), "leads out"),
        "drive": (packed({**files, "C:evil.json": b"{}"}), "leads out"),
        "backslash": (packed({**files, "..\\evil.json": b"{}"}), "leads out"),
        "link": (link(files), "is a link"),
        "encrypted": (encrypted(files), "encrypted"),
        "program": (packed({**files, "run.py": b"print(1)"}), "'run.py' does not belong"),
        "many files": (packed({f"{i}.json": b"" for i in range(51)}), "more than 50 files"),
        "bomb": (bomb(files), "larger than"),
        "gzip bomb": (gzip_bomb(files), "programs.json.gz is larger"),
        "header is text": (packed({**files, "trace.json": b"hello"}), "trace.json is damaged"),
        "header is a list": (packed({**files, "trace.json": b"[]"}), "trace.json"),
        "header is empty": (packed({**files, "trace.json": b"{}"}), "trace.json"),
        "newer schema": (packed(header(files, newer)), "schema version 999"),
        "no branches": (packed(header(files, no_branches)), "branches"),
        "file outside": (packed(header(files, outside)), "stored"),
        "no programs": (packed(without("programs.json.gz")), "programs.json.gz"),
        "bad programs": (
            packed({**files, "programs.json.gz": gzip.compress(b'{"a": 1}')}),
            "programs.json.gz",
        ),
        "no steps": (packed(without("steps.parquet")), "steps.parquet"),
        "bad steps": (packed({**files, "steps.parquet": b"PAR1PAR1"}), "steps.parquet"),
        "wrong columns": (packed({**files, "steps.parquet": parquet(a=[1, 2])}), "steps.parquet"),
        "no units": (
            packed(
                {
                    **files,
                    "steps.parquet": parquet(phase=["prefill"], units=[None], seq=[1], past=[0]),
                }
            ),
            "cannot be read",
        ),
        "wrong decisions": (
            packed({**files, decisions: parquet(other=np.zeros(2048, np.int8))}),
            "damaged",
        ),
        "no decisions": (packed(without(decisions)), decisions),
        "few decisions": (
            packed({**files, decisions: parquet(id_0=np.zeros(3, np.int8))}),
            "3 rows",
        ),
        "bad profile": (packed({**files, "profile.yaml": b"name: [1"}), "profile.yaml"),
    }
