"""svggt: streaming 4D geometry in a browser. The way of a frame: app -> web -> sessions ->
workers -> stream -> model, and back as a `FramePrediction` into a scene."""

import os

# Before numpy and torch are imported: their threads would take turns at waiting for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's matrices here are small
# A thread that waits for others does so for microseconds, then its core is the tracker's: without
# waiting each of a frame's thousand operations pays for a wake-up, and a step takes twice as long.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
