"""One file: the old content or the new, permissions, links, devices, one line for what fails."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import condsim
from condsim.cli import main
from condsim.cli.arguments import check_output_file
from condsim.errors import CondsimError
from condsim.files import check_writable, write_whole
from condsim.hardware import hardware
from condsim.predict.timeline import write_chrome_trace
from condsim.resources import resource
from condsim.show.plots import save_waterfall

DEVICE = "raspberry-pi-5"
root = os.geteuid() == 0


@pytest.fixture(scope="module")
def prediction() -> object:
    return condsim.simulate(condsim.load(resource("traces") / "exit-fashion"), DEVICE)


Writer = Callable[[Path], object]


@pytest.fixture(params=["text", "timeline", "plot", "profile"])
def writer(request: pytest.FixtureRequest, prediction: object) -> Writer:
    """Everything that writes a file of a user's."""
    return {
        "text": lambda path: write_whole(path, "text"),
        "timeline": lambda path: write_chrome_trace(prediction, path),
        "plot": lambda path: save_waterfall(prediction, path),  # type: ignore[arg-type]
        "profile": lambda path: hardware(DEVICE).save(path),
    }[request.param]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_link_stays_a_link(tmp_path: Path, writer: Writer) -> None:
    real = tmp_path / "deep" / "real.svg"
    real.parent.mkdir()
    real.write_text("old")
    for number, target in enumerate((real, "deep/real.svg", "deep/not-yet.svg")):
        link = tmp_path / f"link-{number}.svg"
        link.symlink_to(target)
        writer(link)
        assert link.is_symlink()
        assert link.read_bytes() not in (b"old", b"")
    assert names(tmp_path / "deep") == ["not-yet.svg", "real.svg"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_any_new_file_or_of_the_old_one(
    tmp_path: Path, writer: Writer, umask: int
) -> None:
    before = os.umask(umask)
    try:
        writer(tmp_path / "new.svg")
        (tmp_path / "old.svg").write_text("old")
        (tmp_path / "old.svg").chmod(0o640)
        writer(tmp_path / "old.svg")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.svg").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "old.svg").stat().st_mode) == 0o640


def test_a_pipe_is_written_to(tmp_path: Path, writer: Writer) -> None:
    pipe = tmp_path / "pipe.svg"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    writer(pipe)
    reader.join()
    assert got[0]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe.svg"]


@pytest.mark.skipif(not root, reason="only root makes device nodes")
def test_a_device_stays_a_device(tmp_path: Path, writer: Writer) -> None:
    node = tmp_path / "null"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    check_output_file(node, (".svg",))
    writer(node)
    assert stat.S_ISCHR(node.stat().st_mode)
    assert names(tmp_path) == ["null"]


def test_a_full_disk_is_one_line(writer: Writer) -> None:
    with pytest.raises(CondsimError, match="/dev/full cannot be written: No space left on device"):
        writer(Path("/dev/full"))
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("number", [28, 30, 13, 122, 5])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, writer: Writer, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full, read-only, forbidden, over quota, broken: whatever the system says at the end."""
    target = tmp_path / "kept.svg"
    target.write_text("old")

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "a name that nobody gave")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(CondsimError) as error:
        writer(target)
    assert str(error.value) == f"{target} cannot be written: {os.strerror(number)}"
    assert target.read_text() == "old"
    assert names(tmp_path) == ["kept.svg"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("folder", "is a folder"),
        ("nowhere/file.txt", "there is no folder"),
        ("file/file.txt", "there is no folder"),
        ("n" * 300, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
        ("out-of-reach", "there is no folder"),
    ],
)
@pytest.mark.parametrize("tried", [check_writable, lambda p: write_whole(p, "text")])
def test_an_impossible_place_is_one_line(
    tmp_path: Path, place: str, words: str, tried: Callable[[Path], object]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "out-of-reach").symlink_to("nowhere/file")
    before = names(tmp_path)
    with pytest.raises(CondsimError, match=words) as error:
        tried(tmp_path / place)
    assert place in str(error.value)
    assert names(tmp_path) == before


@pytest.mark.parametrize("tried", [check_writable, lambda p: write_whole(p, "text")])
def test_a_read_only_file_is_not_replaced(
    tmp_path: Path, tried: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_text("old")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may write to everything
    with pytest.raises(CondsimError, match="kept cannot be written: Permission denied"):
        tried(tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "old"


def test_text_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="cannot be written"):
        write_whole(tmp_path / "file", "name: \ud800")
    assert names(tmp_path) == []


def test_a_name_with_a_nul_is_one_line(tmp_path: Path, writer: Writer) -> None:
    with pytest.raises(CondsimError, match="holds no NUL character"):
        writer(tmp_path / "a\0b.png")


def test_two_writers_and_a_reader(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    contents = ["A" * 300_000, "B" * 500_000]
    write_whole(target, contents[0])
    children = [_writing(target, content) for content in contents]
    seen: Counter[str] = Counter()
    ended: dict[int, int] = {}
    while len(ended) < len(children):
        seen[target.read_text()] += 1
        found, status = os.waitpid(next(c for c in children if c not in ended), os.WNOHANG)
        if found:
            ended[found] = os.waitstatus_to_exitcode(status)
    assert set(ended.values()) == {0}
    assert set(seen) <= set(contents)
    assert names(tmp_path) == ["report.html"]


def _writing(target: Path, content: str) -> int:
    child = os.fork()
    if child == 0:
        try:
            for _ in range(60):
                write_whole(target, content)
            os._exit(0)
        finally:
            os._exit(1)
    return child


CSV = ["compare", "exit-fashion"]


def run_into(arguments: list[str], shell: str) -> subprocess.CompletedProcess[str]:
    """Run a command line whose streams a shell has set up. $C: the command."""
    program = "import sys; from condsim.cli import main; sys.exit(main())"
    environment = {**os.environ, "PY": sys.executable, "PROGRAM": program}
    command = shell.replace("$C", '"$PY" -c "$PROGRAM" ' + " ".join(arguments))
    return subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [["profiles"], ["profiles", "--json"], ["--help"]])
@pytest.mark.parametrize(
    ("shell", "codes", "said"),
    [
        ("$C > /dev/full", (1, 2), "No space left on device"),
        ("$C 2>&1 | true; exit ${PIPESTATUS[0]}", (0, 141), ""),
        ("$C | head -1 > /dev/null; exit ${PIPESTATUS[0]}", (0, 141), None),
        ("$C >&-", (0, 1, 2), None),
        ("$C > /dev/full 2> /dev/full", (1, 2), ""),
        ("$C >&- 2>&-", (0, 1, 2), ""),
    ],
)
def test_streams_that_cannot_be_written_to(
    arguments: list[str], shell: str, codes: tuple[int, ...], said: str | None
) -> None:
    done = run_into(arguments, shell)
    assert done.returncode in codes, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if said:
        assert said in done.stderr
    if said == "":
        assert done.stderr == ""


def test_who_reads_a_line_of_a_table_has_had_enough() -> None:
    done = run_into(CSV, "$C | head -1; exit ${PIPESTATUS[0]}")
    assert done.returncode in (0, 141)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_standard_output_is_a_file_to_write_to(tmp_path: Path) -> None:
    for shell in ("$C | cat", f"$C > {tmp_path}/out; cat {tmp_path}/out"):
        done = run_into([*CSV, "--csv", "/dev/stdout"], shell)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("trace,mechanism,")
        assert "measured" in done.stdout.splitlines()[-1] or len(done.stdout.splitlines()) > 3


def test_outputs_of_the_command_line_go_through_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    assert (
        main(
            [
                "simulate",
                "exit-fashion",
                "--device",
                DEVICE,
                "--timeline",
                str(tmp_path / "link.json"),
            ]
        )
        == 0
    )
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["traceEvents"]
    assert (
        main(
            [
                "simulate",
                "exit-fashion",
                "--device",
                DEVICE,
                "--plot",
                str(tmp_path / "no" / "a.svg"),
            ]
        )
        == 2
    )
    assert "there is no folder" in capsys.readouterr().err
