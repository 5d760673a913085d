"""`python -m svggt run CLIP --out DIR`, and `--help` of each command."""

from __future__ import annotations

import logging
import sys

import rich
import tyro

from svggt.commands import export, go_on, run

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    rich.get_console().quiet = True  # viser announces every server
    try:
        sys.exit(
            tyro.extras.subcommand_cli_from_dict({"run": run, "go-on": go_on, "export": export})
        )
    except ValueError as error:  # bad input; its message says what to do
        sys.exit(f"svggt: {error}")
