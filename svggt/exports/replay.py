"""The scene as it grew, frame by frame, for viser's client: a `.viser` file, or a page alone."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
import viser.infra
from viser import transforms

from svggt.scene.frame_poses import FramePoses
from svggt.scene.horizon import levelled_by
from svggt.scene.overview import Overview
from svggt.scene.scene import POINT_BUDGET, Scene
from svggt.store.posed_frames import PosedFrames
from svggt.view_options import ViewOptions

MOST_POINTS = 420_000
"""Of a replay: it plays on any machine."""

HIDE_NOTICES = "<style>.mantine-Notifications-root { display: none !important; }</style>"
"""What viser's client says of itself in corners."""

HOW_TO_DRAW = f"<script>\n{Path(__file__).with_name('how_to_draw.js').read_text('utf-8')}</script>"
"""Begins viser's client: dark, and as fine as a browser can draw."""

DRAWING_KEYS = ("darkMode", "fixedDpr")
"""What that writes into the query of the client's address."""

FRAMES_PER_SECOND = 10.0
"""At which a run is replayed."""

_ASPECT = 1.3  # of the window that a replay begins in, cautiously


def write_viser(shots: PosedFrames, path: Path, most_points: int = MOST_POINTS) -> None:
    """A recording that viser's client plays."""
    path.write_bytes(_recorded(shots, most_points).serialize())


def write_html(shots: PosedFrames, path: Path) -> None:
    """A page that plays it by itself, without a server or a network; its title is the scene's."""
    page = _recorded(shots, MOST_POINTS).as_html(dark_mode=True)
    about = shots.recording.about
    example = about.clip.example if about is not None and about.clip is not None else None
    title = escape(f"svggt: {example or 'scene'}, {shots.count} frames")
    # The first title of a page counts.
    head = f"<head><title>{title}</title>{HOW_TO_DRAW}{HIDE_NOTICES}"
    path.write_text(page.replace("<head>", head, 1), "utf-8")


def _recorded(shots: PosedFrames, most_points: int) -> viser.infra.StateSerializer:
    scene = Scene(shots.recording.frames)
    try:
        if shots.count:  # it is looked at from where all of it is in sight, from the first frame on
            overview, _ = overview_of(shots)
            scene.eye.begin_at(overview.seen_by(_ASPECT))
        most = max(1, shots.count * POINT_BUDGET // most_points)
        scene.reset(most, keep_view=True)
        scene.look(ViewOptions(cameras=shots.cameras))
        scene.around.measure_in(shots.recording.metres)
        recorder = scene.recorder()
        for shot in shots:
            scene.add(shot.prediction, shot.correction)
            recorder.insert_sleep(1 / FRAMES_PER_SECOND)
        scene.settle()
        return recorder
    finally:
        scene.close()


def overview_of(shots: PosedFrames) -> tuple[Overview, transforms.SO3]:
    """Of the whole, as its last frame stands, and what levels its world."""
    each = map(shots.shot, range(shots.count))
    placings = [FramePoses.of(shot.prediction, shot.correction) for shot in each]
    poses = np.stack([placing.pose(shots.cameras) for placing in placings])
    level = levelled_by(poses)
    return Overview.of(placings, shots.cameras, level), level
