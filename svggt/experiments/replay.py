"""Records the replay of an example: what a run of it looks like in the scene, as `.viser`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from svggt.archive import FrameArchive
from svggt.checkpoints import load_model
from svggt.clips import open_clip
from svggt.devices import choose_device
from svggt.frames import InputLimits
from svggt.model.policies import window
from svggt.refine.refiner import Refiner
from svggt.refine.solver import SolverProcess, WaitingSolver
from svggt.scene import POINT_BUDGET, Look, Scene
from svggt.stream import Stream

_POINTS = 200_000  # of a replay: it plays on any machine while the page loads


def record_replay(clip_path: Path, target: Path, model: str, rate: float, frames: int) -> int:
    """Streams a clip into a scene and writes viser's recording of it.

    Args:
        clip_path: a video.
        target: the `.viser` file to write.
        model: preset or path.
        rate: frames a second taken from the clip; the replay runs at the same pace.
        frames: at most.

    Returns:
        Bytes written.
    """
    loaded = load_model(model, choose_device())
    limits = InputLimits(max_frames=frames)
    clip = open_clip([clip_path], loaded.input_width, rate, limits)
    stream = Stream(loaded, window(8))
    archive = FrameArchive(Path(tempfile.mkdtemp(prefix="svggt-replay-")))
    scene = Scene(archive)
    try:
        with SolverProcess() as process:
            refiner = Refiner(WaitingSolver(process))
            scene.reset(max_frames=frames * POINT_BUDGET // _POINTS)
            scene.look(Look(cameras="head" if loaded.cameras_hold else "refined"))
            recorder = scene.recorder()
            for frame in clip.frames():
                prediction = stream.step(frame)
                corrections = refiner.add(frame.grey, prediction)
                archive.add(prediction)
                scene.add(prediction, corrections[-1])
                scene.correct(corrections)
                recorder.insert_sleep(1 / rate)
            scene.correct(refiner.settle())
            scene.settle()
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.write_bytes(recorder.serialize())
    finally:
        scene.close()
        archive.close()
