"""svggt's web page: `python app.py`, then open http://127.0.0.1:7860. The same as `svggt serve`."""

from __future__ import annotations

import sys

import tyro

from svggt.errors import CheckpointError, ClusterRefused, StoreRefused
from svggt.web.serve import serve

if __name__ == "__main__":
    try:
        tyro.cli(serve)
    except (CheckpointError, ClusterRefused, StoreRefused) as error:
        sys.exit(f"svggt: {error}")
