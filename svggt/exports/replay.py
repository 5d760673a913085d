"""The scene as it grew, frame by frame, for viser's client: a `.viser` file, or a page alone."""

from __future__ import annotations

from pathlib import Path

import viser.infra

from svggt.scene.scene import POINT_BUDGET, Scene
from svggt.store.posed_frames import PosedFrames
from svggt.view_options import ViewOptions

MOST_POINTS = 800_000
"""Of a replay: it plays on any machine."""

_FRAMES_PER_SECOND = 10.0


def write_viser(shots: PosedFrames, path: Path, most_points: int = MOST_POINTS) -> None:
    """A recording that viser's client plays."""
    path.write_bytes(_recorded(shots, most_points).serialize())


def write_html(shots: PosedFrames, path: Path) -> None:
    """A page that plays it by itself, without a server or a network."""
    path.write_text(_recorded(shots, MOST_POINTS).as_html(), "utf-8")


def _recorded(shots: PosedFrames, most_points: int) -> viser.infra.StateSerializer:
    scene = Scene(shots.recording.frames)
    try:
        scene.reset(max_frames=max(1, shots.count * POINT_BUDGET // most_points))
        scene.look(ViewOptions(cameras=shots.cameras))
        recorder = scene.recorder()
        for shot in shots:
            scene.add(shot.prediction, shot.correction)
            recorder.insert_sleep(1 / _FRAMES_PER_SECOND)
        scene.settle()
        return recorder
    finally:
        scene.close()
