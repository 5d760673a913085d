"""The 3D scene of one session: a viser server that grows by a frame at a time.

Needs numpy and viser, knows nothing of models. Each frame is a node at its camera's pose and
holds its points in the camera's own coordinates, so that a corrected pose moves a node and
sends no point twice.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import viser
import viser.infra
from numpy.typing import NDArray
from viser import transforms

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction

Show = Literal["all frames", "newest frame"]
Cameras = Literal["refined", "head"]
CamerasChoice = Literal["auto", "refined", "head"]

POINT_BUDGET = 3_000_000
"""Points that a browser is sent in one scene."""

_EDGE = 0.04  # relative depth step between neighbouring pixels above which points would fly
_RIM = 3  # pixels
_UP = np.array([0.0, -1.0, 0.0])  # OpenCV: y points down
_NEWEST, _OLDER = (220, 90, 30), (120, 130, 145)  # frustum colours
_TRUST = {
    "tracked": (40, 150, 90),
    "recovered": (40, 120, 160),
    "weak": (230, 160, 30),
    "lost": (200, 40, 40),
}
_THUMBNAIL = 128  # pixels
_LEVEL_STEP = 1.0  # degrees; smaller corrections of the horizon are not worth a move


@dataclass
class _Node:
    """What the scene keeps of a frame: both cameras, so that either can be shown."""

    frame: viser.FrameHandle
    points: viser.PointCloudHandle
    frustum: viser.CameraFrustumHandle
    centre: NDArray[Any]  # of the points as they were sent, in the camera's own coordinates
    head: NDArray[Any]  # world_from_cam
    focal: float  # the camera head's, over the picture's width
    prediction: FramePrediction | None  # until its depth is settled
    sent: Correction | None  # by which the points were made
    correction: Correction | None  # the newest

    def pose(self, cameras: Cameras) -> NDArray[Any]:
        """World_from_cam of the cameras wanted, the head's where nothing is refined."""
        if cameras == "head" or self.correction is None:
            return self.head
        return self.correction.world_from_cam

    def stretch(self, cameras: Cameras) -> NDArray[Any]:
        """(3,) what its points are multiplied by: depth's scale, and another focal length."""
        shown = None if cameras == "head" else self.correction
        focal, sent_focal = (self.focal if c is None else c.focal for c in (shown, self.sent))
        log, sent_log = (0.0 if c is None else c.log_scale for c in (shown, self.sent))
        across = sent_focal / focal
        return np.exp(log - sent_log) * np.array([across, across, 1.0])


