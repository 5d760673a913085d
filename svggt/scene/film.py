"""Films of pictures, written by imageio: MP4 (H.264), or GIF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

_open: Any = imageio.imopen  # its types know nothing of what plugins offer
_MP4: Any = {"plugin": "pyav", "extension": ".mp4", "container": "mp4"}
_GIF: Any = {"plugin": "pillow", "extension": ".gif"}


def write_mp4(pictures: Iterable[NDArray[np.uint8]], path: Path, frames_per_second: int) -> None:
    """Pictures (H, W, 3) of one size, even in both directions; they are read one at a time."""
    with path.open("wb") as file, _open(file, "w", **_MP4) as film:
        film.init_video_stream("libx264", fps=frames_per_second, pixel_format="yuv420p")
        for picture in pictures:
            film.write_frame(picture)


def write_gif(pictures: Sequence[NDArray[Any]], path: Path, frames_per_second: int) -> None:
    """Pictures (H, W, 3) of one size, which begin again for ever."""
    with path.open("wb") as file, _open(file, "w", **_GIF) as film:
        film.write(np.stack(pictures), duration=1000 / frames_per_second, loop=0)
