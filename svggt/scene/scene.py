"""The 3D scene of one session: a viser server that grows by a frame at a time.

Points, the cameras' path, what is around them, and the eyes of those who look. What is shown are
flags.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import viser
import viser.infra
from numpy.typing import NDArray
from viser import transforms

from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene.camera_view import CameraView
from svggt.scene.clouds import Cloud
from svggt.scene.confirmed_points import Frames
from svggt.scene.frame_poses import FramePoses, Point
from svggt.scene.frustums import Frustums
from svggt.scene.horizon import Horizon, levelled_by
from svggt.scene.marks import Marks
from svggt.scene.overview import Overview, field_of
from svggt.scene.run_points import RunPoints
from svggt.scene.surroundings import Surroundings
from svggt.scene.trajectory import Trajectory
from svggt.scene.viewer_cameras import ViewerCameras
from svggt.view_options import ViewOptions

POINT_BUDGET = 3_000_000
"""Points that a browser is sent in one scene."""

_FRAMING = 8  # frames between two times that the view is widened to the scene


class Scene:
    """Draws predictions as they come, and replays them to whoever joins late.

    Args:
        frames: the run's, which are kept there by whoever adds them here.

    Attributes:
        flags: what is shown, and how; set by `look`.
        eye: the cameras of its browsers.
        marks: points that a visitor clicked, to measure between.
        around: backdrop, floor and scale bar.
    """

    def __init__(self, frames: Frames) -> None:
        self._server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        # Any client can ask for a public tunnel, even with the button hidden.
        self._server.request_share_url = lambda verbose=True: None
        self._server.gui.configure_theme(show_logo=False, show_share_button=False)
        self._server.scene.set_up_direction("-y")  # once: it puts browsers at the first view
        self.eye, self.flags, self._frames = ViewerCameras(self._server), ViewOptions(), frames
        self._lock = threading.RLock()  # a run adds while its visitor toggles
        self.reset(max_frames=1)

    @property
    def port(self) -> int:
        """Loopback port of the viser server."""
        return self._server.get_port()

    @property
    def levelling(self) -> transforms.SO3:
        """What the world is turned by to be level."""
        return self._horizon.levelling

    @property
    def num_frames(self) -> int:
        """Frames drawn."""
        return len(self._placings)

    @property
    def moment(self) -> int:
        """Number of the frame shown."""
        newest = self.num_frames - 1
        return newest if self._moment is None else min(self._moment, newest)

    def add(
        self,
        prediction: FramePrediction,
        correction: Correction | None = None,
        older: Sequence[Correction] = (),
    ) -> None:
        """Draws one more frame. The first one decides the view, and the size of frustums.

        Args:
            prediction: what the model says of the frame.
            correction: its refined camera and depth, which is corrected before a point is sent.
            older: corrections of earlier frames, as `correct` takes them.
        """
        with self._drawing():
            number, self._growing = self.num_frames, True
            if not number:
                self._set_up_view(prediction)
            assert self._frustums is not None
            self._points.add(prediction, correction)
            self._frustums.add(number, prediction)
            if self._moment is None:
                self._frustums.show(prediction)
            self._points.correct(older)
            self._settle_world()
            self._flip()
            if self.flags.follow and self._moment is None:
                self._go_inside(number)
            if number % _FRAMING == _FRAMING - 1:
                self._frame()
        self._server.flush()

    def lay_under(self, number: int, frames: int, cloud: Cloud) -> None:
        """Draws another run's points, in the world, of one of so many frames; shown as ours are."""
        with self._lock:
            self._points.under.add(number, frames, cloud, self.flags)

    def correct(self, corrections: list[Correction]) -> None:
        """Takes refined cameras in: nodes move. Points are sent once more, when depth settles."""
        if not corrections:
            return
        with self._drawing():
            self._points.correct(corrections)
            self._settle_world()
        self._server.flush()

    def look(self, look: ViewOptions) -> None:
        """Shows what is wanted, from the same view; flips flags, sends no point but surfels."""
        with self._lock:
            before, self.flags, self._inside = self.flags, look, False
            with self._server.atomic():
                self._points.look(look)
            if not self._growing:
                self._points.draw_surfels()
        with self._drawing():
            self._trajectory.show(look.trajectory)
            self.around.show(look.floor)
            self.marks.show(look.cameras)
            self._settle_world()
            self._flip()
            if before.cameras != look.cameras:
                self._frame(fly=False)
            if look.follow and not before.follow and self.num_frames:
                self._go_inside(self.moment)
        self._server.flush()

    def seek(self, number: int | None) -> None:
        """Shows the moment of a frame; None: always the newest."""
        with self._drawing():
            self._moment, self._inside = number, self.flags.follow
            if self.num_frames and self._frustums is not None:
                self._frustums.show(self._frames.load(self.moment))
            self._settle_world()
            self._flip()
            if self.flags.follow and self.num_frames:
                self._go_inside(self.moment)
        self._server.flush()

    def settle(self) -> None:
        """Says that no frame follows for now: exactly what was chosen is shown."""
        with self._lock:
            self._growing = False
            self._points.rest()
        with self._drawing():
            self._flip()
            self._frame()
        self._server.flush()

    def redraw(self, on_frame: Callable[[], None] = lambda: None) -> None:
        """Merges blocks anew, after all cameras moved; what `on_frame` raises ends it half done."""
        self._points.redraw(on_frame, self._drawing)
        with self._drawing():
            self._flip()
        self._server.flush()

    def look_through(self, number: int | None = None) -> None:
        """Puts all browsers where a frame's camera is; the shown one's if left out."""
        with self._lock:
            if self.num_frames:
                self._go_inside(self.moment if number is None else number)
                self._settle_world()

    def mark(self, number: int, u: int, v: int) -> tuple[Point, ...]:
        """Marks the point of a pixel (column u, row v); two are joined by a line, and returned."""
        with self._lock:
            cameras, placing = self.flags.cameras, self._placings[number]
            here = placing.point_at(self._frames.load(number), u, v, cameras)
            self.marks.add(here, placing.pose(cameras)[:, 3], self._distance)
            return self.marks.points

    def seen_from(self) -> CameraView | None:
        """Where an owner's browser looks from; the world lies as a replay has it at the moment."""
        camera, poses = self.eye.camera, self._poses()[: self.moment + 1]
        if camera is None or not len(poses):
            return None
        return CameraView.of(camera).turned(levelled_by(poses) @ self.levelling.inverse())

    def reset_view(self) -> None:
        """Takes all browsers to where the whole scene is in sight."""
        with self._lock:
            self._inside = False
            self._settle_world()
            self._frame(unmoved=False)

    def reset(self, max_frames: int, frames: Frames | None = None, keep_view: bool = False) -> None:
        """Empties the scene.

        Args:
            max_frames: the most frames that the next run has; they share the point budget.
            frames: where they are read again from now on; as before if left out.
            keep_view: browsers stay where they look from.
        """
        scene = self._server.scene
        with self._lock:
            self._frames, self._keep_view = frames or self._frames, keep_view
            self._placings: list[FramePoses] = []
            self._moment: int | None = None
            self._growing = True
            self.marks = Marks(scene, "/level/marks", self.flags.cameras)
            self._inside = False  # a camera, whose frustum would cover what it sees
            self._frustums: Frustums | None = None
            scene.reset()
            self._horizon = Horizon(scene)
            most = POINT_BUDGET // max_frames
            self._points = RunPoints(
                scene, "/level", self._frames, self._placings, most, self.flags
            )
            self._trajectory = Trajectory(scene, "/level/trajectory", self.flags.trajectory)
            self.around = Surroundings(scene, self.flags.floor)
        self._server.flush()

    def close(self) -> None:
        """Ends the server: its thread, its port and its browsers' sockets."""
        self._server.stop()

    def recorder(self) -> viser.infra.StateSerializer:
        """viser's own recorder of what is drawn from now on; serialises to `.viser`."""
        return self._server.get_scene_serializer()

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Nobody else draws meanwhile, and browsers see all of it at once."""
        with self._lock, self._server.atomic():
            yield

    def _frame(self, unmoved: bool = True, fly: bool = True) -> None:
        """Takes browsers, or those nobody moved, to where all is in sight; or notes where it is."""
        if not self._placings:
            return
        whole = Overview.of(self._placings, self.flags.cameras, self.levelling)
        self.around.lie(whole, self.flags.cameras)
        if unmoved and (self._keep_view or self.flags.follow):
            return
        if fly:
            self.eye.fly(whole.seen_by, unmoved)
        else:
            self.eye.fit(whole.seen_by)

    def _poses(self) -> NDArray[np.float64]:
        return np.array([placing.pose(self.flags.cameras) for placing in self._placings])

    def _go_inside(self, number: int) -> None:
        self._inside = True
        pose = self._placings[number].pose(self.flags.cameras)
        self.eye.look_through(pose, self._horizon.levelling, self._field, self._distance)

    def _set_up_view(self, prediction: FramePrediction) -> None:
        self._distance = float(np.median(prediction.depth))
        self._field = field_of(prediction)
        self._frustums = Frustums(self._server.scene, "/level", self._distance, self.look_through)
        if not self._keep_view:
            self.eye.begin(prediction.world_from_cam, self._distance)

    def _flip(self) -> None:
        """Shows the nodes of the moment, and hides the others."""
        self._points.show(self.moment, lasts=self._growing and self._moment is None)

    def _settle_world(self) -> None:
        """Trajectory, frustums and horizon of the cameras shown."""
        if not self._placings or self._frustums is None:
            return
        poses = self._poses()
        self._frustums.place(poses, self.moment, self.flags.frustums, self._inside)
        self._trajectory.draw(self._placings[: self.moment + 1], self.flags.cameras)
        self._horizon.level(poses)
