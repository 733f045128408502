"""What makes a machine this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.hardware import fingerprint, machine


def test_the_fingerprint_is_stable_and_counts_threads() -> None:
    assert fingerprint() == fingerprint()
    assert fingerprint(2) != fingerprint(1)
    assert {"cpu", "threads", "torch"} <= set(fingerprint())


def test_a_cpu_says_its_model_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Fast 9\ncpu family\t: 6\nmodel\t\t: 85\n\nmodel name\t: Other\n")
    monkeypatch.setattr(machine, "CPU_INFO", info)
    assert fingerprint()["cpu"] == "Fast 9 (family 6 model 85)"


def test_data_caches_are_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = [("Data", "1", "32K"), ("Instruction", "1", "64K"), ("Unified", "2", "2M")]
    for number, (kind, level, size) in enumerate(caches):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("type", kind), ("level", level), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(machine, "CACHES", tmp_path)
    print_of = fingerprint()
    assert (print_of["l1"], print_of["l2"]) == (32 * 2**10, 2 * 2**20)


def test_elsewhere_than_on_linux_it_still_has_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "none")
    assert fingerprint()["cpu"]
