"""Keyframes adjusted together so that loops close: a graph of similarities (GTSAM).

Each keyframe is a similarity from its camera's axes into the world (Strasdat, Montiel and Davison
2010): what tracking says of neighbours may bend and grow a little, what a loop says holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gtsam
import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity
from svggt.refine.loops import Loop

Array = NDArray[Any]

_STEP = (0.004, 0.05, 0.02)  # radians, of the way, of log scale: between neighbours
_STEP_DEPTH = 0.003  # of the depth, added to the way's
_LOOSE = 100.0  # times that where tracking was lost
_LOOP = (0.02, 0.03, 0.5)  # radians, of the depth, of log scale: depths of both may be off
_LEVEL = 0.3  # of each keyframe's log scale, by the model's depth
_FREEDOMS = 7  # of a similarity
_HELD = 1e-4
_FREE = 1e3
_ITERATIONS = 30


@dataclass(frozen=True)
class PoseGraph:
    """Asks how K keyframes stand if their loops are closed.

    Attributes:
        nodes: the keyframes, oldest first; the first one stays.
        tied: (K - 1,) whether each is tied to the next one by what was tracked.
        depths: (K,) median z-depth of each, in its own scale.
        loops: what holds, the newest last.
    """

    nodes: list[Similarity]
    tied: NDArray[np.bool_]
    depths: Array
    loops: list[Loop]

    def run(self) -> Closed:
        """The keyframes, adjusted (Levenberg-Marquardt).

        Raises:
            RuntimeError: the graph is singular.
        """
        graph, chain, values = *(gtsam.NonlinearFactorGraph() for _ in range(2)), gtsam.Values()
        nodes = [_similarity(node) for node in self.nodes]
        for key, node in enumerate(nodes):
            values.insert(key, node)
            level = _sigmas(_FREE, _FREE, _LEVEL)
            graph.add(gtsam.PriorFactorSimilarity3(key, node, level))
        graph.add(gtsam.PriorFactorSimilarity3(0, nodes[0], _sigmas(_HELD, _HELD, _HELD)))
        for key, tied in enumerate(self.tied.tolist()):
            between = nodes[key].between(nodes[key + 1])
            way = float(np.linalg.norm(_rigid(between)[:, 3]))
            shift = _STEP[1] * way + _STEP_DEPTH * self.depths[key]
            loose = 1.0 if tied else _LOOSE
            noise = _sigmas(loose * _STEP[0], loose * shift, loose * _STEP[2])
            chain.add(gtsam.BetweenFactorSimilarity3(key, key + 1, between, noise))
        graph.push_back(chain)
        for loop in self.loops:
            noise = _sigmas(_LOOP[0], _LOOP[1] * loop.depth, _LOOP[2])
            between = _similarity(loop.old_from_new)
            graph.add(gtsam.BetweenFactorSimilarity3(loop.old, loop.new, between, noise))
        parameters = gtsam.LevenbergMarquardtParams()
        parameters.setMaxIterations(_ITERATIONS)
        result = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
        found = [result.atSimilarity3(key) for key in range(len(nodes))]
        scales, poses = np.array([each.scale() for each in found]), np.stack([*map(_rigid, found)])
        if not (np.isfinite(scales).all() and np.isfinite(poses).all()):
            raise RuntimeError("the loops have no finite solution")
        newest = self.loops[-1]
        begin, end = sorted((newest.old, newest.new))
        steps = np.mean([chain.at(step).error(result) for step in range(begin, end)])
        loop = graph.at(graph.size() - 1).error(result)
        bent, missed = (float(np.sqrt(2 * error / _FREEDOMS)) for error in (steps, loop))
        return Closed(self, scales, poses, bent, missed)


@dataclass(frozen=True)
class Closed:
    """Adjusted keyframes.

    Attributes:
        task: what was asked.
        scales: (K,) of each node.
        poses: (K, 3, 4) world_from_cam.
        bent: standard deviations by which the steps that the newest loop spans disagree with
            what was tracked (root mean square),
        missed: and by which the loop is still open.
    """

    task: PoseGraph
    scales: Array
    poses: Array
    bent: float
    missed: float

    def moves(self, keyframe: int) -> Similarity:
        """Where the world about a keyframe goes."""
        node = self.task.nodes[keyframe]
        return Similarity.of_camera(
            self.poses[keyframe], node.rigid, float(self.scales[keyframe] / node.scale)
        )


def _similarity(node: Similarity) -> gtsam.Similarity3:
    """GTSAM's is scale * (R x + t), ours scale * R x + t."""
    rotation, shift = gtsam.Rot3(node.rigid[:, :3]), node.rigid[:, 3] / node.scale
    return gtsam.Similarity3(rotation, shift, node.scale)


def _rigid(node: gtsam.Similarity3) -> Array:
    shift = node.scale() * node.translation()
    return np.concatenate([node.rotation().matrix(), shift[:, None]], axis=1)


def _sigmas(turn: float, shift: float, log_scale: float) -> gtsam.noiseModel.Diagonal:
    return gtsam.noiseModel.Diagonal.Sigmas(np.array([turn] * 3 + [shift] * 3 + [log_scale]))
