"""Cameras refined by tracking and bundle adjustment over the model's own depth.

Needs numpy, OpenCV and GTSAM, never torch. Facts and a prototype's figures: shared/refine.md.
"""
