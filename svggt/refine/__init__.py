"""Cameras refined by tracking and bundle adjustment over the model's own depth.

Needs numpy, OpenCV and GTSAM, never torch. How it works and what it reaches: docs/refine.md.
"""

import PIL.Image as _  # noqa: F401  # before pycolmap: after it Pillow's PNG encoder breaks the heap
