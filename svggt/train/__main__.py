"""`python -m svggt.train NAME --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from svggt.train.sheet import write_clip, write_sheet
from svggt.train.slices import train_slice
from svggt.train.trainer import TrainOptions

_EMBEDDED = Path(__file__).resolve().parents[2] / "assets" / "embedded.safetensors"


def main() -> int:
    """The command line; argparse, since a machine for training has little else."""
    asked = _parser().parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if asked.name == "sheet":
        write_sheet(asked.out, asked.seed, device)
    elif asked.name == "clip":
        write_clip(asked.out, asked.frames, asked.seed, device)
    else:
        options = TrainOptions(seed=asked.seed, lr=asked.lr, total=asked.total)
        trainer = train_slice(asked.out, asked.weights, asked.minutes, options)
        sys.stdout.write(f"step {trainer.step}\n")
    sys.stdout.write(f"{asked.out}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m svggt.train")
    commands = parser.add_subparsers(dest="name", required=True)
    mixed = commands.add_parser("mixed", help="one set of weights for both ways of attending")
    mixed.add_argument("out", type=Path, help="folder of the slice, gone on with if it is there")
    mixed.add_argument("--weights", type=Path, default=_EMBEDDED, help="to begin from")
    mixed.add_argument("--minutes", type=float, default=9.0, help="of this slice")
    mixed.add_argument("--lr", type=float, default=3e-4, help="at its highest")
    mixed.add_argument("--total", type=int, help="steps until it has fallen to nothing")
    mixed.add_argument("--seed", type=int, default=0, help="of the clips")
    sheet = commands.add_parser("sheet", help="a picture of rendered clips, to be looked at")
    sheet.add_argument("out", type=Path, help="the PNG to write")
    sheet.add_argument("--seed", type=int, default=0)
    clip = commands.add_parser("clip", help="a rendered clip as a folder: images, depth, poses, K")
    clip.add_argument("out", type=Path, help="the folder to write")
    clip.add_argument("--frames", type=int, default=32)
    clip.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:  # bad input; its message says what to do
        sys.exit(f"svggt: {error}")
