"""Records the replay of an example: what a run of it looks like in the scene, as `.viser`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from svggt.cli import run
from svggt.exports.replay import write_viser
from svggt.settings import StreamSettings
from svggt.store.posed_frames import PosedFrames
from svggt.store.recording import Recording

_POINTS = 200_000  # of a replay: it plays on any machine while the page loads


def record_replay(clip: Path, target: Path, model: str, rate: float, frames: int) -> int:
    """Streams a clip and writes viser's recording of it.

    Args:
        clip: a video.
        target: the `.viser` file to write.
        model: preset or path.
        rate: frames a second taken from the clip.
        frames: at most.

    Returns:
        Bytes written.
    """
    with tempfile.TemporaryDirectory(prefix="svggt-replay-") as folder:
        out = Path(folder)
        run((clip,), out, (), StreamSettings(model, refine=True), rate=rate, frames=frames)
        recording = Recording(out)
        about = recording.about
        assert about is not None
        shots = PosedFrames.of(recording, about.look.cameras)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_viser(shots, target, _POINTS)
    return target.stat().st_size
