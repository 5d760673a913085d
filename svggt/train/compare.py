"""Which weights are better: the same clips, streamed and offline, by what a scene needs of them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from svggt.data.layouts import open_sequence
from svggt.data.truth import Truth
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.eval.cameras import head_figures
from svggt.eval.clip_figures import ClipFigures
from svggt.eval.markdown import markdown_table
from svggt.eval.posed_clip import PosedClip
from svggt.eval.smoke import office_frames, office_truth
from svggt.media.frames import Frame
from svggt.train.preview import write_clip

_BETTER = 0.98  # geometric mean of the figures' ratios, from which weights are replaced
_WORSE = 1.10  # of any figure: then they are not
_RENDERED = (10**12, 10**12 + 1000)  # seeds of clips that are no training's
_FRAMES = 120
_SIZE = (168, 224)


@dataclass(frozen=True)
class HeldOutClip:
    """A clip that nothing trains on: frames with their truth."""

    name: str
    frames: list[Frame]
    truth: Truth


@dataclass(frozen=True)
class Verdict:
    """Of weights B against A.

    Attributes:
        ratio: geometric mean over clips and figures of B's error by A's.
        worst: (clip and figure, ratio) that became worst.
    """

    ratio: float
    worst: tuple[str, float]

    @property
    def replaces(self) -> bool:
        """Whether B takes A's place."""
        return self.ratio <= _BETTER and self.worst[1] <= _WORSE


Table = dict[str, ClipFigures]
"""Clip and way of running to its figures."""


def held_out_clips(folders: list[Path], width: int) -> Iterator[HeldOutClip]:
    """The office, rendered clips that nothing trains on, and folders with poses."""
    yield HeldOutClip("office", office_frames(width), office_truth())
    for number, seed in enumerate(_RENDERED):
        with tempfile.TemporaryDirectory() as folder:
            write_clip(Path(folder), _FRAMES, seed, torch.device("cpu"), _SIZE)
            yield _of_folder(f"rendered {number}", Path(folder), width)
    for folder in folders:
        yield _of_folder(folder.name, folder, width)


def table_of(weights: str, clips: list[HeldOutClip]) -> Table:
    """Figures of the camera head and depth, streamed and offline.

    Args:
        weights: a preset or a file.
        clips: to run on.
    """
    streaming = load_model(weights, choose_device())
    ways = {"streamed": streaming, "offline": replace(streaming, causal=False)}
    return {
        f"{clip.name}, {way}": head_figures(model, clip.frames, clip.truth)
        for clip in clips
        for way, model in ways.items()
    }


def judge(a: Table, b: Table) -> Verdict:
    """What weights B are worth beside A, on the same clips."""
    ratios = {
        f"{run}: {name}": value / _errors(a[run])[name]
        for run, figures in b.items()
        for name, value in _errors(figures).items()
        if math.isfinite(value)
    }
    mean = math.exp(sum(math.log(ratio) for ratio in ratios.values()) / len(ratios))
    worst = max(ratios, key=ratios.__getitem__)
    return Verdict(mean, (worst, ratios[worst]))


def markdown(table: Table) -> str:
    """A table for the model card: rotation / ATE for windows of n frames, depth, focal length."""
    cameras = {run: figures.cameras.windows for run, figures in table.items() if figures.cameras}
    sizes = list(dict.fromkeys(size for windows in cameras.values() for size in windows))
    head = ["clip", *(f"n = {size}" for size in sizes), "AbsRel", "delta1", "focal length"]
    rows = []
    for run, figures in table.items():
        windows, depth = [cameras[run].get(size) for size in sizes], figures.depth
        focal = f"{100 * figures.focal:.1f} %" if math.isfinite(figures.focal) else ""
        rows.append(
            [run]
            + [f"{w['rotation']:.2f} / {w['ate']:.2f}" if w else "" for w in windows]
            + ([f"{depth.absrel_frame:.3f}", f"{depth.delta1:.3f}"] if depth else ["", ""])
            + [focal]
        )
    return markdown_table(head, rows)


def _errors(figures: ClipFigures) -> dict[str, float]:
    """What is compared; less is better."""
    assert figures.cameras is not None and figures.depth is not None  # of clips with a truth
    cameras = {
        f"{name} {size}": value
        for size, window in figures.cameras.windows.items()
        for name, value in window.items()
    }
    return cameras | {"absrel": figures.depth.absrel_frame, "focal": figures.focal}


def _of_folder(name: str, path: Path, width: int) -> HeldOutClip:
    sequence = open_sequence(path)
    truth = sequence.truth
    depths = {number: truth.depth(number) for number in range(len(sequence.depths))}
    # Read now: a rendered folder is gone later.
    return HeldOutClip(name, PosedClip.of(sequence).frames(width), replace(truth, depth=depths.get))
