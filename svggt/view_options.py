"""What of a scene is shown, and how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Show = Literal["all frames", "one frame"]
Cameras = Literal["refined", "head"]
DrawAs = Literal["points", "surfels"]
CamerasChoice = Literal["auto", "refined", "head"]

CONFIRMED = 2
"""Views that confirm what is shown at first, and exported."""

MOST_CONFIRMED = 3
"""More of them than this count no more."""


@dataclass(frozen=True)
class ViewOptions:
    """Flags of the view; no point is sent for a change of them, but surfels are.

    Attributes:
        draw_as: points, or surfels once no frame comes and all frames are shown.
        show: everything up to the moment shown, or that frame alone.
        cameras: by which frames stand.
        confirmed: by how many other views points must be confirmed to be shown, 0 to 3; or by all
            that have looked at them.
        far: also points much further than the rest of their frame.
        sky: also what looks like the sky.
        trajectory: the way that the camera went.
        frustums: and where it looked.
        floor: a grid under the scene, and a scale bar on it.
        point_size: times the size that closes the gaps.
        follow: the view goes with the camera.
    """

    draw_as: DrawAs = "points"
    show: Show = "all frames"
    cameras: Cameras = "head"
    confirmed: int = CONFIRMED
    far: bool = True
    sky: bool = False
    trajectory: bool = True
    frustums: bool = True
    floor: bool = True
    point_size: float = 1.0
    follow: bool = False

    def within_limits(self) -> ViewOptions:
        """The same with what a view can show."""
        confirmed, size = (
            min(MOST_CONFIRMED, max(0, self.confirmed)),
            min(3.0, max(0.5, self.point_size)),
        )
        return replace(self, confirmed=confirmed, point_size=size)


def chosen_cameras(choice: CamerasChoice, head_holds: bool) -> Cameras:
    """By which cameras a scene is shown at first; `auto`: those that frames line up by.

    Args:
        choice: what whoever runs it asked for.
        head_holds: whether the camera head's do, with the weights at hand.
    """
    if choice != "auto":
        return choice
    return "head" if head_holds else "refined"
