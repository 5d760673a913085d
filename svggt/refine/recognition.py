"""Keyframes recognised by what they look like, however long ago they were seen.

A keyframe's corners are described (SIFT), and each descriptor is hashed to a few words by the sides
of random planes that it lies on (Charikar 2002): keyframes that share many rare words (Sivic and
Zisserman 2003) are worth a look at their geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from svggt.refine.field import sample
from svggt.refine.relocalization import Features, mutual_matches
from svggt.refine.tracking import Grey

Array = NDArray[Any]


class _OfKeyframe(Protocol):
    keyframe: int


Numbered = TypeVar("Numbered", bound=_OfKeyframe)
"""Something that is kept of keyframes, with its `keyframe`."""

MOST_KEYFRAMES = 500
"""Whose pictures and features are kept, spread over the stream."""

_FEATURES = 400
_TABLES, _BITS = 6, 16  # words of a descriptor, and planes of a word
_SEED = 0  # of the planes


@dataclass
class KeyframeFeatures:
    """What a keyframe is recognised by: N described points.

    Attributes:
        keyframe: its index.
        pixels: (N, 2) float32.
        descriptors: (N, 128) uint8.
        depths: (N,) float32 z-depths, as the model says them.
        words: (W,) uint32, those that are in it, ascending.
    """

    keyframe: int
    pixels: Array
    descriptors: NDArray[np.uint8]
    depths: Array
    words: NDArray[np.uint32]

    def match(self, other: KeyframeFeatures) -> tuple[Array, Array]:
        """Indices (M,) of points here and there that are each other's nearest, and clearly so."""
        return mutual_matches(self.descriptors, other.descriptors)


@dataclass(frozen=True)
class Describe:
    """Asks for a keyframe's features.

    Attributes:
        keyframe: its index.
        grey: its tracking picture.
        depth: (H, W) z-depth, as the model says it.
    """

    keyframe: int
    grey: Grey
    depth: Array

    def run(self) -> KeyframeFeatures:
        """Finds and describes points."""
        found = Features.of(self.grey, _FEATURES)
        pixels = found.pixels.astype(np.float32)
        depths = sample(self.depth, pixels, self.grey.shape).astype(np.float32)
        words, descriptors = _words(found.descriptors), found.descriptors.astype(np.uint8)
        return KeyframeFeatures(self.keyframe, pixels, descriptors, depths, words)


def most_alike(known: list[KeyframeFeatures], new: KeyframeFeatures, count: int) -> list[int]:
    """Positions in a list of those that share most with a new one, best first."""
    if not known:
        return []
    # A word counts by how few keyframes have it.
    words = np.concatenate([each.words for each in known])
    owners = np.repeat(np.arange(len(known)), [len(each.words) for each in known])
    shared = np.isin(words, new.words)
    _, word, holders = np.unique(words[shared], return_inverse=True, return_counts=True)
    rarity = np.log((1 + len(known)) / holders)[word]
    scores = np.bincount(owners[shared], rarity, minlength=len(known))
    return [int(i) for i in np.argsort(-scores)[:count] if scores[i] > 0]


def remember(known: list[Numbered], new: Numbered) -> list[Numbered]:
    """The list with one more; the one whose neighbours in time stand nearest makes room."""
    known = [*known, new]
    if len(known) <= MOST_KEYFRAMES:
        return known
    numbers = np.array([each.keyframe for each in known])
    crowded = int(np.argmin(numbers[2:] - numbers[:-2])) + 1
    return known[:crowded] + known[crowded + 1 :]


def _words(descriptors: Array) -> NDArray[np.uint32]:
    """Those of (N, 128) descriptors, ascending."""
    # Root SIFT (Arandjelovic and Zisserman 2012) without its mean: signs need a centre.
    roots = np.sqrt(descriptors / (descriptors.sum(axis=1, keepdims=True) + 1e-9))
    sides = ((roots - roots.mean(axis=1, keepdims=True)) @ _planes()) > 0
    digits = sides.reshape(-1, _TABLES, _BITS) @ (1 << np.arange(_BITS))
    return np.unique(digits + (np.arange(_TABLES) << _BITS)).astype(np.uint32)


@cache
def _planes() -> Array:
    return np.random.default_rng(_SEED).normal(size=(128, _TABLES * _BITS)).astype(np.float32)
