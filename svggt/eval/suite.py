"""Many clips, real, degraded and rendered, so that nothing can be tuned to one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import av
import numpy as np

from svggt.data.layouts import open_sequence
from svggt.data.truth import Truth, TruthFile
from svggt.engine.checkpoints import LoadedModel
from svggt.eval import degrade
from svggt.eval.cameras import predict
from svggt.eval.degrade import DEGRADATIONS, Degradation
from svggt.eval.posed_clip import PosedClip
from svggt.eval.walks import WALKS, render_walk
from svggt.files import ASSETS
from svggt.media.frames import Frame
from svggt.model.policies import window
from svggt.prediction import FramePrediction

SHARED = Path(__file__).resolve().parents[3] / "shared"
"""Clips that may not be shipped lie there, where they are."""

CACHE = Path("~/.cache/svggt/suite").expanduser()
"""Rendered walks, and what models said of clips."""

_LOOP = (9, 235)  # frames of the loop that see the same, the camera a step to the side
_WIDTH = 560  # pixels of a video's frames here: more than tracking has


@dataclass(frozen=True)
class SuiteClip:
    """One clip of the suite.

    Attributes:
        name: of the clip; what was done to it after a +.
        kind: which goal it counts for: walk, kitchen, loop, mover, view, blur, drive, other.
        load: reads or renders it; None where a file is not there.
    """

    name: str
    kind: str
    load: Callable[[], PosedClip | None]


def suite(quick: bool = False) -> list[SuiteClip]:
    """All clips; `quick`: a few of them, for four minutes."""
    every = [*_real(), *_rendered()]
    if not quick:
        return every
    chosen = {clip.name: clip for clip in every}
    real = [_thinned(chosen[name], every=2) for name in _QUICK]
    return [*real, chosen["room"]]


def cached_predictions(
    model: LoadedModel, name: str, frames: list[Frame]
) -> Iterator[FramePrediction]:
    """What a model says of a clip's frames; from a file, if it said it before.

    Args:
        model: whose weights and numbers name the file, with the frames' pixels.
        name: of the clip.
        frames: its frames, in order.
    """
    digest = hashlib.sha256(f"{model.sha256} {model.device.dtype}".encode())
    for frame in frames:
        digest.update(frame.image.tobytes())
    path = CACHE / "predictions" / f"{name}-{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        said = predict(model, frames, window(8))
        names = ("cam_from_world", "intrinsics", "depth", "depth_conf")
        begun = path.with_suffix(".part")
        with begun.open("wb") as file:
            arrays = {n: np.stack([getattr(p, n) for p in said]) for n in names}
            np.savez(file, allow_pickle=False, **arrays)
        begun.rename(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for number, frame in enumerate(frames):
        yield FramePrediction(
            number=number,
            time_s=frame.time_s,
            image=frame.image,
            world_points=None,
            world_points_conf=None,
            seconds=0.0,
            memory_bytes=0,
            **{name: array[number] for name, array in arrays.items()},
        )


_QUICK = ("office", "office+portrait", "kitchen", "kitchen+occluder")


def _real() -> Iterator[SuiteClip]:
    clips: dict[str, tuple[str, Callable[[], PosedClip | None]]] = {
        "office": ("walk", _office),
        "kitchen": ("kitchen", partial(_folder, SHARED / "eval/7scenes_redkitchen")),
        "shelf": ("other", partial(_folder, SHARED / "eval/apc_shelf")),
        "drive": ("drive", partial(_video, ASSETS / "clips/drive.mp4")),
        "alley": ("other", partial(_video, ASSETS / "clips/alley.mp4")),
        "loop": ("loop", partial(_video, SHARED / "eval/walk_loop.mp4", _LOOP)),
    }
    for name, (kind, load) in clips.items():
        yield SuiteClip(name, kind, load)
    yield _thinned(SuiteClip("office", "walk", _office), every=2)
    kinds = {"occluder": "mover", "portrait": "view", "blur": "blur"}
    for name, (kind, load) in clips.items():
        for way, change in DEGRADATIONS.items():
            yield SuiteClip(f"{name}+{way}", kinds.get(way, kind), partial(_degraded, change, load))


def _rendered() -> Iterator[SuiteClip]:
    kinds = {"street": "drive", "street-b": "drive", "room": "kitchen", "room-b": "kitchen"}
    for name in WALKS:
        kind = "view" if name[-2:].isdigit() else kinds.get(name, "walk")
        yield SuiteClip(name, kind, partial(_walk, name))
    more: tuple[tuple[str, str, Degradation], ...] = (
        ("rooms", "blur", degrade.blur),
        ("rooms-b", "mover", degrade.occluder),
        ("rooms-b", "other", degrade.gripper),
        ("rooms", "other", degrade.letterbox),
        ("rooms-b", "walk", degrade.flicker),
        ("street", "drive", degrade.hood),
    )
    for name, kind, change in more:
        load = partial(_walk, name)
        yield SuiteClip(f"{name}+{change.__name__}", kind, partial(_degraded, change, load))


def _thinned(clip: SuiteClip, every: int) -> SuiteClip:
    return SuiteClip(f"{clip.name}/{every}", clip.kind, partial(_every, every, clip.load))


def _every(step: int, load: Callable[[], PosedClip | None]) -> PosedClip | None:
    clip = load()
    return clip and clip.chosen(list(range(0, len(clip.pictures), step)))


def _degraded(change: Degradation, load: Callable[[], PosedClip | None]) -> PosedClip | None:
    clip = load()
    return clip and change(clip).without_bars()


def _office() -> PosedClip | None:
    """The whole depth where it is at hand, else what is shipped of it."""
    whole = _folder(SHARED / "clips/office")
    if whole is None and (whole := _video(ASSETS / "clips/office.mp4")) is not None:
        truth = Truth.load(TruthFile(ASSETS / "clips" / "office_truth.npz", 1.0))
        whole = replace(whole, truth=truth)
    return whole


@cache
def _folder(path: Path, returns: bool = False) -> PosedClip | None:
    return PosedClip.of(open_sequence(path), returns) if path.is_dir() else None


@cache
def _video(path: Path, same: tuple[int, int] | None = None) -> PosedClip | None:
    """All frames of a file of ours, at about the size of tracking."""
    if not path.is_file():
        return None
    with av.open(path) as file:
        width = min(_WIDTH, file.streams.video[0].width)
        height = round(width * file.streams.video[0].height / file.streams.video[0].width)
        pictures = [
            np.asarray(frame.to_image(width=width, height=height, interpolation="AREA"))
            for frame in file.decode(video=0)
        ]
    return PosedClip(pictures, None, same)


def _walk(name: str) -> PosedClip | None:
    folder, walk = CACHE / "walks" / name, WALKS[name]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        render_walk(walk, folder)
    return _folder(folder, walk.returns)
