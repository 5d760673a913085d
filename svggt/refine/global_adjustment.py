"""All views of a stream adjusted at once: COLMAP's triangulation and bundle adjustment.

Schönberger and Frahm 2016 (section 4.4), by pycolmap: points are triangulated with the cameras as
they are, cameras and points are adjusted, and what does not fit is dropped; then once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray

from svggt.geometry import invert
from svggt.refine.camera import Camera
from svggt.refine.views import colmap_camera

Array = NDArray[Any]

_ITERATIONS = 40
_PIXELS = 4.0  # that an observation may be off,
_BEGUN_PIXELS = 8.0  # and may before cameras were adjusted
_DEGREES = 1.0  # between the rays of a point
_HELD = 20  # observations that hold a camera


@dataclass(frozen=True)
class GlobalAdjustment:
    """Asks how V views stand, by all that they have in common.

    Attributes:
        camera: of all.
        world_from_cam: (V, 3, 4).
        pixels: (N, 2) points of each view.
        matches: (K, 2) points that two views have in common, by their indices (i < j).
        free_lens: focal length and distortion are variables too.
    """

    camera: Camera
    world_from_cam: Array
    pixels: list[Array]
    matches: dict[tuple[int, int], NDArray[np.uint32]]
    free_lens: bool

    def run(self) -> AdjustedViews:
        """Triangulates and adjusts, once.

        Raises:
            RuntimeError: there is no finite solution.
        """
        model, graph = self._model()
        self._triangulate(model, graph)
        observations = pycolmap.ObservationManager(model, graph)
        observations.filter_all_points3D(_BEGUN_PIXELS, _DEGREES)
        options = pycolmap.BundleAdjustmentOptions()
        options.refine_focal_length = options.refine_extra_params = self.free_lens
        options.refine_principal_point = options.print_summary = False
        options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
        options.ceres.solver_options.max_num_iterations = _ITERATIONS
        pycolmap.bundle_adjustment(model, options)
        observations.filter_all_points3D(_PIXELS, _DEGREES)
        return self._adjusted(model)

    def _model(self) -> tuple[pycolmap.Reconstruction, pycolmap.CorrespondenceGraph]:
        model, graph = pycolmap.Reconstruction(), pycolmap.CorrespondenceGraph()
        model.add_camera_with_trivial_rig(colmap_camera(self.camera))
        for number, (pose, pixels) in enumerate(
            zip(self.world_from_cam, self.pixels, strict=True), 1
        ):
            image = pycolmap.Image(
                name=str(number), keypoints=pixels.astype(float), camera_id=1, image_id=number
            )
            model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(invert(pose)))
            graph.add_image(number, len(pixels))
        for (i, j), matches in self.matches.items():
            tie = pycolmap.TwoViewGeometry()
            tie.inlier_matches = matches
            graph.add_two_view_geometry(i + 1, j + 1, tie)
        graph.finalize()
        return model, graph

    def _triangulate(
        self, model: pycolmap.Reconstruction, graph: pycolmap.CorrespondenceGraph
    ) -> None:
        options = pycolmap.IncrementalTriangulatorOptions()
        triangulator = pycolmap.IncrementalTriangulator(graph, model)
        for number in range(1, len(self.pixels) + 1):
            triangulator.triangulate_image(options, number)
        triangulator.complete_all_tracks(options)
        triangulator.merge_all_tracks(options)

    def _adjusted(self, model: pycolmap.Reconstruction) -> AdjustedViews:
        focal, *_, radial = model.cameras[1].params
        images = [model.images[number] for number in range(1, len(self.pixels) + 1)]
        poses = np.stack([invert(image.cam_from_world().matrix()) for image in images])
        if not (np.isfinite(poses).all() and focal > 0):
            raise RuntimeError("the views have no finite solution")
        depths = [_depths(model, image) for image in images]
        camera = Camera(float(focal), self.camera.centre, float(radial))
        held = np.array([np.isfinite(depth).sum() >= _HELD for depth in depths])
        return AdjustedViews(camera, poses, depths, held)


@dataclass(frozen=True)
class AdjustedViews:
    """Adjusted views.

    Attributes:
        camera: of all.
        world_from_cam: (V, 3, 4).
        depths: (N,) of each view: z-depths of its points, NaN where no other view tells.
        held: (V,) whether enough points hold the camera.
    """

    camera: Camera
    world_from_cam: Array
    depths: list[Array]
    held: NDArray[np.bool_]


def _depths(model: pycolmap.Reconstruction, image: pycolmap.Image) -> Array:
    depths = np.full(image.num_points2D(), np.nan)
    cam_from_world = image.cam_from_world().matrix()
    for index in image.get_observation_point2D_idxs():
        point = model.points3D[image.points2D[index].point3D_id].xyz
        depth = cam_from_world[2, :3] @ point + cam_from_world[2, 3]
        depths[index] = depth if depth > 0 else np.nan
    return depths
