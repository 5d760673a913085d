"""A film of a run: the scene as it grows, then a flight along the cameras' path.

Drawn by the server, so that it is the same whatever the browser can do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from svggt.exports.clouds import STROKE, clouds_of, frustum
from svggt.exports.replay import overview_of
from svggt.scene.camera_view import FIELD_OF_VIEW, CameraView
from svggt.scene.clouds import Cloud
from svggt.scene.film import write_gif, write_mp4
from svggt.scene.frame_poses import UP
from svggt.scene.raster import Picture, pixels_of, pose_of, render
from svggt.store.posed_frames import PosedFrames, poses

Array = NDArray[Any]

MOST_POINTS = 400_000
SIZE = (540, 960)
"""(H, W) of an MP4's pictures."""

_GIF_WIDTH, _GIF_EVERY = 400, 3  # pixels; of the pictures of an MP4 a GIF takes every third
_RATE = 20  # pictures a second
_FINER = 2  # pictures are drawn so much larger first: smooth edges
_GROWING, _FLYING, _TURNING = 120, 120, 20  # pictures of each part, at most; turning comes twice
_SMOOTH = 0.06  # of the path: what a hand's shake is averaged over
_BEHIND, _ABOVE = 0.5, 0.15  # of the median depth: where the eye flies
_STEEP = 0.3  # length of a way to look without what is up or down: less looks down
_FRUSTUM = 0.06  # of the median depth
_INSET, _RIM = 0.24, 12  # of the width, and pixels: the newest frame's picture
_OUTSIDE = 100_000  # pixels: as far as lines are drawn
_TOP, _BOTTOM = (44, 52, 66), (14, 17, 23)  # of the backdrop, as the page's
_PATH, _CAMERA = (203, 213, 225), (249, 115, 22)


@dataclass(frozen=True, eq=False)
class _Moment:
    """A picture of the film.

    Attributes:
        frame: the newest that is drawn.
        view: in the level world.
        inset: whether that frame's picture lies in the corner.
    """

    frame: int
    view: CameraView
    inset: bool


def write_film(shots: PosedFrames, path: Path) -> None:
    """An MP4, 960x540, 20 pictures a second, some 15 seconds."""
    write_mp4(_pictures(shots, 1), path, _RATE)


def write_animation(shots: PosedFrames, path: Path) -> None:
    """The same as a GIF, 400 pixels wide, for pages that play no film."""
    height = round(_GIF_WIDTH * SIZE[0] / SIZE[1])
    small = (
        cv2.resize(picture, (_GIF_WIDTH, height), interpolation=cv2.INTER_AREA)
        for picture in _pictures(shots, _GIF_EVERY)
    )
    write_gif(list(small), path, round(_RATE / _GIF_EVERY))


def _pictures(shots: PosedFrames, every: int) -> Iterator[Picture]:
    cameras, depth = poses(shots), float(np.median(shots.first().depth))
    clouds = list(clouds_of(shots, MOST_POINTS))
    whole, ends = Cloud.joined(clouds), np.cumsum([len(cloud) for cloud in clouds])
    sizes = np.concatenate([_sizes(*each) for each in zip(clouds, cameras, strict=True)])
    overview, level = overview_of(shots)
    seen, backdrop = overview.seen_by(SIZE[1] / SIZE[0]), _backdrop()
    for moment in _moments(level.as_matrix() @ cameras, seen, depth)[::every]:
        shots.on_frame(moment.frame)
        end, shot = ends[moment.frame], shots.shot(moment.frame)
        so_far = Cloud(whole.points[:end], whole.colors[:end])
        path = cameras[: moment.frame + 1, :, 3]
        lines = {_PATH: path, _CAMERA: frustum(shot, _FRUSTUM * depth)[STROKE]}
        pose = pose_of(moment.view.turned(level.inverse()))
        picture = _drawn(so_far, sizes[:end], lines, pose, backdrop)
        if moment.inset:
            _put_inset(picture, shot.prediction.image)
        yield picture


