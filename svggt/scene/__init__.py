"""The 3D scene of one session: numpy and viser, no torch; knows nothing of models."""

from svggt.scene.eye import LOOKS_ON
from svggt.scene.look import Cameras, CamerasChoice, Look, Show, chosen_cameras
from svggt.scene.placing import Point
from svggt.scene.scene import POINT_BUDGET, Scene

__all__ = [
    "LOOKS_ON",
    "POINT_BUDGET",
    "Cameras",
    "CamerasChoice",
    "Look",
    "Point",
    "Scene",
    "Show",
    "chosen_cameras",
]
