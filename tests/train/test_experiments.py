"""Which weights are better, what a teacher's failure is, and what counts as a difference."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svggt.eval.clip_figures import ClipFigures, DepthFigures, PoseFigures
from svggt.train.__main__ import main
from svggt.train.ablation import verdict
from svggt.train.batch import targets_of
from svggt.train.compare import judge, markdown
from svggt.train.distil import TeacherOutput, teacher_of
from svggt.train.figures import Figures, figures_of
from svggt.train.objective import draw_queries
from svggt.train.probe import predicted
from svggt.train.report import write_report
from svggt.train.runs import read_log, remember
from svggt.train.study import VARIANTS, overfit, run_variant, summary
from svggt.train.teacher_corruption import WAYS_TO_FAIL, inherited, rolled
from tests.train.clips import plane, walk

SIZE = (28, 42)


def perfect(batch) -> TeacherOutput:
    targets = targets_of(batch)
    return TeacherOutput(targets.pose_enc, targets.depth[..., None], targets.world_points)


def test_the_truth_errs_by_nothing_and_a_still_camera_by_one() -> None:
    batch = plane(walk(5), SIZE)
    pred = perfect(batch)
    assert max(vars(figures_of(pred, batch)).values()) < 1e-3
    unit = figures_of(replace(pred, world_points=3 * pred.world_points), batch)
    assert unit.accuracy < 1e-3 and unit.completeness < 1e-3
    still = figures_of(replace(pred, pose_enc=pred.pose_enc[:, :1].expand(1, 5, 9)), batch)
    assert still.rotation == pytest.approx(1, abs=1e-3) and still.ate == pytest.approx(1, abs=1e-3)
    bent = pred.world_points * torch.linspace(1, 2, SIZE[1])[:, None]
    assert figures_of(replace(pred, world_points=bent), batch).accuracy > 0.01


def test_a_clip_that_is_not_good_does_not_count() -> None:
    batch = plane(walk(3), SIZE)
    both = type(batch)(
        **{
            name: getattr(batch, name).repeat(2, *[1] * (getattr(batch, name).ndim - 1))
            for name in ("images", "depth", "world_from_cam", "fields_of_view", "motion")
        },
        when=batch.when,
        good=torch.tensor([True, False]),
    )
    pred = perfect(both)
    pred.depth[1] *= torch.rand(1, 1, SIZE[1], 1)
    assert figures_of(pred, both).absrel < 1e-4


@pytest.mark.parametrize("name", list(WAYS_TO_FAIL))
def test_every_failing_teacher_still_teaches_and_says_something_else(tiny, name: str) -> None:
    batch = plane(walk(3), SIZE)
    two = type(batch)(
        **{
            field: torch.cat([getattr(b, field) for b in (batch, plane(walk(4)[1:], SIZE))])
            for field in ("images", "depth", "world_from_cam", "fields_of_view", "motion", "good")
        },
        when=batch.when,
    )
    queries = draw_queries(two)
    expected = teacher_of(copy.deepcopy(tiny.network))(two, queries)
    pred = WAYS_TO_FAIL[name](tiny.network)(two, queries)
    assert torch.isfinite(pred.depth).all() and pred.pose_enc.shape == expected.pose_enc.shape
    assert not pred.depth.requires_grad
    same = torch.allclose(pred.pose_enc, expected.pose_enc, atol=1e-5)
    assert same == (name == "as it is")


def test_a_perfect_teacher_that_sees_all_upside_down_is_turned_back() -> None:
    """Cameras rolled by half a turn and rolled back are as they were; so are their scenes."""
    batch = plane(walk(4), SIZE)
    target = targets_of(batch).pose_enc
    assert torch.allclose(rolled(rolled(target)), target, atol=1e-5)
    turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    upside = replace(
        batch,
        depth=batch.depth.flip(-1, -2),
        world_from_cam=torch.cat(
            [batch.world_from_cam[..., :3] @ turn, batch.world_from_cam[..., 3:]], dim=-1
        ),
    )
    assert torch.allclose(rolled(targets_of(upside).pose_enc), target, atol=2e-3)


def figures(value: float) -> Figures:
    return Figures(*[value] * 5)


def test_a_difference_counts_where_seeds_agree() -> None:
    results = {("truth alone", seed): figures(0.5 + 0.1 * seed) for seed in range(3)}
    results |= {("both", seed): figures(0.3 + 0.1 * seed + 0.01 * seed) for seed in range(3)}
    results |= {
        ("teacher alone", s): figures(0.5 + 0.1 * s + (0.2, -0.2, 0.1)[s]) for s in range(3)
    }
    assert verdict(results, "both", "absrel").startswith("better (-0.190")
    assert verdict(results, "teacher alone", "absrel").startswith("inconclusive")
    del results["both", 1], results["both", 2]
    assert verdict(results, "both", "absrel") == "inconclusive (-0.200, one seed)"


def test_what_is_inherited_is_a_share_of_what_the_teacher_lost() -> None:
    pred = {"as it is": figures(0.2), "noise": figures(0.6)}
    learnt = {"as it is": figures(0.3), "noise": figures(0.4)}
    assert inherited(pred, learnt, "noise")("absrel") == "0.400 (25 %)"
    assert inherited(pred, learnt, "as it is")("absrel") == "0.300"


def camera(rotation: float, ate: float, absrel: float) -> ClipFigures:
    window = {"rotation": rotation, "ate": ate}
    cameras = PoseFigures({"8": window, "all": window}, 1.0, 0.0, 0.0)
    return ClipFigures(cameras, None, DepthFigures(absrel, absrel, 0.9, 0.1), 0.05)


def test_weights_are_replaced_where_they_are_better_and_nowhere_much_worse() -> None:
    a = {"office, streamed": camera(0.8, 0.7, 0.2), "office, offline": camera(0.8, 0.7, 0.2)}
    better = {run: camera(0.6, 0.6, 0.2) for run in a}
    assert judge(a, better).replaces and not judge(better, a).replaces
    assert not judge(a, a).replaces
    mixed = {"office, streamed": camera(0.2, 0.2, 0.3), "office, offline": camera(0.2, 0.2, 0.2)}
    assert judge(a, mixed).ratio < 0.8 and not judge(a, mixed).replaces
    assert judge(a, mixed).worst == ("office, streamed: absrel", pytest.approx(1.5))
    assert "| office, streamed | 0.60 / 0.60 |" in markdown(better)


def test_a_report_is_a_picture_of_its_logs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = [f"{n},{1 / (n + 1)},{-n},{n},{5},{8}" for n in range(100)]
        text = "\n".join(["step,loss,depth,matched,rotation,motion", *rows])
        (tmp_path / name / "log.csv").write_text(text + "\n")
    log = read_log(tmp_path / "one" / "log.csv")
    assert np.allclose(log["rotation / motion"], 5 / 8) and len(log["step"]) == 100
    write_report([tmp_path / "one", tmp_path / "two"], tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] > 1000 and (pixels.std(axis=2) > 15).sum() > 500  # coloured curves
    height, width = pixels.shape[:2]
    assert (pixels[2 * height // 3 :, width // 2 :] == 255).all()  # four panels, no empty ones
    with pytest.raises(ValueError, match="train for a while"):
        (tmp_path / "one" / "log.csv").write_text("step,loss\n")
        read_log(tmp_path / "one" / "log.csv")


def test_bad_input_is_a_sentence(tmp_path: Path) -> None:
    for asked in (
        ["report", str(tmp_path / "nowhere")],
        ["mixed", str(tmp_path / "out"), "--weights", str(tmp_path / "nowhere.safetensors")],
        ["mixed", str(tmp_path / "out"), "--data", f"{tmp_path}=1"],
        ["mixed", str(tmp_path / "out"), "--supervised-weight", "0"],
        ["mixed", str(tmp_path / "out"), "--rendered", "0"],
        ["student", str(tmp_path / "out")],
        ["mixed", str(tmp_path / "out"), "--weights", str(Path(__file__))],
        ["study", str(tmp_path), "--variants", "nonsense"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(asked)
        assert str(ended.value.code).startswith("svggt: ")


def test_a_folder_is_gone_on_with_as_it_was_begun(tmp_path: Path) -> None:
    remember(tmp_path / "run", {"lr": 1e-3, "layers": (1, 3)})
    remember(tmp_path / "run", {"lr": 1e-3, "layers": (1, 3)})
    with pytest.raises(ValueError, match=r"lr was 0\.001, is 0\.1"):
        remember(tmp_path / "run", {"lr": 0.1, "layers": (1, 3)})


def test_a_reader_reads_what_is_there() -> None:
    tokens = torch.randn(400, 8)
    there = tokens @ torch.randn(8, 2) + 0.01 * torch.randn(400, 2)
    assert predicted(tokens, there) > 0.99
    assert predicted(tokens, torch.randn(400, 2)) < 0.1


@pytest.mark.slow
def test_pose_is_learnt(tmp_path: Path) -> None:
    """Four fixed clips are overfitted from nothing: rotation error within 10 % of the motion."""
    begun = overfit(VARIANTS["recipe"], seed=0)
    run_variant(begun, steps=200, every=20, seed=0, path=tmp_path / "log.csv")
    log = read_log(tmp_path / "log.csv")
    assert log["rotation error"][0] > 0.5  # it did not know
    assert log["rotation error"][-1] < 0.10 and log["translation error"][-1] < 0.2
    assert "| recipe |" in summary({"recipe": [log]})
