"""Saving a trace: what it replaces, leaves and refuses, and what a kill leaves behind."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kills import kills
from made_traces import make_trace

import condsim
from condsim.cli import main
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.trace import Decisions, Trace, swap
from condsim.trace.columns import MEASURED, TIMED_PARTS, Column
from condsim.trace.encoding import in_memory
from condsim.trace.store import add_measured, check_target

SAMPLED = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
"""Kills at a sample of the file operations; `make fuzz` tries all of them."""
SPEC = """
import torch
import condsim

class Gated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.block = torch.nn.Linear(8, 1), torch.nn.Linear(8, 8)

    def forward(self, x):
        condsim.route("gate", "skip", lambda: (self.gate(x).squeeze(-1) > 0).long())
        with condsim.branch("gate", 1) as rows:
            if rows:
                x = rows.put(x, self.block(rows.take(x)).relu())
        return x

def made():
    torch.manual_seed(0)
    return Gated().eval(), [torch.randn(4, 8) for _ in range(2)]

def never():
    raise RuntimeError("the model was made")
"""


def named(name: str) -> Trace:
    """Traces that differ in every file: header, steps and decisions."""
    trace = make_trace(name)
    zeros = {s.name: trace.decisions(s.name) for s in trace.sites}
    return dataclasses.replace(trace, reader=in_memory(zeros))


HERE = {"fingerprint": '{"cpu": "here"}'}


def a_row(columns: Mapping[str, Column], **values: Any) -> dict[str, Any]:
    """A row of a table that may be saved. values: those that matter."""
    least = {"text": "", "flag": True, "whole": 1, "number": 1.0}
    row = {name: least[column.kind] for name, column in columns.items()}
    case = {"strategy": "looped", "baseline": "same-params", "phase": "prefill", "step": 0}
    return row | case | HERE | values


def pairs(*seconds: float, process: int = 0) -> pd.DataFrame:
    rows = []
    for s in seconds:
        times = {"conditional_s": s, "baseline_s": 2 * s}
        rows.append(a_row(MEASURED, batch=4, process=process, **times))
    return pd.DataFrame(rows)


def parts(batch: int, seconds: float = 1.0) -> pd.DataFrame:
    of_side = {"protocol": "repeat", "side": "conditional", "process": 0}
    return pd.DataFrame([a_row(TIMED_PARTS, batch=batch, seconds=seconds, **of_side)])


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


FOREIGN = {
    "notes.md": "mine",
    "src/model.py": "mine",
    "decisions/mine.txt": "mine",
    "decisions/mine.parquet": "mine",
    ".git/HEAD": "mine",
}


def add_foreign(folder: Path) -> None:
    for name, text in FOREIGN.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "to-elsewhere").symlink_to("/nowhere")


def assert_foreign(folder: Path) -> None:
    assert {name: (folder / name).read_text() for name in FOREIGN} == FOREIGN
    assert (folder / "to-elsewhere").is_symlink()


def same_trace(found: Trace, wanted: Trace) -> bool:
    """Whether every file of a trace is that of another."""
    assert found.name == wanted.name
    assert len(found.quality) == len(wanted.quality)
    assert len(found.measurements) == len(wanted.measurements)
    for site in wanted.sites:
        np.testing.assert_array_equal(
            found.decisions(site.name).ids, wanted.decisions(site.name).ids
        )
    return True


# ---------------------------------------------------------------- what is kept and what is refused


def test_other_files_are_kept_where_they_are(tmp_path: Path) -> None:
    folder = named("old").save(tmp_path / "t")
    add_foreign(folder)
    inode = folder.stat().st_ino, (folder / "notes.md").stat().st_ino
    new = named("new")
    new.save(folder)
    assert_foreign(folder)
    assert same_trace(condsim.load(folder), new)
    assert (folder.stat().st_ino, (folder / "notes.md").stat().st_ino) == inode


def test_files_of_the_older_trace_do_not_join_the_new_one(tmp_path: Path) -> None:
    old = named("old")
    sites = tuple(
        s.model_copy(update={"stored": "experts-before"}) if s.stored == "experts" else s
        for s in old.sites
    )
    old = dataclasses.replace(
        old,
        header=old.header.model_copy(update={"sites": sites}),
        profile=hardware("google-tpu-v4"),
    )
    old = (
        dataclasses.replace(old, quality=pd.DataFrame({"conditional": [1.0]}))
        .with_measurements(pairs(1.0))
        .with_segments(parts(4))
    )
    folder = old.save(tmp_path / "t")
    add_foreign(folder)
    new = named("new")
    new.save(folder, force=True)
    alone = set(content(new.save(tmp_path / "alone")))
    assert set(content(folder)) == alone | set(FOREIGN)
    assert_foreign(folder)


PERFETTO = json.dumps(
    {"traceEvents": [{"ph": "X", "name": "a", "ts": 0, "dur": 1}], "displayTimeUnit": "ms"}
)


def perfetto(folder: Path) -> None:
    (folder / "trace.json").write_text(PERFETTO)
    (folder / "thesis.tex").write_text("mine")


def of_a_newer_condsim(folder: Path) -> None:
    named("ours").save(folder)
    header = json.loads((folder / "trace.json").read_text())
    (folder / "trace.json").write_text(json.dumps({**header, "schema_version": 99}))


REFUSED: dict[str, Callable[[Path], object]] = {
    "notes only": lambda f: (f / "notes.md").write_text("mine"),
    "a hidden file": lambda f: (f / ".env").write_text("mine"),
    "an empty folder in it": lambda f: (f / "src").mkdir(),
    "a timeline": perfetto,
    "a list": lambda f: (f / "trace.json").write_text("[]"),
    "an empty file": lambda f: (f / "trace.json").write_text(""),
    "no text": lambda f: (f / "trace.json").write_bytes(b"\xff\xfe\x00"),
    "a folder called trace.json": lambda f: (f / "trace.json").mkdir(),
    "a link to nothing": lambda f: (f / "trace.json").symlink_to("nowhere"),
    "tables of someone": lambda f: (f / "steps.parquet").write_text("mine"),
    "a newer trace": of_a_newer_condsim,
    "a folder where a file goes": lambda f: (
        named("ours").save(f),
        (f / "quality.parquet").mkdir(),
    ),
    "a file where a folder goes": lambda f: (
        named("ours").save(f),
        shutil.rmtree(f / "decisions"),
        (f / "decisions").write_text("mine"),
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_trace_is_refused(tmp_path: Path, kind: str, force: bool) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    REFUSED[kind](folder)
    before = content(tmp_path)
    for tried in (lambda: named("new").save(folder, force), lambda: check_target(folder, force)):
        with pytest.raises(CondsimError) as error:
            tried()
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)
    assert content(tmp_path) == before


PLACES = {
    "a file": ("file", "is a file"),
    "below a file": ("file/below/it", "Not a directory"),
    "a long name": ("n" * 256, "File name too long"),
    "a long name in a new folder": ("new/" + "n" * 256, "File name too long"),
    "a long name above": ("n" * 256 + "/new", "File name too long"),
    "a link to a file": ("link", "is a file"),
    "a link around": ("loop", "symbolic links"),
    "a link to an impossible place": ("dangling", "Not a directory"),
    "no disk": ("/proc/new", "cannot be written"),
}


@pytest.mark.parametrize("kind", PLACES)
def test_an_impossible_place_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "file" / "below")
    before = sorted(os.listdir(tmp_path))
    place, words = PLACES[kind]
    for tried in (named("new").save, check_target):
        with pytest.raises(CondsimError, match=words):
            tried(tmp_path / place)
    assert sorted(os.listdir(tmp_path)) == before


def test_places_that_are_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    (tmp_path / "ahead").symlink_to("disk/new/deep")
    for place in ("empty", "n" * 255, "link", "link", "ahead", "ahead", "a/b/c"):
        assert named("new").save(tmp_path / place) == tmp_path / place
        assert condsim.load(tmp_path / place).name == "new"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "ahead").is_symlink()
    assert not list(tmp_path.rglob(".*"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for _ in range(2):
        named("here").save(".")
        assert condsim.load(".").name == "here"
    assert os.path.samefile(".", tmp_path / "here")


def test_a_full_disk_is_one_line_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = named("old").save(tmp_path / "t")
    before = content(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for owner, function in (
        (pd.DataFrame, "to_parquet"),
        (gzip.GzipFile, "write"),
        (swap, "like"),
        (Path, "write_text"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(owner, function, full)
            for target in (folder, tmp_path / "new"):
                if owner is swap and target != folder:
                    continue
                with pytest.raises(CondsimError, match="No space left on device") as error:
                    named("new").save(target)
                assert str(target) in str(error.value)
        assert content(tmp_path) == before
    assert sorted(os.listdir(tmp_path)) == ["t"]


# ---------------------------------------------------------------- measurements


def test_measurements_are_not_dropped(tmp_path: Path) -> None:
    plain = named("t")
    measured = plain.with_measurements(pairs(1.0, 2.0))
    for kept in (measured, plain.with_segments(parts(4)), measured.with_segments(parts(4))):
        folder = kept.save(tmp_path / "t", force=True)
        before = content(folder)
        with pytest.raises(CondsimError, match=r"rows of measurements that would be lost.*--force"):
            plain.save(folder)
        with pytest.raises(CondsimError, match=r"rows of measurements that would be lost.*--force"):
            check_target(folder)
        assert content(folder) == before
        check_target(folder, force=True)
    plain.save(folder, force=True)
    assert condsim.load(folder).measurements.empty
    check_target(folder)


def test_some_measurements_are_not_dropped_for_others(tmp_path: Path) -> None:
    plain = named("t")
    folder = plain.with_measurements(pairs(1.0, 2.0)).save(tmp_path / "t")
    with pytest.raises(CondsimError, match="holds 1 rows of measurements"):
        plain.with_measurements(pairs(2.0, 3.0)).save(folder)
    plain.with_measurements(pairs(1.0, 2.0, 3.0)).save(folder)
    again = condsim.load(folder)
    again.with_measurements(pairs(4.0)).save(folder)
    again.with_measurements(pairs(4.0, 5.0)).with_segments(parts(4)).save(folder)
    found = condsim.load(folder)
    assert sorted(found.measurements["conditional_s"]) == [1.0, 2.0, 3.0, 4.0, 5.0]
    # a case that is measured anew takes the place of the older one
    found.with_segments(parts(4, 2.0)).save(folder)
    assert list(condsim.load(folder).segments["seconds"]) == [2.0]


def test_measurements_that_cannot_be_read_are_not_dropped(tmp_path: Path) -> None:
    folder = named("t").with_measurements(pairs(1.0)).save(tmp_path / "t")
    (folder / "measurements.parquet").write_bytes(b"PAR1")
    with pytest.raises(CondsimError, match="cannot be read"):
        named("t").save(folder)
    named("t").save(folder, force=True)


def test_measuring_adds_to_what_is_there_by_now(tmp_path: Path) -> None:
    folder = named("t").with_measurements(pairs(1.0)).save(tmp_path / "t")
    opened = [condsim.load(folder) for _ in range(4)]
    profile = hardware("google-tpu-v4")
    add_measured(folder, opened[0].with_measurements(pairs(2.0, process=1)), opened[0])
    add_measured(folder, opened[1].with_measurements(pairs(3.0, process=1), profile), opened[1])
    add_measured(folder, opened[2].with_segments(parts(4)), opened[2])
    got = add_measured(folder, opened[3].with_segments(parts(8)), opened[3])
    found = condsim.load(folder)
    assert list(
        zip(found.measurements["conditional_s"], found.measurements["process"], strict=True)
    ) == [(1.0, 0), (2.0, 1), (3.0, 2)]
    assert sorted(found.segments["batch"]) == [4, 8]
    assert found.profile == profile
    pd.testing.assert_frame_equal(got.measurements, found.measurements)
    same_trace(found, got)


def test_measuring_what_was_replaced_meanwhile_is_said(tmp_path: Path) -> None:
    folder = named("before").save(tmp_path / "t")
    opened = condsim.load(folder)
    named("after").save(folder)
    with pytest.raises(CondsimError, match="another trace than the one that was measured"):
        add_measured(folder, opened.with_measurements(pairs(1.0)), opened)
    assert condsim.load(folder).measurements.empty


def test_measuring_where_there_is_nothing_yet(tmp_path: Path) -> None:
    trace = named("t")
    for number in (1, 2):
        add_measured(tmp_path / "t", trace.with_measurements(pairs(float(number))), trace)
    assert list(condsim.load(tmp_path / "t").measurements["conditional_s"]) == [1.0, 2.0]


# ---------------------------------------------------------------- kills


def over_an_old_one(old: Trace, through_a_link: bool = False) -> Callable[[Path], Path]:
    def prepare(base: Path) -> Path:
        folder = old.save(base / "t")
        add_foreign(folder)
        if not through_a_link:
            return folder
        (base / "link").symlink_to("t")
        return base / "link"

    return prepare


@SAMPLED
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_kill_leaves_one_trace_whole(tmp_path: Path, through_a_link: bool, every: int) -> None:
    old, new = named("old").with_measurements(pairs(1.0)), named("new")
    old = dataclasses.replace(old, quality=pd.DataFrame({"conditional": [1.0]}))
    seen = []
    prepare = over_an_old_one(old, through_a_link)
    for folder in kills(tmp_path / "k", prepare, lambda f: new.save(f, force=True), every):
        found = condsim.load(folder)
        seen.append(found.name)
        same_trace(found, old if found.name == "old" else new)
        assert_foreign(folder)
        assert folder.is_symlink() == through_a_link
        for later in (old, new):
            later.save(folder, force=True)
            assert same_trace(condsim.load(folder), later)
        assert_foreign(folder)
        assert set(os.listdir(tmp_path / "k")) <= {"t", "link"}
        assert not [n for n in os.listdir(folder) if n.startswith(".condsim")]
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {"old", "new"}


@SAMPLED
@pytest.mark.parametrize("made", [False, True])
def test_a_kill_of_a_first_save_leaves_nothing_or_all(
    tmp_path: Path, made: bool, every: int
) -> None:
    def prepare(base: Path) -> Path:
        if made:
            (base / "t").mkdir()
        return base / "t"

    new = named("new")
    for folder in kills(tmp_path / "k", prepare, new.save, every):
        if (folder / "trace.json").exists() or swap.pending(folder):
            assert same_trace(condsim.load(folder), new)
        else:
            assert made or not folder.exists()
        for _ in range(2):
            new.save(folder)
            assert same_trace(condsim.load(folder), new)
        assert os.listdir(tmp_path / "k") == ["t"]
        assert sorted(os.listdir(folder)) == [
            "decisions",
            "programs.json.gz",
            "steps.parquet",
            "trace.json",
        ]


@SAMPLED
def test_a_kill_while_measurements_are_added(tmp_path: Path, every: int) -> None:
    old = named("old").with_measurements(pairs(1.0))

    def add(folder: Path) -> None:
        opened = condsim.load(folder)
        add_measured(folder, opened.with_measurements(pairs(2.0)).with_segments(parts(4)), opened)

    seen = []
    for folder in kills(tmp_path / "k", over_an_old_one(old), add, every):
        found = condsim.load(folder)
        seen.append((len(found.measurements), len(found.segments)))
        add(folder)
        assert len(condsim.load(folder).measurements) == seen[-1][0] + (seen[-1][0] == 1)
        assert_foreign(folder)
    assert set(seen) == {(1, 0), (2, 1)}


def test_a_kill_while_an_interrupted_save_is_finished(tmp_path: Path) -> None:
    """Finishing may be interrupted as often as one likes."""
    old, new = named("old"), named("new")

    def prepare(base: Path) -> Path:
        folder = old.save(base / "t")
        with swap.staging(folder) as work:
            importlib.import_module("condsim.trace.store").write(new, work)
            (work / swap.UNUSED).write_text("[]")
            work.rename(folder / swap.JOURNAL)
        return folder

    for folder in kills(tmp_path / "k", prepare, condsim.load):
        assert same_trace(condsim.load(folder), new)
        assert not swap.pending(folder)


def test_a_list_of_unused_files_removes_no_others(tmp_path: Path) -> None:
    """Whoever hands a folder on may have written it."""
    folder = named("t").save(tmp_path / "t")
    add_foreign(folder)
    (tmp_path / "mine").write_text("mine")
    (folder / swap.JOURNAL).mkdir()
    told = [
        "../mine",
        "notes.md",
        str(tmp_path / "mine"),
        "trace.json",
        "decisions/../notes.md",
        3,
        None,
    ]
    (folder / swap.JOURNAL / swap.UNUSED).write_text(json.dumps(told))
    assert condsim.load(folder).name == "t"
    assert_foreign(folder)
    assert (tmp_path / "mine").exists()


# ---------------------------------------------------------------- at the same time


@pytest.mark.parametrize("there", [False, True])
def test_writers_and_readers_of_one_folder(tmp_path: Path, there: bool) -> None:
    traces = [named(name) for name in ("a", "b", "c")]
    folder = tmp_path / "t"
    if there:
        traces[0].save(folder)
        add_foreign(folder)

    def save_often(trace: Trace) -> None:
        for _ in range(15):
            trace.save(folder)

    children = [_forked(partial(save_often, t)) for t in traces]
    children += [_forked(lambda: [_read(folder, traces) for _ in range(15)]) for _ in range(2)]
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * len(children)
    found = condsim.load(folder)
    same_trace(found, next(t for t in traces if t.name == found.name))
    assert os.listdir(tmp_path) == ["t"]
    assert not [n for n in os.listdir(folder) if n.startswith(".condsim")]
    if there:
        assert_foreign(folder)


def _read(folder: Path, traces: list[Trace]) -> None:
    """A whole trace, or one line that says why not."""
    try:
        found = condsim.load(folder)
        same_trace(found, next(t for t in traces if t.name == found.name))
    except CondsimError as error:
        if "changed while it was open" not in str(error) and "is not a trace" not in str(error):
            raise


def _forked(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(1)
    return child


@pytest.mark.parametrize("there", [True, False])
def test_threads_add_to_one_trace(tmp_path: Path, there: bool) -> None:
    opened = named("t")
    folder = opened.save(tmp_path / "t") if there else tmp_path / "t"
    failed: list[Exception] = []

    def add(number: int) -> None:
        try:
            add_measured(folder, opened.with_measurements(pairs(float(number))), opened)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = condsim.load(folder).measurements
    assert sorted(found["conditional_s"]) == [1, 2, 3, 4, 5, 6]
    assert sorted(found["process"]) == [0, 1, 2, 3, 4, 5]
    assert os.listdir(tmp_path) == ["t"]


# ---------------------------------------------------------------- changed while it was open


def _rewritten(folder: Path) -> None:
    file = folder / "decisions" / "experts.parquet"
    os.utime(file, ns=(1, 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "saved anew": lambda f: named("after").save(f),
    "removed": lambda f: shutil.rmtree(f),
    "moved": lambda f: f.rename(f.with_name("moved")),
    "replaced": lambda f: (
        f.rename(f.with_name("moved")),
        shutil.copytree(f.with_name("moved"), f),
    ),
    "written to": _rewritten,
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_trace_that_changed_while_it_was_open(tmp_path: Path, how: str) -> None:
    folder = named("before").save(tmp_path / "t")
    lazy = condsim.load(folder)
    CHANGES[how](folder)
    tries: list[Callable[[], object]] = [
        lambda: lazy.decisions("experts"),
        lambda: lazy.unit_counts("experts"),
        lambda: lazy.save(tmp_path / "copy"),
        lambda: lazy.save(folder),
    ]
    for tried in tries:
        with pytest.raises(CondsimError, match="changed while it was open; load it again"):
            tried()
    assert not (tmp_path / "copy").exists()


def test_a_trace_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("condsim.trace.encoding.ROW_GROUP", 8)
    folder = named("before").save(tmp_path / "t")
    blocks = condsim.load(folder).reader("experts")
    next(blocks)
    named("after").save(folder)
    with pytest.raises(CondsimError, match="changed while it was open"):
        list(blocks)


def test_a_trace_that_gains_measurements_stays_open(tmp_path: Path) -> None:
    folder = named("t").save(tmp_path / "t")
    opened = condsim.load(folder)
    condsim.load(folder).with_measurements(pairs(1.0)).save(folder)
    opened.decisions("experts")
    opened.with_measurements(pairs(1.0, 2.0)).save(folder)
    opened.decisions("experts")


def test_a_link_that_leads_elsewhere_by_now(tmp_path: Path) -> None:
    traces = [named(name) for name in ("a", "b")]
    for trace in traces:
        trace.save(tmp_path / trace.name)
    (tmp_path / "link").symlink_to("a")
    opened = condsim.load(tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    same_trace(opened, traces[0])


# ---------------------------------------------------------------- the command line


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "specs" / "tiny.py"
    file.parent.mkdir()
    file.write_text(SPEC)
    return file


def test_capture_refuses_before_the_model_runs(
    tmp_path: Path, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = named("t").with_measurements(pairs(1.0)).save(tmp_path / "measured")
    perfetto(_made(tmp_path / "timeline"))
    (tmp_path / "file").write_text("mine")
    before = content(tmp_path)
    for target in (
        measured,
        tmp_path / "timeline",
        tmp_path / "file",
        tmp_path,
        tmp_path / ("n" * 300),
        tmp_path / "file" / "below",
    ):
        assert main(["capture", f"{spec}:never", "-o", str(target), "--no-measure"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    assert content(tmp_path) == before


def test_demo_refuses_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named("t").with_measurements(pairs(1.0)).save(tmp_path / "demo-out" / "moe-bytes")
    before = content(tmp_path)
    assert main(["demo", "--output", str(tmp_path / "demo-out")]) == 2
    assert "--force" in capsys.readouterr().err
    assert content(tmp_path) == before


def test_measure_refuses_before_it_measures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(resource("traces") / "exit-fashion", tmp_path / "t")
    (tmp_path / "t" / "segments.parquet").unlink(missing_ok=True)
    (tmp_path / "t" / "segments.parquet").mkdir()
    monkeypatch.setattr(importlib.import_module("condsim.measure"), "measure", None)
    assert main(["measure", str(tmp_path / "t")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_capture_with_force_and_without(
    tmp_path: Path, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "t"
    again = ["capture", f"{spec}:made", "-o", str(folder), "--no-measure"]
    assert main(again) == 0
    (folder / "notes.md").write_text("mine")
    assert main(again) == 0
    opened = condsim.load(folder)
    add_measured(folder, opened.with_measurements(pairs(1.0)), opened)
    assert main(again) == 2
    assert "--force" in capsys.readouterr().err
    assert len(condsim.load(folder).measurements) == 1
    assert main([*again, "--force"]) == 0
    assert condsim.load(folder).measurements.empty
    assert (folder / "notes.md").read_text() == "mine"


def test_two_measures_at_once_lose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one ends while the first is measuring."""
    folder = dataclasses.replace(named("t"), profile=hardware("google-tpu-v4")).save(tmp_path / "t")

    def slow(opened: Trace, **_: object) -> Trace:
        other = condsim.load(folder)
        add_measured(folder, other.with_measurements(pairs(1.0)), other)
        return opened.with_measurements(pairs(2.0))

    monkeypatch.setattr(importlib.import_module("condsim.measure"), "measure", slow)
    monkeypatch.setattr("condsim.cli.measure.local_profile", lambda *_, **__: None)
    monkeypatch.setattr("condsim.predict.choose.probed_strategies", lambda _: ["looped"])
    assert main(["measure", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(case["pairs"] for case in told["measurements"]) == 2
    assert sorted(condsim.load(folder).measurements["conditional_s"]) == [1.0, 2.0]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_decisions_of_a_known_trace_are_those_that_were_given() -> None:
    """The helper of these tests makes traces that differ."""
    a, b = named("a"), named("b")
    assert not np.array_equal(a.decisions("experts").ids, b.decisions("experts").ids)
    assert isinstance(a.decisions("experts"), Decisions)


def test_decisions_of_other_rows_than_the_steps_need_are_not_saved(tmp_path: Path) -> None:
    """The older trace stays: nobody could open the new one."""
    trace = make_trace("old")
    folder = trace.save(tmp_path / "t")
    before = content(folder)
    decisions = {}
    for site in trace.sites:
        d = trace.decisions(site.name)
        decisions[site.name] = Decisions(d.ids[:-1], None if d.weights is None else d.weights[:-1])
    short = dataclasses.replace(trace, reader=in_memory(decisions))
    with pytest.raises(CondsimError, match="where the steps need"):
        short.save(folder)
    assert content(folder) == before
