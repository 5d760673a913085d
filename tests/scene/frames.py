"""Predictions and corrections made up for the scene's tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from svggt import geometry
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.scene import Scene


def prediction(number: int = 0, height: int = 56, width: int = 84, turn: float = 0.0):
    """A plane 2 units away with a nearer square in its middle; random confidence."""
    rng = np.random.default_rng(number)
    depth = np.full((height, width), 2.0, np.float32)
    depth[20:40, 30:60] = 1.0
    half = np.radians(turn) / 2
    rotation = geometry.rotation_from_quaternion(np.array([0, 0, np.sin(half), np.cos(half)]))
    position = np.array([[0.1 * number], [0], [0]])
    return FramePrediction(
        number=number,
        time_s=float(number),
        image=rng.integers(0, 255, (height, width, 3), np.uint8),
        cam_from_world=geometry.invert(np.concatenate([rotation, position], axis=1)),
        intrinsics=np.array([[80.0, 0, width / 2], [0, 80, height / 2], [0, 0, 1]]),
        depth=depth,
        depth_conf=1 + rng.random((height, width), np.float32),
        world_points=None,
        world_points_conf=None,
        seconds=0.01,
        memory_bytes=1000,
    )


def correction(number: int, position, log_scale: float = 0.0, **changes) -> Correction:
    pose = np.concatenate([np.eye(3), np.array(position, float).reshape(3, 1)], axis=1)
    made = Correction(
        frame=number,
        keyframe=0,
        segment=0,
        world_from_cam=pose,
        focal=80 / 84 / 1.25,
        radial=0.0,
        aspect=56 / 84,
        log_scale=log_scale,
        field=None,
        moving=None,
        status="tracked",
        settled=False,
        inlier_share=0.9,
        revision=1,
    )
    return replace(made, **changes)


def num_nodes(scene: Scene) -> int:
    """Of viser."""
    return len(scene._server.scene._handle_from_node_name)
