"""`python -m condsim.zoo train NAME`: make a checkpoint again.

`python -m condsim.zoo rival NAME RIVAL --folder FOLDER`: train a dense network beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from condsim.errors import CondsimError
from condsim.zoo import ZOO, train
from condsim.zoo.base import CHECKPOINTS, KINDS


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 and one line for bad input."""
    given = parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        made = _made(given)
    except CondsimError as error:
        print(error, file=sys.stderr)
        return 2
    print(made)
    return 0


def _made(given: argparse.Namespace) -> Path:
    """What a command writes."""
    if given.command == "train":
        return train(given.name, given.steps, given.seed, given.folder)
    from condsim.zoo.rivals import train_rival

    return train_rival(given.name, given.rival, given.folder, given.steps, given.seed)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    whole = argparse.ArgumentParser(prog="python -m condsim.zoo", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train", help="train a zoo model from scratch")
    _add_usual(command, [name for kinds in KINDS for name in kinds])
    command.add_argument(
        "--folder",
        type=Path,
        default=CHECKPOINTS,
        help="where the checkpoint goes (default: the package)",
    )
    command = commands.add_parser("rival", help="train a dense rival of a zoo model")
    _add_usual(command, ZOO)
    command.add_argument("rival", help="its name: of what it is made")
    command.add_argument("--folder", type=Path, required=True, help="where its folder goes")
    return whole


def _add_usual(command: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add what both commands take. names: of the models that a command knows."""
    command.add_argument("name", help=", ".join(names))
    command.add_argument(
        "--steps", type=int, default=None, help="default: as many as the shipped checkpoint had"
    )
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--threads", type=int, default=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