class Scene:
    """Draws predictions as they come, and replays them to whoever joins late."""

    def __init__(self) -> None:
        self._server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        # Any client can ask for a public tunnel, even with the button hidden.
        self._server.request_share_url = lambda verbose=True: None
        self._server.gui.configure_theme(show_logo=False, show_share_button=False)
        self._show: Show = "all frames"
        self._cameras: Cameras = "head"
        self._lock = threading.RLock()  # a run adds while its visitor toggles
        self.reset(max_frames=1)

    @property
    def port(self) -> int:
        """Loopback port of the viser server."""
        return self._server.get_port()

    @property
    def num_frames(self) -> int:
        """Frames drawn."""
        return len(self._nodes)

    @property
    def num_viewers(self) -> int:
        """Browsers connected."""
        return len(self._server.get_clients())

    def add(self, prediction: FramePrediction, correction: Correction | None = None) -> None:
        """Draws one more frame. The first one decides the view, the size of points and frustums.

        Args:
            prediction: of the frame.
            correction: of its camera and depth; its depth is corrected before a point is sent.
        """
        with self._lock, self._server.atomic():
            if not self._nodes:
                self._set_up_view(prediction)
            if self._nodes:
                self._nodes[-1].frustum.color = _OLDER
            # The last frame stays until the one after it: a browser needs a moment to build
            # a cloud, and the view must not go blank meanwhile.
            self._set_visible(self._nodes[-2:-1], self._show == "all frames")
            self._nodes.append(self._draw(prediction, correction))
            self._settle_world()
        self._server.flush()

    def correct(self, corrections: list[Correction]) -> None:
        """Takes refined cameras in: nodes move. Points are sent once more, when depth settles."""
        if not corrections:
            return
        with self._lock, self._server.atomic():
            for correction in corrections:
                node = self._nodes[correction.frame]
                node.correction = correction
                if correction.settled and node.prediction is not None:
                    self._settle_points(node, node.prediction, correction)
                if self._cameras == "refined":
                    self._place(node)
            self._settle_world()
        self._server.flush()

    def use(self, cameras: Cameras) -> None:
        """Shows the scene by refined cameras or by the camera head's, from the same view."""
        with self._lock, self._server.atomic():
            self._cameras = cameras
            for node in self._nodes:
                self._place(node)
            self._settle_world()
        self._server.flush()

    def show(self, which: Show) -> None:
        """Shows all frames, or only the newest one; flips flags, sends no point."""
        with self._lock, self._server.atomic():
            self._show = which
            self._set_visible(self._nodes[:-1], which == "all frames")
        self._server.flush()

    def settle(self) -> None:
        """Says that no frame follows for now: exactly what was chosen is shown."""
        self.show(self._show)

    def reset(self, max_frames: int) -> None:
        """Empties the scene for a run of at most so many frames, which share the point budget."""
        scene = self._server.scene
        with self._lock:
            self._points_per_frame = POINT_BUDGET // max_frames
            self._nodes: list[_Node] = []
            self._levelling = transforms.SO3.identity()
            scene.reset()
            scene.set_up_direction("-y")
            self._level_node = scene.add_frame("/level", show_axes=False)
            self._trajectory = scene.add_line_segments(
                "/level/trajectory",
                points=np.zeros((0, 2, 3), np.float32),
                colors=np.zeros((0, 2, 3), np.uint8),
                thickness=1.5,
                thickness_units="screen",
            )
        self._server.flush()

    def close(self) -> None:
        """Ends the server: its thread, its port and its browsers' sockets."""
        self._server.stop()

    def recorder(self) -> viser.infra.StateSerializer:
        """viser's own recorder of what is drawn from now on; serialises to `.viser`."""
        return self._server.get_scene_serializer()

    def _set_visible(self, nodes: list[_Node], visible: bool) -> None:
        for node in nodes:
            node.points.visible = node.frustum.visible = visible

    def _set_up_view(self, prediction: FramePrediction) -> None:
        """The first view: just behind frustum 0, looking past it at the median depth."""
        self._stride = _stride(prediction.depth.size, 2 * self._points_per_frame)
        distance = float(np.median(prediction.depth))
        pixel = distance / prediction.intrinsics[0, 0]  # what a pixel covers there
        self._point_size = 1.2 * self._stride * pixel
        self._frustum_scale = 0.045 * distance
        pose = _pose(prediction.world_from_cam)
        eye = pose @ np.array([0.0, -0.2, -0.5]) * distance
        look_at = pose @ np.array([0.0, 0.0, 1.0]) * distance
        camera = self._server.initial_camera
        camera.position, camera.look_at = eye, look_at
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = eye, look_at

    def _draw(self, prediction: FramePrediction, correction: Correction | None) -> _Node:
        number, scene = len(self._nodes), self._server.scene
        name, pose = f"/level/frames/{number}", _pose(prediction.world_from_cam)
        frame = scene.add_frame(
            name, show_axes=False, wxyz=pose.rotation().wxyz, position=pose.translation()
        )
        points, colors = visible_points(prediction, self._stride, correction)
        centre = _centre(points)
        cloud = scene.add_point_cloud(
            f"{name}/points",
            points=points - centre,  # float16 on the wire is finer near 0
            colors=colors,
            position=centre,
            point_size=self._point_size,
            point_shape="rounded",
            point_shading="flat",
        )
        height, width = prediction.depth.shape
        step = max(1, -(-width // _THUMBNAIL))
        frustum = scene.add_camera_frustum(
            f"{name}/frustum",
            fov=float(2 * np.arctan(height / 2 / prediction.intrinsics[1, 1])),
            aspect=width / height,
            scale=self._frustum_scale,
            thickness=1.5,
            thickness_units="screen",
            color=_NEWEST,
            image=prediction.image[::step, ::step],
            format="jpeg",
            jpeg_quality=70,
        )
        focal = prediction.intrinsics[0, 0] / width
        head = prediction.world_from_cam
        node = _Node(frame, cloud, frustum, centre, head, focal, prediction, correction, correction)
        self._place(node)
        return node

    def _settle_points(
        self, node: _Node, prediction: FramePrediction, correction: Correction
    ) -> None:
        """Sends a frame's points with the depth that stays."""
        points, colors = visible_points(prediction, self._stride, correction)
        node.centre, node.sent, node.prediction = _centre(points), correction, None
        node.points.points, node.points.colors = points - node.centre, colors
        self._place(node)

    def _place(self, node: _Node) -> None:
        """Puts a frame where the cameras shown say."""
        pose, stretch = _pose(node.pose(self._cameras)), node.stretch(self._cameras)
        node.frame.wxyz, node.frame.position = pose.rotation().wxyz, pose.translation()
        node.points.scale = tuple(stretch.tolist())
        node.points.position = stretch * node.centre

    def _settle_world(self) -> None:
        """Trajectory and horizon of the cameras shown."""
        poses = np.array([node.pose(self._cameras) for node in self._nodes])
        if not len(poses):
            return
        path = poses[:, :, 3].astype(np.float32)
        colours = np.array([self._colour(node) for node in self._nodes[1:]], np.uint8)
        self._trajectory.points = np.stack([path[:-1], path[1:]], axis=1)
        self._trajectory.colors = np.repeat(colours.reshape(-1, 1, 3), 2, axis=1)
        self._level((poses[:, :, :3] @ _UP).mean(axis=0))

    def _colour(self, node: _Node) -> tuple[int, int, int]:
        """Of the way to a frame: how far its refined camera can be trusted."""
        if self._cameras == "head" or node.correction is None:
            return _NEWEST
        return _TRUST[node.correction.status]

    def _level(self, mean_up: NDArray[Any]) -> None:
        """Turns the world so that the cameras' mean up is up, if that is worth a move."""
        turn = _turn(mean_up, _UP)
        change = turn @ self._levelling.inverse()
        if np.degrees(np.linalg.norm(change.log())) > _LEVEL_STEP:
            self._level_node.wxyz, self._levelling = turn.wxyz, turn


def visible_points(
    prediction: FramePrediction, stride: int, correction: Correction | None = None
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points worth drawing: the more confident half, without depth edges and what moves.

    Args:
        prediction: of one frame.
        stride: take every so manieth row and column.
        correction: of its depth and focal length.

    Returns:
        (N, 3) points in the camera's frame and their (N, 3) colours.
    """
    keep = prediction.depth_conf >= np.median(prediction.depth_conf)
    keep &= ~depth_edges(prediction.depth) & _inside(prediction.depth.shape)
    if correction is None:
        points = prediction.camera_points
    else:
        points, still = correction.lift(prediction)
        keep &= still
    keep = keep[::stride, ::stride]
    return points[::stride, ::stride][keep], prediction.image[::stride, ::stride][keep]


def depth_edges(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels (H, W) whose depth differs from a neighbour's by more than 4 %: points there fly."""
    edges = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        step = np.abs(np.diff(np.log(depth), axis=axis)) > _EDGE
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (1, 0), (0, 1)
        edges |= np.pad(step, before) | np.pad(step, after)
    return edges


def _centre(points: NDArray[Any]) -> NDArray[Any]:
    return points.mean(axis=0) if len(points) else np.zeros(3)


def _inside(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """All but the picture's rim, where the dense head's padding bends the depth."""
    inside = np.zeros(shape, dtype=bool)
    inside[_RIM:-_RIM, _RIM:-_RIM] = True
    return inside


def _stride(pixels: int, budget: int) -> int:
    """The smallest stride in both directions that leaves at most `budget` of the pixels."""
    return int(np.ceil(np.sqrt(pixels / budget)))


def _pose(world_from_cam: NDArray[np.float64]) -> transforms.SE3:
    rotation = transforms.SO3.from_matrix(world_from_cam[:, :3])
    return transforms.SE3.from_rotation_and_translation(rotation, world_from_cam[:, 3])


def _turn(source: NDArray[np.float64], target: NDArray[np.float64]) -> transforms.SO3:
    """The smallest rotation that brings one direction to another."""
    source = source / np.linalg.norm(source)
    axis = np.cross(source, target)
    sine, cosine = np.linalg.norm(axis), float(source @ target)
    if sine < 1e-9:
        return transforms.SO3.identity()
    return transforms.SO3.exp(axis / sine * np.arctan2(sine, cosine))
