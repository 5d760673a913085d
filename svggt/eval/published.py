"""Rows of published tables: StreamVGGT's (arXiv 2507.11539), with its teacher, offline VGGT."""

from __future__ import annotations

from collections.abc import Mapping

from svggt.eval.datasets import DatasetName
from svggt.eval.protocol import Task

Row = Mapping[str, float]

STREAMVGGT, VGGT, OTHERS = (
    "StreamVGGT, its paper",
    "VGGT, offline, the same paper",
    "StreamVGGT, as other papers measured it",
)


def _points(accuracy: float, completeness: float, normals: float) -> Row:
    return {"accuracy": accuracy, "completeness": completeness, "normals": normals}


def _depths(streaming: float, offline: float) -> dict[str, Row]:
    return {STREAMVGGT: {"absrel": streaming}, VGGT: {"absrel": offline}}


def _paths(streaming: float, offline: float, others: float) -> dict[str, Row]:
    return {STREAMVGGT: {"ate": streaming}, OTHERS: {"ate": others}, VGGT: {"ate": offline}}


PUBLISHED: Mapping[tuple[Task, DatasetName], Mapping[str, Row]] = {
    ("recon", "7scenes"): {
        STREAMVGGT: _points(0.129, 0.115, 0.751),
        VGGT: _points(0.088, 0.091, 0.787),
    },
    ("recon", "nrgbd"): {
        STREAMVGGT: _points(0.084, 0.074, 0.861),
        VGGT: _points(0.073, 0.077, 0.910),
    },
    ("depth", "sintel"): _depths(0.254, 0.276),
    ("depth", "bonn"): _depths(0.052, 0.055),
    ("depth", "kitti"): _depths(0.072, 0.072),
    ("depth", "nyu"): _depths(0.055, 0.060),
    ("video-depth", "sintel"): _depths(0.323, 0.298),
    ("video-depth", "bonn"): _depths(0.059, 0.057),
    ("video-depth", "kitti"): _depths(0.173, 0.061),
    ("pose", "scannet"): _paths(0.048, 0.035, 0.161),
    ("pose", "sintel"): _paths(0.219, 0.169, 0.251),
    ("pose", "tum"): _paths(0.026, 0.012, 0.061),
}
