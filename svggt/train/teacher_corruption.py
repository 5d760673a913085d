"""What does a student inherit of a teacher that fails? Every way of failing, one student each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from svggt.model.network import VGGT
from svggt.train.batch import ClipBatch
from svggt.train.distil import Teacher, TeacherOutput, teacher_of
from svggt.train.figures import Figures, figures_of, mean_of
from svggt.train.objective import Objective, draw_queries
from svggt.train.options import WAYS
from svggt.train.poses import quaternion_of, rotation_of
from svggt.train.students import (
    STUDENT,
    Student,
    StudentResult,
    begun_at,
    cell_of,
    evaluated,
    figures_by,
    table,
    teach_all,
)

_NOISE = 0.25  # standard deviation, of pictures in [0, 1]
_STEP = 8 / 255  # of every pixel, against the teacher
_LOST = 1e-3  # of a figure that a teacher must lose, so that a share of it says something


def noisy(network: VGGT) -> Teacher:
    """Sees pictures with grain."""
    return _seeing(network, lambda images: images + _NOISE * torch.randn_like(images))


def shifted(network: VGGT) -> Teacher:
    """Sees a domain that it was not made for: dusk, blue for red."""
    return _seeing(network, lambda images: images.flip(2) ** 3)


def adversarial(network: VGGT) -> Teacher:
    """Sees pictures that are changed a little so that its errors grow most (one signed step)."""
    teach = teacher_of(copy.deepcopy(network))
    asked = replace(WAYS["teacher"], matching=0.0, displacement=0.0)
    objective = Objective(copy.deepcopy(network).requires_grad_(False), asked)

    def taught(batch: ClipBatch, queries: Tensor) -> TeacherOutput:
        images = batch.images.clone().requires_grad_(True)
        with torch.enable_grad():
            losses, _ = objective(replace(batch, images=images), False, queries, None)
            (slope,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), images)
        worse = (batch.images + _STEP * slope.sign()).clamp(0, 1)
        return teach(replace(batch, images=worse), queries)

    return taught


def upside_down(network: VGGT) -> Teacher:
    """Sees everything rolled by half a turn; what it says is turned back."""
    teach = teacher_of(copy.deepcopy(network))

    def taught(batch: ClipBatch, queries: Tensor) -> TeacherOutput:
        pred = teach(replace(batch, images=batch.images.flip(-1, -2)), queries)
        return TeacherOutput(
            pose_enc=rolled(pred.pose_enc),
            depth=pred.depth.flip(2, 3),
            world_points=pred.world_points.flip(2, 3) * _HALF_TURN.to(pred.depth),
        )

    return taught


def wrong_poses(network: VGGT) -> Teacher:
    """Gives every clip the cameras of another one."""
    teach = teacher_of(copy.deepcopy(network))

    def taught(batch: ClipBatch, queries: Tensor) -> TeacherOutput:
        pred = teach(batch, queries)
        return replace(pred, pose_enc=pred.pose_enc.roll(1, dims=0))

    return taught


WAYS_TO_FAIL: dict[str, Callable[[VGGT], Teacher]] = {
    "as it is": lambda network: teacher_of(copy.deepcopy(network)),
    "noise": noisy,
    "adversarial": adversarial,
    "upside down": upside_down,
    "wrong poses": wrong_poses,
    "domain shift": shifted,
}

_HALF_TURN = torch.tensor([-1.0, -1.0, 1.0])


def rolled(pose_enc: Tensor) -> Tensor:
    """(B, S, 9) of cameras, all turned by half a turn about their axes of view."""
    turn = _HALF_TURN.to(pose_enc)
    rotation = turn[:, None] * rotation_of(pose_enc[..., 3:7]) * turn
    return torch.cat([turn * pose_enc[..., :3], quaternion_of(rotation), pose_enc[..., 7:]], dim=-1)


def run_failure(network: VGGT, steps: int, seeds: int, folder: Path) -> StudentResult:
    """Teaches by failing teachers, and says how much of a failure is inherited.

    Args:
        network: teacher and beginning of every student.
        steps: that each student takes.
        seeds: how many students each variant has.
        folder: for results.csv.

    Returns:
        With two tables: what teachers say, and what their students say in the end.
    """
    teachers = {name: fail(network) for name, fail in WAYS_TO_FAIL.items()}
    students = [Student(name, STUDENT, teacher) for name, teacher in teachers.items()]
    results = teach_all(students, network, steps, seeds, folder / "results.csv")
    pred = {name: _said_by(teacher) for name, teacher in teachers.items()}
    learnt = {name: mean_of(figures_by(results, name)) for name in teachers}
    text = "\n".join(
        [
            "What the teacher says:",
            table({name: cell_of(figures) for name, figures in pred.items()}),
            "",
            "What its student says, and the share of the teacher's loss that it inherits:",
            table({name: inherited(pred, learnt, name) for name in teachers}),
        ]
    )
    return StudentResult(results, begun_at(network), text)


def inherited(
    pred: dict[str, Figures], learnt: dict[str, Figures], name: str
) -> Callable[[str], str]:
    """A cell: the student's figure, and how much of the teacher's loss it has too."""

    def cell(figure: str) -> str:
        value = getattr(learnt[name], figure)
        lost = getattr(pred[name], figure) - getattr(pred["as it is"], figure)
        if lost < _LOST:
            return f"{value:.3f}"
        share = (value - getattr(learnt["as it is"], figure)) / lost
        return f"{value:.3f} ({100 * share:.0f} %)"

    return cell


def _seeing(network: VGGT, change: Callable[[Tensor], Tensor]) -> Teacher:
    teach = teacher_of(copy.deepcopy(network))

    def taught(batch: ClipBatch, queries: Tensor) -> TeacherOutput:
        return teach(replace(batch, images=change(batch.images).clamp(0, 1)), queries)

    return taught


def _said_by(teacher: Teacher) -> Figures:
    return mean_of([figures_of(teacher(b, draw_queries(b)), b) for b in evaluated()])
