"""The sky: found in the clips that show it, and nowhere in rooms."""

from __future__ import annotations

import numpy as np
import pytest

from svggt.media.clips import open_clip
from svggt.media.examples import EXAMPLES
from svggt.media.frames import InputLimits
from svggt.scene.sky import sky

SIZE = (112, 168)
BLUE, PALE = (90, 140, 220), (225, 226, 228)


def outdoors(above: tuple[int, int, int], ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose upper third has one colour, and its depth; the rest is textured, 2 away."""
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    image[:40] = above
    depth = np.full(SIZE, 2.0, np.float32)
    depth[:40] *= ratio
    return image, depth


@pytest.mark.parametrize("colour, ratio", [(BLUE, 1.1), (BLUE, 9.0), (PALE, 2.0)])
def test_what_is_even_and_blue_or_far_above_is_sky(colour, ratio: float) -> None:
    found = sky(*outdoors(colour, ratio))
    assert found[:38].all() and not found[46:].any()


@pytest.mark.parametrize(
    "colour, ratio",
    [(PALE, 1.2), (BLUE, 0.8), ((150, 60, 220), 3.0), ((60, 90, 60), 3.0), ((20, 30, 60), 3.0)],
    ids=["a ceiling", "a near blue wall", "violet", "green", "dark"],
)
def test_other_things_above_are_not(colour, ratio: float) -> None:
    assert not sky(*outdoors(colour, ratio)).any()


def test_blue_that_does_not_reach_the_top_is_none() -> None:
    image, depth = outdoors(BLUE, 2.0)
    image[:20], depth[:20] = image[60:80], 2.0
    assert not sky(image, depth).any()


def test_a_picture_of_nothing_else_has_none() -> None:
    assert not sky(np.full((*SIZE, 3), BLUE, np.uint8), np.ones(SIZE, np.float32)).any()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_of_the_shipped_clips_the_highway_has_it(example) -> None:
    """With the flat depth of a model that knows nothing, which is the hardest."""
    shares = []
    for frame in open_clip([example.clip], 224, 2.0, InputLimits(max_frames=12)).frames():
        depth = np.ones(frame.image.shape[:2], np.float32)
        shares.append(sky(frame.image, depth).mean())
    if example.name == "drive":
        assert min(shares) > 0.25 and max(shares) < 0.5
    else:
        assert max(shares) < 0.1 and np.mean(shares) < 0.02
