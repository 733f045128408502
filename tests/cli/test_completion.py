"""Shell completion: every command and option, without starting Python for a word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from condsim.cli import COMMANDS, main

COMPLETE = """
cd {folder}
. {script}
# without it a trace's folder would not be completed
complete -p condsim | grep -q -- '-o default' || exit 1
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_condsim
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("condsim ''", set(COMMANDS)),
        ("condsim sim", {"simulate"}),
        ("condsim simulate --de", {"--device"}),
        ("condsim capture x --no-m", {"--no-measure"}),
        ("condsim completion ''", {"bash", "zsh", "fish"}),
        ("condsim report x -o o", {"out.html"}),
    ],
)
def test_bash(
    words: str, found: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "condsim.bash"
    script.write_text(capsys.readouterr().out)
    (tmp_path / "out.html").touch()
    shell = ["bash", "--norc", "-c", COMPLETE.format(folder=tmp_path, script=script, words=words)]
    done = subprocess.run(
        shell, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == found


@pytest.mark.parametrize(
    ("shell", "begins"), [("zsh", "#compdef condsim"), ("fish", "# Fish completion for condsim")]
)
def test_others_name_every_command(
    shell: str, begins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script.startswith(begins)
    assert all(name in script for name in COMMANDS)
