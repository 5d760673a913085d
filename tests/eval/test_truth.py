"""Ground truth: where it lies, and that a perfect run is found perfect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svggt import geometry, metrics
from svggt.compare.agreement import Seen, agreement_of
from svggt.data.layouts import open_sequence
from svggt.data.truth import Truth
from svggt.media.examples import EXAMPLES
from svggt.prediction import FramePrediction
from svggt.scene.posed_frame import PosedFrame

SIZE = (154, 224)


def perfect(truth: Truth, number: int) -> PosedFrame:
    """What a model would say that knew it all, in a world and a scale of its own."""
    assert truth.intrinsics is not None
    depth = truth.depth(number)
    assert depth is not None
    sized = metrics.resample(depth, SIZE)
    return PosedFrame(
        FramePrediction(
            number=number,
            time_s=number / truth.rate,
            image=np.zeros((*SIZE, 3), np.uint8),
            cam_from_world=geometry.invert(truth.world_from_cam[number]),
            intrinsics=truth.intrinsics * np.array([[SIZE[1]], [SIZE[0]], [1]]),
            depth=np.where(sized > 0, sized, 1.0).astype(np.float32),
            depth_conf=np.ones(SIZE, np.float32),
            world_points=None,
            world_points_conf=None,
            seconds=0.1,
            memory_bytes=0,
        ),
        None,
    )


def test_a_perfect_run_of_the_office_is_perfect() -> None:
    """With its own principal point, and a picture that is stretched to whole patches."""
    source = EXAMPLES[0].truth
    assert source is not None
    truth, pairs = Truth.load(source), []
    for number in range(0, 40, 8):
        other = Seen.true(truth, number / truth.rate, SIZE)
        assert other is not None
        pairs.append((Seen.of(perfect(truth, number)), other))
    found = agreement_of(pairs)
    assert found.absrel < 1e-6 and found.delta1 == 1.0 and found.rotation_deg < 1e-4
    assert found.ate < 1e-5 and found.chamfer is not None and found.chamfer < 1e-4


def test_a_moment_after_the_end_has_no_truth() -> None:
    source = EXAMPLES[0].truth
    assert source is not None
    truth = Truth.load(source)
    assert Seen.true(truth, 11.9, SIZE) is not None and Seen.true(truth, 12.0, SIZE) is None


def test_frames_without_depth_have_their_cameras_alone() -> None:
    source = EXAMPLES[0].truth
    assert source is not None
    seen = Seen.true(Truth.load(source), 0.1, SIZE)
    assert seen is not None and not seen.depth.any()


@pytest.mark.skipif(
    not Path("../shared/eval/7scenes_redkitchen").is_dir(), reason="7-Scenes cannot be shipped"
)
def test_seven_scenes_are_read() -> None:
    sequence = open_sequence(Path("../shared/eval/7scenes_redkitchen"))
    assert sequence.truth.focal == pytest.approx(525 / 640) and len(sequence.pictures) == 100
    assert len(sequence.thinned(3).pictures) == 34