def _moments(cameras: Array, overview: CameraView, depth: float) -> list[_Moment]:
    """The film's pictures: it grows before the overview, then the eye flies, and comes back.

    Args:
        cameras: (S, 3, 4), in the level world.
        overview: of the whole.
        depth: median, of the first frame.
    """
    last, flight = len(cameras) - 1, _flight(cameras, depth)
    frames = np.linspace(0, last, min(last + 1, _GROWING)).round().astype(int)
    turns = (1 - np.cos(np.pi * np.arange(1, _TURNING + 1) / _TURNING)) / 2
    there = [overview.towards(flight[0], share) for share in turns]
    back = [flight[-1].towards(overview, share) for share in turns]
    growing = [_Moment(int(frame), overview, True) for frame in frames]
    return growing + [_Moment(last, view, False) for view in (*there, *flight, *back)]


def _flight(cameras: Array, depth: float) -> list[CameraView]:
    """Along the path of cameras (S, 3, 4), behind and above it, looking where they looked."""
    level = 1 - np.abs(UP)
    ahead, upward = level * cameras[:, :, 2], level * -cameras[:, :, 1]
    looks_down = np.linalg.norm(ahead, axis=1, keepdims=True) < _STEEP
    ahead = np.where(looks_down, upward, ahead)
    places, smooth = np.linspace(0, len(cameras) - 1, _FLYING), _SMOOTH * _FLYING
    path, ahead = (
        gaussian_filter1d(
            np.stack([np.interp(places, np.arange(len(each)), axis) for axis in each.T], axis=1),
            smooth,
            axis=0,
            mode="nearest",
        )
        for each in (cameras[:, :, 3], ahead)
    )
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    eyes = path + depth * (_ABOVE * UP - _BEHIND * ahead)
    return [
        CameraView(eye, at + depth * way, UP, FIELD_OF_VIEW)
        for eye, at, way in zip(eyes, path, ahead, strict=True)
    ]


def _sizes(cloud: Cloud, world_from_cam: Array) -> Array:
    """(N,) across each point of a frame: they lie the farther apart, the farther they were."""
    away = np.linalg.norm(cloud.points - world_from_cam[:, 3], axis=1)
    return cloud.size * away / max(float(np.median(away)), 1e-9) if len(away) else away


def _backdrop() -> Picture:
    """As large as pictures are drawn first."""
    shade = np.linspace(_TOP, _BOTTOM, _FINER * SIZE[0])[:, None]
    return shade.repeat(_FINER * SIZE[1], axis=1).astype(np.uint8)


def _drawn(
    cloud: Cloud,
    sizes: Array,
    lines: dict[tuple[int, ...], Array],
    pose: Array,
    backdrop: Picture,
) -> Picture:
    """Points, and lines over them, of colours each; (H, W, 3)."""
    size = backdrop.shape[:2]
    focal = size[0] / 2 / np.tan(FIELD_OF_VIEW / 2) / size[1]
    picture = render(cloud, pose, focal, backdrop, _FINER, sizes)
    for colour, points in lines.items():
        pixels = pixels_of(points, pose, focal, size).clip(-_OUTSIDE, _OUTSIDE)
        for one, other in itertools.pairwise(pixels):
            if np.isfinite([one, other]).all():
                (x, y), (u, v) = one.astype(int).tolist(), other.astype(int).tolist()
                cv2.line(picture, (x, y), (u, v), colour, _FINER, cv2.LINE_AA)
    return cv2.resize(picture, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)


def _put_inset(picture: Picture, image: Picture) -> None:
    """The frame's own picture in the corner at the bottom left."""
    share = min(_INSET * SIZE[1] / image.shape[1], _INSET * SIZE[1] / image.shape[0])
    width, height = (round(share * side) for side in image.shape[1::-1])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    picture[-height - _RIM : -_RIM, _RIM : width + _RIM] = small
