"""The example clips that the page offers. Sources and licences: assets/LICENSES.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svggt.data.truth import TruthFile
from svggt.files import ASSETS


@dataclass(frozen=True)
class Example:
    """A clip of the gallery.

    Attributes:
        name: what its files' names begin with.
        title: for people.
        frames_per_second: taken from the clip, chosen so that neighbours overlap.
        truth: its true cameras and depth.
    """

    name: str
    title: str
    frames_per_second: float
    truth: TruthFile | None = None

    @property
    def clip(self) -> Path:
        """The video."""
        return ASSETS / "clips" / f"{self.name}.mp4"

    @property
    def picture(self) -> Path:
        """One of its frames."""
        return ASSETS / "clips" / f"{self.name}.jpg"

    @property
    def replay(self) -> Path:
        """Its run as recorded: a `.viser` file that viser's own client plays."""
        return ASSETS / "replays" / f"{self.name}.viser"


EXAMPLES = (
    Example("office", "Office", 10.0, TruthFile(ASSETS / "clips" / "office_truth.npz", rate=10.0)),
    Example("drive", "Highway", 5.0),
    Example("alley", "Alley", 15.0),
    Example("room", "Rendered", 10.0, TruthFile(ASSETS / "clips" / "room_truth.npz", rate=10.0)),
)
