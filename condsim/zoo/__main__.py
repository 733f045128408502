"""`python -m condsim.zoo train NAME`: make a checkpoint again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from condsim.errors import CondsimError
from condsim.zoo import ZOO, train
from condsim.zoo.base import CHECKPOINTS, TRAININGS


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 and one line for bad input."""
    given = parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        checkpoint = train(given.name, given.steps, given.seed, given.folder)
    except CondsimError as error:
        print(error, file=sys.stderr)
        return 2
    print(checkpoint)
    return 0


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    whole = argparse.ArgumentParser(prog="python -m condsim.zoo", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    command = commands.add_parser("train", help="train a zoo model from scratch")
    command.add_argument("name", help=", ".join([*ZOO, *TRAININGS]))
    command.add_argument(
        "--steps", type=int, default=None, help="default: as many as the shipped checkpoint had"
    )
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--threads", type=int, default=1)
    command.add_argument(
        "--folder",
        type=Path,
        default=CHECKPOINTS,
        help="where the checkpoint goes (default: the package)",
    )
    return whole


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
