"""The endpoints of a comparison, for scripts; see `svggt.web.api`."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr
from PIL import Image

from svggt.compare.aligned_frames import Paint
from svggt.compare.comparison import Comparison
from svggt.compare.run_config import Mode, RunConfig
from svggt.errors import BadInput
from svggt.session.registry import Sessions
from svggt.settings import StreamSettings
from svggt.view_options import Cameras
from svggt.web import pictures
from svggt.web.compare_events import compare_as
from svggt.web.endpoint import endpoint, owned


class CompareApi:
    """The endpoints.

    Args:
        sessions: where runs live.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def offer(self) -> None:
        """Registers all endpoints with the blocks that are open."""
        for each in (
            self.compare, self.comparison, self.cancel_comparison, self.paint,
            self.compared_frame, self.both_views,
        ):  # fmt: skip
            gr.api(endpoint(each), api_name=each.__name__, concurrency_limit=None)

    def compare(
        self,
        token: str,
        mode: Mode = "offline",
        settings: StreamSettings = StreamSettings(),
        cameras: Cameras = "refined",
        every: int | None = None,
        frames: int | None = None,
    ) -> dict[str, Any]:
        """Begin another run over the frames that are there, beside the stream.

        The model `auto` means the weights of the stream. With `every` it begins again with every
        so many frames that the stream has; `frames` takes the first so many. The report is the
        export `comparison`.
        """
        session, offered = owned(self._sessions, token), self._sessions.worker.models.offered
        comparison = compare_as(session, offered, RunConfig(mode, settings, cameras), every, frames)
        return dataclasses.asdict(comparison.progress)

    def comparison(self, token: str) -> dict[str, Any]:
        """How far it is; then what both cost, and how far they agree."""
        return dataclasses.asdict(self._compared(token).progress)

    def cancel_comparison(self, token: str) -> None:
        """End it; the stream goes on."""
        self._compared(token).cancel()

    def paint(self, token: str, paint: Paint) -> None:
        """Draw the scene of B by itself ("side by side", "swipe"), or both in it, told apart."""
        self._compared(token).paint_as(paint)

    def compared_frame(self, token: str, number: int) -> dict[str, str]:
        """A frame's pictures (number from 0) of both runs as data: addresses of PNGs."""
        both = pictures.of_both(*self._compared(token).pair(number))
        return {
            name: pictures.as_address(Image.fromarray(pixels), "PNG")
            for name, pixels in both.items()
        }

    def both_views(self, token: str) -> str:
        """Both scenes from the camera of the browser that watches, as a data: address."""
        return pictures.as_address(Image.fromarray(self._compared(token).picture()), "PNG")

    def _compared(self, token: str) -> Comparison:
        comparison = owned(self._sessions, token).comparison
        if comparison is None:
            raise BadInput("There is no comparison. Begin one by /compare.")
        return comparison
