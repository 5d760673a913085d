"""Predicted points against the true ones of the same pixels, as DUSt3R's and Spann3R's scripts do.

Corresponding points bring them together: the point head's, in its own world, and the true ones in
the first camera's, by shift along the view and scale, medians over whole pictures (DUSt3R's
criterion); points of depth and cameras by a Sim(3) of those that count (Umeyama). Then a
point-to-point ICP, and nearest neighbours of both clouds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from svggt import geometry, metrics
from svggt.data.truth import Array


@dataclass(frozen=True)
class CloudErrors:
    """Of one reconstruction; metres.

    Attributes:
        accuracy: mean distance of predicted points to the nearest true one.
        accuracy_median: its median.
        completeness: mean distance of true points to the nearest predicted one.
        completeness_median: its median.
        normals: consistency: mean of |cosine| of the normals of such pairs, over both directions.
        normals_median: its median, likewise.
        points: pairs of pixels that were compared.
    """

    accuracy: float
    accuracy_median: float
    completeness: float
    completeness_median: float
    normals: float
    normals_median: float
    points: int


def median_shift_and_scale(predicted: Array, true: Array) -> geometry.Similarity:
    """What moves and scales predicted points (M, 3) to the true ones of the same pixels.

    DUSt3R's Regr3D ShiftScaleInv: the median depth of each is subtracted; the scale is the ratio
    of the median distances from the medians' point. The axes stay.
    """
    shift, there = (np.array([0, 0, np.median(points[:, 2])]) for points in (predicted, true))
    spread, wanted = (
        np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1))
        for points in (predicted, true)
    )
    scale = float(wanted / max(spread, 1e-9))
    return geometry.Similarity(scale, np.column_stack([np.eye(3), there - scale * shift]))


def cloud_errors(predicted: Array, true: Array, icp: float) -> CloudErrors:
    """Of aligned points.

    Args:
        predicted: (M, 3) metres.
        true: (M, 3) of the same pixels.
        icp: metres within which points are pairs; 0: none.
    """
    import open3d as o3d  # a second, and of the eval extra

    ours, theirs = (_cloud(o3d, points) for points in (predicted, true))
    if icp:
        method = o3d.pipelines.registration.TransformationEstimationPointToPoint()
        found = o3d.pipelines.registration.registration_icp(ours, theirs, icp, np.eye(4), method)
        ours.transform(found.transformation)
    for cloud in (ours, theirs):
        cloud.estimate_normals()
    points, others = (np.asarray(cloud.points) for cloud in (ours, theirs))
    normals, other_normals = (np.asarray(cloud.normals) for cloud in (ours, theirs))
    off, nearest_true = metrics.nearest(points, others)
    missing, nearest_ours = metrics.nearest(others, points)
    there = np.abs((normals * other_normals[nearest_true]).sum(axis=1))
    back = np.abs((other_normals * normals[nearest_ours]).sum(axis=1))
    return CloudErrors(
        accuracy=float(off.mean()),
        accuracy_median=float(np.median(off)),
        completeness=float(missing.mean()),
        completeness_median=float(np.median(missing)),
        normals=float(there.mean() + back.mean()) / 2,
        normals_median=float(np.median(there) + np.median(back)) / 2,
        points=len(points),
    )


def _cloud(o3d: Any, points: Array) -> Any:
    return o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
