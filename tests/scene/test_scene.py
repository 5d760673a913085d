"""The scene: a viser server that grows, sends points once, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from viser import transforms

from svggt.refine.correction import Correction
from svggt.scene.blocks import PointBlock
from svggt.scene.clouds import SKY, banded
from svggt.scene.frame_poses import UP
from svggt.scene.horizon import upright
from svggt.scene.overview import Overview
from svggt.scene.posed_frame import PosedFrame
from svggt.scene.scene import POINT_BUDGET, Scene
from svggt.store.frame_archive import FrameArchive
from svggt.view_options import ViewOptions
from tests.scene.frames import correction, num_nodes, prediction

REFINED = ViewOptions(cameras="refined")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    opened = Scene(FrameArchive(tmp_path))
    opened.reset(max_frames=10)
    yield opened
    opened.close()


def grow(scene: Scene, count: int, refined: bool = False, size: tuple[int, int] = (56, 84)) -> None:
    for number in range(scene.num_frames, scene.num_frames + count):
        made = prediction(number, *size)
        scene._frames.add(made)
        scene.add(made, correction(number, (0.1 * number, 0, 0)) if refined else None)


def sent_by(scene: Scene, act) -> int:
    """Bytes that an act sends besides messages of flags and numbers."""
    recorder = scene.recorder()
    before = sum(buffer.nbytes for buffer in recorder._binary_buffers)
    act()
    sent = sum(buffer.nbytes for buffer in recorder._binary_buffers) - before
    recorder.serialize()
    return sent


def shown(scene: Scene) -> list[int]:
    """Frames whose nodes are shown, in recent nodes or whole blocks."""
    recent = [number for number, bands in scene._points.recent.items() if bands.visible]
    blocks = [b for b in scene._points.blocks if b.version(scene.flags.cameras).visible]
    return sorted([*recent, *(number for b in blocks for number in b.frames)])


def test_a_run_stays_within_the_point_budget(scene: Scene) -> None:
    scene.reset(max_frames=120)
    scene.add(prediction(height=392, width=518))
    assert 120 * scene._points.recent[0].num_points <= POINT_BUDGET


def test_frames_are_nodes_at_their_cameras(scene: Scene) -> None:
    made = [prediction(number, turn=10.0 * number) for number in range(3)]
    for each in made:
        scene.add(each)
    assert scene.num_frames == 3
    pose = made[2].world_from_cam
    world = scene._points.recent[2].placed(pose)[0].points
    expected = banded(PosedFrame(made[2], None), 1)[0].points @ pose[:, :3].T + pose[:, 3]
    assert np.allclose(world, expected, atol=2e-3)  # float16 on the wire
    assert np.allclose(scene._points.recent[2]._frame.position, [0.2, 0, 0])


def test_newest_frame_hides_the_others_and_back(scene: Scene) -> None:
    scene.look(ViewOptions(show="one frame"))
    grow(scene, 4)
    assert shown(scene) == [2, 3]  # the last one stays until the browser has the next
    scene.settle()
    assert shown(scene) == [3]
    scene.look(ViewOptions(show="all frames"))
    assert shown(scene) == [0, 1, 2, 3]


def test_no_flag_sends_a_point(scene: Scene) -> None:
    grow(scene, 40, refined=True)
    looks = [
        ViewOptions(show="one frame"),
        ViewOptions(confirmed=3),
        ViewOptions(confirmed=0, far=False),
        ViewOptions(point_size=2.0),
        ViewOptions(frustums=False, follow=True),
        ViewOptions(trajectory=False),
    ]

    def flip() -> None:
        for look in looks:
            scene.look(look)

    assert sent_by(scene, flip) < 30_000  # the trajectory


def test_confirmations_choose_bands(scene: Scene) -> None:
    grow(scene, 1)
    (first,) = scene._points.recent[0]._handles.values()  # nobody has looked: none is doubted
    sky, blue = scene_of_sky(scene), np.array([100, 140, 230])
    assert set(sky) == {0, SKY} and (sky[SKY].colors == blue).mean() > 0.7
    for least in range(4):
        scene.look(ViewOptions(confirmed=least, far=False))
        assert first.visible and not sky[SKY].visible
        scene.look(ViewOptions(confirmed=least, sky=True))
        assert sky[SKY].visible


def scene_of_sky(scene: Scene) -> dict:
    """One more frame, whose upper third is blue; its nodes by band."""
    made = prediction(1)
    made.image[:18] = (100, 140, 230)
    made.depth[:18] = 4.0
    scene.add(made)
    return scene._points.recent[1]._handles


@pytest.mark.slow
def test_nodes_are_few_and_points_within_the_budget_at_1000_frames(scene: Scene) -> None:
    scene.reset(max_frames=1000)
    grow(scene, 1000, refined=True, size=(28, 42))
    assert num_nodes(scene) <= 400  # as viser counts, with nodes that only hold others
    assert shown(scene) == list(range(1000))
    points = sum(bands.num_points for bands in scene._points.layers)
    assert points <= POINT_BUDGET


def test_any_moment_can_be_shown_again(scene: Scene) -> None:
    grow(scene, 60)
    for moment in (59, 30, 3, 57, 12):
        scene.seek(moment)
        seen = set(shown(scene)) | set(scene._points.part.numbers)
        assert max(seen) == moment == scene.moment
        scene.look(ViewOptions(show="one frame"))
        part = scene._points.part
        assert [*shown(scene), *part.numbers * part.bands.visible] == [moment]
        scene.look(ViewOptions())
    scene.seek(None)
    assert shown(scene) == list(range(60))


def test_a_moment_is_shown_exactly(scene: Scene) -> None:
    """What was merged long ago comes back pixel by pixel."""
    scene.look(ViewOptions(show="one frame"))
    grow(scene, 40)
    scene.seek(5)
    made, pose = prediction(5), prediction(5).world_from_cam
    views = [PosedFrame(prediction(number), None) for number in (2, 8, 11)]
    drawn = scene._points.part.bands.placed(np.eye(3, 4))
    expectations = banded(PosedFrame(made, None), 1, views)
    assert len(expectations[0]) > 1000
    for there, expected in zip(drawn, expectations, strict=True):
        points = expected.points @ pose[:, :3].T + pose[:, 3]
        # Depth is kept as float16: a few points at a picture's rim change their band.
        assert abs(len(there) - len(points)) <= 0.02 * len(points) + 1
        if not len(points):
            continue
        nearest = np.abs(there.points[:, None] - points[None, ::7]).max(axis=2).min(axis=0)
        assert np.mean(nearest < 5e-3) > 0.95


def test_a_frame_is_shown_whatever_became_of_those_around_it(scene: Scene, tmp_path: Path) -> None:
    scene.look(ViewOptions(show="one frame"))
    grow(scene, 40)
    for number, content in ((2, b"damaged"), (8, b"")):
        next(tmp_path.rglob(f"*{number:06}.npz")).write_bytes(content)
    next(tmp_path.rglob("*000011.npz")).unlink()
    scene.seek(5)
    assert sum(map(len, scene._points.part.bands.placed(np.eye(3, 4)))) > 1000


def test_a_block_goes_where_its_frames_go(scene: Scene) -> None:
    """A piece that is joined after it was merged."""
    scene.look(REFINED)
    grow(scene, 24, refined=True)
    block = scene._points.blocks[0]
    assert block.frames == range(8)
    moves = [correction(n, (5 + 0.2 * n, 6, 7), np.log(2.0)) for n in range(24)]
    before = scene._points.blocks[0].bands["refined"].placed(np.eye(3, 4))[0].points
    scene.correct(moves)
    bands = block.bands["refined"]
    assert np.allclose(bands._frame.position, (5, 6, 7))
    assert np.allclose(bands._handles[0].scale, 2)
    after = bands.placed(np.eye(3, 4), np.array(bands._handles[0].scale))[0].points
    assert np.allclose(after, 2 * before, atol=1e-6)


def test_the_view_is_levelled_by_cameras_that_hardly_turn(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number, turn=20.0))
    mean_up = np.mean([p.head[:, :3] @ [0, -1, 0] for p in scene._placings], axis=0)
    levelled = scene._horizon.levelling.as_matrix() @ mean_up
    assert np.degrees(np.arccos(-levelled[1] / np.linalg.norm(levelled))) < 1.5
    assert np.degrees(np.arccos(-mean_up[1])) > 15  # it was not level before


def test_pitched_cameras_that_turn_are_upright_all_the_same() -> None:
    """A walk that looks down 40 degrees for a half turn and ahead for the rest: no roll at all."""
    yaws, pitches = np.linspace(0, np.pi, 40), np.repeat([-40.0, 0.0], 20)
    poses = np.zeros((40, 3, 4))
    for pose, yaw, pitch in zip(poses, yaws, pitches, strict=True):
        turned = transforms.SO3.from_y_radians(yaw) @ transforms.SO3.from_x_radians(
            np.radians(pitch)
        )
        pose[:, :3] = turned.as_matrix()
    mean = (poses[:, :, :3] @ UP).mean(axis=0)
    assert np.degrees(np.arccos(mean @ UP / np.linalg.norm(mean))) > 10
    assert np.degrees(np.arccos(upright(poses) @ UP)) < 4


def test_cameras_that_roll_and_do_not_turn_stay_upright() -> None:
    poses = np.zeros((40, 3, 4))
    for number, pose in enumerate(poses):
        roll = np.radians(30 * np.sin(number * np.pi / 10))
        pose[:, :3] = transforms.SO3.from_z_radians(roll).as_matrix()
    assert np.degrees(np.arccos(upright(poses) @ UP)) < 5


def test_a_correction_moves_a_node_and_sends_no_point(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number))
    scene.look(REFINED)
    moved = correction(1, (5, 6, 7), np.log(2.0))
    assert sent_by(scene, lambda: scene.correct([moved])) < 500  # the trajectory
    bands = scene._points.recent[1]
    assert np.allclose(bands._frame.position, (5, 6, 7))
    # Depth doubled; the refined focal length is 1.25 times shorter, so x and y grow once more.
    assert np.allclose(bands._handles[0].scale, (2.5, 2.5, 2.0))
    assert np.allclose(bands._handles[0].position, np.array([2.5, 2.5, 2.0]) * bands._centre)


def test_depth_is_corrected_before_points_are_sent(scene: Scene) -> None:
    scene.look(REFINED)
    scene.add(prediction(0), correction(0, (0, 0, 0), np.log(2.0)))
    bands = scene._points.recent[0]
    corrected = bands.placed(np.eye(3, 4))[0].points
    plain = banded(PosedFrame(prediction(0), None), 1)[0].points
    assert np.allclose(corrected[:, 2], 2 * plain[:, 2], rtol=1e-2)  # float16
    assert np.allclose(bands._handles[0].scale, 1)
    scene.look(ViewOptions(cameras="head"))  # undoes scale and focal length
    assert np.allclose(bands._handles[0].scale, (0.4, 0.4, 0.5))


def test_settled_depth_is_sent_once(scene: Scene) -> None:
    scene.look(REFINED)
    first = correction(0, (0, 0, 0))
    scene.add(prediction(0), first)
    bent = np.tile(np.linspace(-0.3, 0.3, 18, dtype=np.float32), (12, 1))

    def sent(changed: Correction) -> int:
        return sent_by(scene, lambda: scene.correct([changed]))

    assert sent(replace(first, field=bent)) < 500  # not settled: no point
    assert sent(replace(first, field=bent, settled=True)) > 5000
    assert sent(replace(first, field=-bent, settled=True)) < 500


def test_cameras_flip_and_come_back(scene: Scene) -> None:
    grow(scene, 30, refined=True)
    scene.correct([correction(n, (9, 9, n)) for n in range(30)])
    last = scene._points.recent[29]
    assert np.allclose(last._frame.position, [2.9, 0, 0])  # the head's are shown
    scene.look(REFINED)
    assert np.allclose(last._frame.position, [9, 9, 29]) and shown(scene) == list(range(30))
    scene.look(ViewOptions(cameras="head"))
    assert np.allclose(last._frame.position, [2.9, 0, 0]) and shown(scene) == list(range(30))


def test_marks_measure_the_world_shown(scene: Scene) -> None:
    """Two pixels of a plane 2 units away, 40 apart at a focal length of 80: one unit."""
    grow(scene, 3, refined=True)
    assert len(scene.mark(2, 5, 5)) == 1
    a, b = scene.mark(2, 45, 5)
    assert np.allclose(np.subtract(b, a), [1, 0, 0], atol=1e-3)
    assert len(scene.mark(1, 5, 5)) == 1  # a third one begins anew
    a, b = scene.mark(2, 5, 5)  # in another frame, whose camera stands elsewhere
    assert np.allclose(np.subtract(b, a), [0.1, 0, 0], atol=1e-3)
    scene.marks.label("0.1 m")
    label = scene.marks._label
    assert label is not None and label.visible
    assert np.allclose(label.position, np.add(a, b) / 2, atol=0.1)  # a little nearer
    scene.mark(2, 9, 9)
    assert not [name for name in scene._server.scene._handle_from_node_name if "length" in name]
    scene.mark(2, 5, 5)
    scene.marks.label("0.1 m")
    label = scene.marks._label
    assert label is not None
    scene.look(REFINED)
    assert not label.visible
    assert scene.marks.points == ()  # these worlds have scales of their own
    scene.correct([correction(2, (0.2, 0, 0), np.log(2.0))])
    assert len(scene.mark(2, 5, 5)) == 1
    scene.marks.label("of one point")
    assert scene.marks._label is None
    a, b = scene.mark(2, 45, 5)
    assert np.allclose(np.subtract(b, a), [2.5, 0, 0], atol=1e-2)  # as in the corrected depth


def test_the_scale_bar_says_metres_of_the_cameras_that_measured(scene: Scene) -> None:
    def said() -> str:
        _, label = scene.around._bar._nodes
        return label.text

    grow(scene, 9, refined=True)
    scene.look(REFINED)
    assert said().endswith(("unit", "units"))
    scene.around.measure_in({"refined": 0.5})
    assert said().endswith(("m", "cm"))
    scene.look(ViewOptions(cameras="head"))  # their world has a scale of its own
    assert said().endswith(("unit", "units"))
    scene.look(ViewOptions(cameras="refined", floor=False))
    assert said().endswith(("m", "cm"))
    assert not any(node.visible for node in scene.around._bar._nodes)


def test_the_scale_bar_follows_the_side_that_the_scene_is_looked_at_from(scene: Scene) -> None:
    def across() -> np.ndarray:
        line, _ = scene.around._bar._nodes
        begin, end = line.points[0]
        return (end - begin) / np.linalg.norm(end - begin)

    grow(scene, 2)
    scene.settle()
    whole, cameras = scene.around._lies
    first = across()
    away = transforms.SO3.from_y_radians(1.0) @ whole.away
    scene.around.lie(dataclasses.replace(whole, away=away), cameras)
    assert first @ across() == pytest.approx(np.cos(1.0), abs=1e-3)


def test_the_trajectory_is_coloured_by_trust(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number))
    scene.look(REFINED)
    scene.correct([correction(1, (1, 0, 0)), correction(2, (2, 0, 0), status="lost")])
    colours = scene._trajectory._line.colors
    assert colours.shape == (2, 2, 3) and not np.array_equal(colours[0], colours[1])


def test_reset_empties_the_scene(scene: Scene) -> None:
    grow(scene, 30)
    scene.reset(max_frames=5)
    assert scene.num_frames == 0
    grow(scene, 1)
    assert scene.num_frames == 1 and shown(scene) == [0]


def test_nobody_can_ask_for_a_tunnel(scene: Scene) -> None:
    assert scene._server.request_share_url() is None


def test_a_recording_holds_what_was_drawn(scene: Scene) -> None:
    recorder = scene.recorder()
    scene.add(prediction())
    recorder.insert_sleep(0.5)
    assert len(recorder.serialize()) > 5000


def test_blocks_are_merged_anew_after_all_cameras_moved(scene: Scene, tmp_path: Path) -> None:
    """What bends within a block: each frame's points are where its own camera went."""
    scene.look(REFINED)
    grow(scene, 24, refined=True)
    bent = [correction(n, (0.02 * n * n, 0.1 * n, 0), 0.03 * n) for n in range(24)]
    scene.correct(bent)
    block = scene._points.blocks[0]
    rigid = points_of(block)
    frames: list[int] = []
    scene.redraw(lambda: frames.append(1))
    assert len(frames) == sum(len(block.frames) for block in scene._points.blocks)
    anew = points_of(block)
    wanted = np.concatenate(
        [cloud.points for n in block.frames for cloud in scene._points._made.read(n, "refined")]
    )
    assert (
        farthest(wanted, anew) < block.version("refined")._sizes[0] < 0.2 * farthest(wanted, rigid)
    )
    # And the newest ones, which are no block yet.
    bands, number = scene._points.recent[23], 23
    scale = np.array(bands._handles[0].scale)
    pose = scene._placings[number].pose("refined")
    drawn = np.concatenate([cloud.points for cloud in bands.placed(pose, scale)])
    wanted = np.concatenate([cloud.points for cloud in scene._points._made.read(number, "refined")])
    assert farthest(wanted, drawn) < 0.05 * bands._sizes[0]


def points_of(block: PointBlock) -> np.ndarray:
    bands = block.bands["refined"]
    scale = np.array(bands._handles[0].scale)
    pose = np.eye(3, 4)
    pose[:, :3] = transforms.SO3(np.array(bands._frame.wxyz)).as_matrix()
    pose[:, 3] = bands._frame.position
    return np.concatenate([cloud.points for cloud in bands.placed(pose, scale)])


def farthest(points: np.ndarray, from_points: np.ndarray) -> float:
    """The 95th percentile of the distances of some points to their nearest ones."""
    apart, _ = cKDTree(from_points).query(points[::7])
    return float(np.percentile(apart, 95))


def test_the_floor_is_level_by_the_cameras_shown(scene: Scene) -> None:
    """Head cameras that lean, refined ones that do not: what is laid out last is not tilted."""
    for number in range(12):
        made = prediction(number, turn=20.0)
        scene._frames.add(made)
        scene.add(made, correction(number, (0.1 * number, 0, 0)))
    scene.settle()
    scene.look(REFINED)
    whole = Overview.of(scene._placings, "refined", scene.levelling)
    lies, _ = scene.around._lies
    assert np.allclose(lies.middle, whole.middle) and np.allclose(lies.away, whole.away)
