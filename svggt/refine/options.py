"""What refinement is tuned by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefineOptions:
    """What refinement is tuned by; found on the office and kitchen clips (docs/refine.md).

    Attributes:
        corners: followed at once.
        window: keyframes adjusted together,
        held: and older ones, fixed, that hold them in place.
        distance_trust: the depth prior's sigma, in spreads of the model's depth about the
            landmarks: errors inside one map are alike, so it must be weaker than they look.
        begun: the most that this sigma may be until more than one pose is held.
        carry: what a landmark holds whose first keyframe has left: triangulation's spreads.
        focal_trust: the focal length's first prior's sigma, in spreads of the head's values.
        radial_sigma: standard deviation of the distortion's prior, which is 0.
        turned: degrees within a window below which both are held as they are.
        baseline: a window whose cameras lie nearer together than this share of the landmarks'
            distance says nothing of depth and is left as tracking has it.
        pull: how much of a keyframe's log scale is forgotten: tracking keeps scale from frame
            to frame but drifts, the model's own scale is noisy but does not.
        alive: a keyframe is due when a smaller share of its corners lives on,
        parallax: or when they moved by this share of the width (median).
        reach: the least that motion may differ from what it was, in depths of the last picture.
        fastest: depths of the last picture a second; a faster camera is refused. However fast it
            turns it is not.
        followed: share of the visible landmarks below which they are also looked for by looks.
        weak: share of inliers below which a pose is called weak.
        agreement: share of the picture below which it is called weak too.
        lost: share of inliers below which a pose is refused.
        drop_pixels: landmarks with a larger error in the window are dropped.
        seed: RANSAC's.
    """

    corners: int = 350
    window: int = 10
    held: int = 4
    distance_trust: float = 20.0
    begun: float = 0.6
    carry: float = 3.0
    focal_trust: float = 3.0
    radial_sigma: float = 0.05
    turned: float = 6.0
    baseline: float = 0.02
    pull: float = 0.02
    alive: float = 0.8
    parallax: float = 0.03
    weak: float = 0.5
    agreement: float = 0.63
    lost: float = 0.25
    reach: float = 0.05
    fastest: float = 20.0
    followed: float = 0.5
    drop_pixels: float = 4.0
    seed: int = 0
