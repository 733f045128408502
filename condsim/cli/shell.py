"""completion: for the shell that condsim is typed into."""

from __future__ import annotations

from typing import Literal

from condsim.cli.commands import cli_command


@cli_command("completion", "Print a completion script for bash, zsh or fish.", place=210)
def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a completion script. It holds all names, so that completing a word starts no Python.

    Parameters
    ----------
    shell
        bash (~/.local/share/bash-completion/completions/condsim), zsh (_condsim, in a folder of
        $fpath) or fish (~/.config/fish/completions/condsim.fish).
    """
    from condsim.cli import app

    script = app.generate_completion(prog_name="condsim", shell=shell)
    # Bash completes folders where there is no name to complete.
    print(script.replace("complete -F ", "complete -o default -F "), end="")
