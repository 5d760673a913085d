"""What refinement is tuned by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefineOptions:
    """What refinement is tuned by; found on the office and kitchen clips (docs/refine.md).

    Attributes:
        corners: followed at once.
        window: keyframes adjusted together.
        distance_trust: the depth prior's sigma, in spreads of the model's depth about the
            landmarks: errors inside one map are alike, so it must be weaker than they look.
        focal_sigma: relative, of the focal length's prior.
        baseline: a window whose cameras lie nearer together than this share of the landmarks'
            distance says nothing of depth and is left as tracking has it.
        pull: how much of a keyframe's log scale is forgotten: tracking keeps scale from frame
            to frame but drifts, the model's own scale is noisy but does not.
        alive: a keyframe is due when a smaller share of its corners lives on,
        parallax: or when they moved by this share of the width (median).
        weak: share of inliers below which a pose is called weak.
        lost: share of inliers below which a pose is refused.
        drop_pixels: landmarks with a larger error in the window are dropped.
        seed: of RANSAC.
    """

    corners: int = 200
    window: int = 7
    distance_trust: float = 50.0
    focal_sigma: float = 0.08
    baseline: float = 0.02
    pull: float = 0.1
    alive: float = 0.6
    parallax: float = 0.025
    weak: float = 0.5
    lost: float = 0.25
    drop_pixels: float = 4.0
    seed: int = 0
