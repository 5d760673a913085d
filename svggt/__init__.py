"""svggt: streaming 4D geometry in a browser. The way of a frame: app -> web -> sessions ->
workers -> stream -> model, and back as a `FramePrediction` into a scene."""

import os

# Before numpy and torch are imported: their threads would take turns at waiting for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's matrices here are small
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a core that waits is the tracker's
