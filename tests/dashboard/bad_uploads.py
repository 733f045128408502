"""Uploads that must be refused in one line.

Bombs are of 24 MiB, and too many files are 51: tests lower the limits.
"""

from __future__ import annotations

import gzip
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Files = dict[str, bytes]
"""Path in the folder → content."""
BOMB_MIB = 24
PROGRAMS = "programs.json.gz"
STEPS = "steps.parquet"
HEADER = "trace.json"


def files_of(folder: Path) -> Files:
    """The files of a folder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def parquet(**columns: object) -> bytes:
    """A Parquet file of these columns."""
    out = io.BytesIO()
    pd.DataFrame(columns).to_parquet(out)
    return out.getvalue()


def with_header(files: Files, **changed: Any) -> Files:
    """The files, some fields of the trace's header changed."""
    header = json.loads(files[HEADER]) | changed
    return files | {HEADER: json.dumps(header).encode()}


def with_site(files: Files, **changed: Any) -> Files:
    """The files, some fields of the first site changed."""
    sites = json.loads(files[HEADER])["sites"]
    sites[0] |= changed
    return with_header(files, sites=sites)


def link() -> bytes:
    """A zip whose only member is a symbolic link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(HEADER)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/hostname")
    return out.getvalue()


def encrypted(files: Files) -> bytes:
    """A zip that says that its member is encrypted."""
    data = bytearray(packed({HEADER: files[HEADER]}))
    central_directory = data.index(b"PK\x01\x02")
    data[6] |= 1  # general purpose flags of the local header
    data[central_directory + 8] |= 1
    return bytes(data)


def zip_bomb(files: Files) -> bytes:
    """A zip of a few kB that unpacks to many MB: one name, whose content repeats."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(HEADER, files[HEADER])
        with archive.open(STEPS, "w", force_zip64=True) as part:
            for _ in range(BOMB_MIB):
                part.write(bytes(1 << 20))
    return out.getvalue()


def packed_as(files: Files, compression: int) -> bytes:
    """A zip whose members are packed in another way than zip's own."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def with_separators(files: Files, separator: str) -> bytes:
    """A zip of a folder, its paths as Windows PowerShell writes them where separator is "\\"."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("any")
            info.filename = separator.join(("folder", *name.split("/")))  # past its own correction
            archive.writestr(info, data)
    return out.getvalue()


def two_traces(files: Files) -> Files:
    """The same trace in two folders."""
    twice = {f"a/{name}": data for name, data in files.items()}
    return twice | {f"b/{name}": data for name, data in files.items()}


def bad_zips(files: Files) -> dict[str, tuple[bytes, str]]:
    """What is wrong with a zip itself. files: of a trace that is in order."""
    whole = packed(files)
    corrupt = whole[:200] + bytes(64) + whole[264:]
    return {
        "not a zip": (b"hello", "not a zip"),
        "empty": (b"", "not a zip"),
        "truncated": (whole[: len(whole) // 2], "not a zip"),
        "corrupt member": (corrupt, "not a zip"),
        "link": (link(), "is a link"),
        "encrypted": (encrypted(files), "encrypted"),
        "bomb": (zip_bomb(files), "larger than"),
        "end of a zip": (whole[-500:], "not a zip"),
        "lzma": (packed_as(files, zipfile.ZIP_LZMA), "pack it with deflate"),
        "bzip2": (packed_as(files, zipfile.ZIP_BZIP2), "pack it with deflate"),
    }


def bad_names(files: Files) -> dict[str, tuple[Files, str]]:
    """What is wrong with names: too many, foreign ones, and paths that lead elsewhere."""
    return {
        "no files": ({}, "no trace.json"),
        "no trace": ({STEPS: files[STEPS]}, "no trace.json"),
        "two traces": (two_traces(files), "holds 2 traces"),
        "leads out": (files | {"../evil.json": b"{}"}, "'../evil.json' leads out"),
        "absolute": (files | {"/tmp/evil.json": b"{}"}, "leads out"),
        "drive": (files | {"C:evil.json": b"{}"}, "leads out"),
        "backslash": (files | {"..\\evil.json": b"{}"}, "leads out"),
        "program": (files | {"run.py": b"print(1)"}, "'run.py' does not belong"),
        "long name": (files | {"a" * 300 + ".json": b""}, "is too long"),
        "deep": (files | {"a/" * 2000 + "b.json": b""}, "is too long"),
        "file and folder": ({"a.json": b"", "a.json/b.json": b""}, "is a file and a folder"),
        "folder and file": ({"a.json/b.json": b"", "a.json": b""}, "is in it twice"),
        "many files": ({f"{i}.json": b"" for i in range(201)}, "more than 200 files"),
    }


def bad_headers(files: Files) -> dict[str, tuple[Files, str]]:
    """What is wrong with the header."""
    return {
        "header is text": (files | {HEADER: b"hello"}, "trace.json is damaged"),
        "header is a list": (files | {HEADER: b"[]"}, "trace.json"),
        "header is empty": (files | {HEADER: b"{}"}, "trace.json"),
        "newer schema": (with_header(files, schema_version=999), "schema version 999"),
        "no branches": (with_site(files, branches=0), "branches"),
        "file outside": (with_site(files, stored="../../secret"), "stored"),
    }


def bad_tables(files: Files) -> dict[str, tuple[Files, str]]:
    """What is wrong with programs, steps, decisions and the profile."""
    decisions = next(name for name in files if name.startswith("decisions/"))
    without_programs, without_steps, without_decisions = (
        {name: data for name, data in files.items() if name != missing}
        for missing in (PROGRAMS, STEPS, decisions)
    )
    bomb = gzip.compress(bytes(BOMB_MIB << 20))
    no_units = parquet(phase=["prefill"], units=[None], seq=[1], past=[0])
    other_column = parquet(other=np.zeros(2048, np.int8))
    three_rows = parquet(depth=np.zeros(3, np.int8))
    return {
        "gzip bomb": (files | {PROGRAMS: bomb}, "programs.json.gz unpacks to more than"),
        "gzip bomb of two members": (
            files | {PROGRAMS: files[PROGRAMS] + bomb},
            "programs.json.gz unpacks to more than",
        ),
        "no programs": (without_programs, PROGRAMS),
        "bad programs": (files | {PROGRAMS: gzip.compress(b'{"a": 1}')}, PROGRAMS),
        "no steps": (without_steps, STEPS),
        "bad steps": (files | {STEPS: b"PAR1PAR1"}, STEPS),
        "wrong columns": (files | {STEPS: parquet(a=[1, 2])}, STEPS),
        "no units": (files | {STEPS: no_units}, "column units"),
        "wrong decisions": (files | {decisions: other_column}, "damaged"),
        "no decisions": (without_decisions, decisions),
        "few decisions": (files | {decisions: three_rows}, "3 rows"),
        "bad profile": (files | {"profile.yaml": b"name: [1"}, "profile.yaml"),
    }


def bad_uploads(good: Path) -> dict[str, tuple[bytes, str]]:
    """Name → (bytes of a zip, what the line says). good: folder of a trace that is in order."""
    files = files_of(good)
    uploads = bad_zips(files)
    for group in (bad_names(files), bad_headers(files), bad_tables(files)):
        for name, (changed, said) in group.items():
            uploads[name] = (packed(changed), said)
    return uploads
