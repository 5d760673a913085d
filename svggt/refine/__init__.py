"""Cameras refined by tracking and bundle adjustment over the model's own depth.

Needs numpy, OpenCV and GTSAM, never torch. How it works and what it reaches: docs/refine.md.
"""
