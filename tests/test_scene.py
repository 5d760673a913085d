"""The scene: a viser server that grows, sends points once, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from viser import transforms

from svggt import geometry
from svggt.prediction import FramePrediction
from svggt.refine.correction import Correction
from svggt.scene import POINT_BUDGET, Scene, depth_edges, visible_points


def prediction(number: int = 0, height: int = 56, width: int = 84, turn: float = 0.0):
    """A plane 2 units away with a nearer square in its middle; random confidence."""
    rng = np.random.default_rng(number)
    depth = np.full((height, width), 2.0, np.float32)
    depth[20:40, 30:60] = 1.0
    half = np.radians(turn) / 2
    rotation = geometry.rotation_from_quaternion(np.array([0, 0, np.sin(half), np.cos(half)]))
    position = np.array([[0.1 * number], [0], [0]])
    return FramePrediction(
        number=number,
        time_s=float(number),
        image=rng.integers(0, 255, (height, width, 3), np.uint8),
        cam_from_world=geometry.invert(np.concatenate([rotation, position], axis=1)),
        intrinsics=np.array([[80.0, 0, width / 2], [0, 80, height / 2], [0, 0, 1]]),
        depth=depth,
        depth_conf=1 + rng.random((height, width), np.float32),
        world_points=None,
        world_points_conf=None,
        seconds=0.01,
        memory_bytes=1000,
    )


@pytest.fixture
def scene() -> Iterator[Scene]:
    opened = Scene()
    opened.reset(max_frames=10)
    yield opened
    opened.close()


def test_points_are_the_confident_half_without_edges() -> None:
    made = prediction()
    points, colors = visible_points(made, stride=1)
    threshold = np.median(made.depth_conf)
    keep = (made.depth_conf >= threshold) & ~depth_edges(made.depth)
    assert 0.3 * keep.size < len(points) == len(colors) <= keep.sum()
    assert not ((points[:, 2] > 1.01) & (points[:, 2] < 1.99)).any()


def test_no_point_flies_between_two_depths() -> None:
    edges = depth_edges(prediction().depth)
    assert edges[20, 30:60].all() and edges[19, 30:60].all() and edges[39, 30:60].all()
    assert not edges[0:18].any() and not edges[22:38, 32:58].any()


def test_a_run_stays_within_the_point_budget() -> None:
    large = prediction(height=392, width=518)
    scene = Scene()
    scene.reset(max_frames=120)
    scene.add(large)
    sent = scene._nodes[0].points.points
    scene.close()
    assert 120 * len(sent) <= POINT_BUDGET


def test_frames_are_nodes_at_their_cameras(scene: Scene) -> None:
    made = [prediction(number, turn=10.0 * number) for number in range(3)]
    for each in made:
        scene.add(each)
    node = scene._nodes[2]
    assert scene.num_frames == 3
    assert np.allclose(node.frame.position, [0.2, 0, 0])
    inside = node.points.points.astype(np.float32) + node.points.position
    world = inside @ transforms.SO3(node.frame.wxyz).as_matrix().T + node.frame.position
    pose = made[2].world_from_cam
    expected = visible_points(made[2], 1)[0] @ pose[:, :3].T + pose[:, 3]
    assert np.allclose(world, expected, atol=2e-3)  # float16 on the wire


def test_newest_frame_hides_the_others_and_back(scene: Scene) -> None:
    scene.show("newest frame")
    for number in range(4):
        scene.add(prediction(number))
    scene.settle()
    assert [n.points.visible for n in scene._nodes] == [False, False, False, True]
    scene.show("all frames")
    assert all(n.points.visible for n in scene._nodes)


def test_toggling_sends_no_point(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number))
    recorder = scene.recorder()
    before = sum(b.nbytes for b in recorder._binary_buffers)
    scene.show("newest frame")
    scene.show("all frames")
    assert sum(b.nbytes for b in recorder._binary_buffers) == before
    recorder.serialize()


def test_the_view_is_levelled_by_the_mean_camera(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number, turn=20.0))
    mean_up = np.mean([node.head[:, :3] @ [0, -1, 0] for node in scene._nodes], axis=0)
    levelled = transforms.SO3(scene._level_node.wxyz).as_matrix() @ mean_up
    assert np.degrees(np.arccos(-levelled[1] / np.linalg.norm(levelled))) < 1.5
    assert np.degrees(np.arccos(-mean_up[1])) > 15  # it was not level before


def correction(number: int, position, log_scale: float = 0.0, **changes) -> Correction:
    pose = np.concatenate([np.eye(3), np.array(position, float).reshape(3, 1)], axis=1)
    made = Correction(
        frame=number,
        keyframe=0,
        piece=0,
        world_from_cam=pose,
        focal=80 / 84 / 1.25,
        radial=0.0,
        aspect=56 / 84,
        log_scale=log_scale,
        field=None,
        moving=None,
        status="tracked",
        settled=False,
        inlier_share=0.9,
        revision=1,
    )
    return replace(made, **changes)


def test_a_correction_moves_a_node_and_sends_no_point(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number))
    scene.use("refined")
    recorder = scene.recorder()
    sent = sum(b.nbytes for b in recorder._binary_buffers)
    scene.correct([correction(1, (5, 6, 7), np.log(2.0))])
    node = scene._nodes[1]
    assert np.allclose(node.frame.position, (5, 6, 7))
    # Depth doubled; the refined focal length is 1.25 times shorter, so x and y grow once more.
    assert np.allclose(node.points.scale, (2.5, 2.5, 2.0))
    assert np.allclose(node.points.position, np.array([2.5, 2.5, 2.0]) * node.centre)
    assert sum(b.nbytes for b in recorder._binary_buffers) - sent < 500  # the trajectory
    recorder.serialize()


def test_depth_is_corrected_before_points_are_sent(scene: Scene) -> None:
    scene.use("refined")
    scene.add(prediction(0), correction(0, (0, 0, 0), np.log(2.0)))
    corrected = scene._nodes[0].points.points + scene._nodes[0].centre
    plain, _ = visible_points(prediction(0), scene._stride)
    assert np.allclose(corrected[:, 2], 2 * plain[:, 2], rtol=1e-2)  # float16
    assert np.allclose(scene._nodes[0].points.scale, 1)
    scene.use("head")  # undoes scale and focal length
    assert np.allclose(scene._nodes[0].points.scale, (0.4, 0.4, 0.5))


def test_settled_depth_is_sent_once(scene: Scene) -> None:
    scene.use("refined")
    first = correction(0, (0, 0, 0))
    scene.add(prediction(0), first)
    bent = np.tile(np.linspace(-0.3, 0.3, 18, dtype=np.float32), (12, 1))
    recorder = scene.recorder()

    def sent(changed: Correction) -> int:
        before = sum(b.nbytes for b in recorder._binary_buffers)
        scene.correct([changed])
        return sum(b.nbytes for b in recorder._binary_buffers) - before

    assert sent(replace(first, field=bent)) < 500  # not settled: no point
    assert sent(replace(first, field=bent, settled=True)) > 5000
    assert sent(replace(first, field=-bent, settled=True)) < 500
    recorder.serialize()


def test_what_moves_is_left_out() -> None:
    left = np.zeros((12, 18), bool)
    left[:, :9] = True
    points, _ = visible_points(prediction(0), 1, correction(0, (0, 0, 0), moving=left))
    assert len(points) and points[:, 0].min() > -0.1


def test_cameras_flip_and_come_back(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number))
    scene.correct([correction(n, (9, 9, n)) for n in range(3)])
    assert np.allclose(scene._nodes[2].frame.position, [0.2, 0, 0])  # the head's are shown
    scene.use("refined")
    assert np.allclose(scene._nodes[2].frame.position, [9, 9, 2])
    scene.use("head")
    assert np.allclose(scene._nodes[2].frame.position, [0.2, 0, 0])
    assert np.allclose(scene._nodes[2].points.scale, 1)


def test_the_trajectory_is_coloured_by_trust(scene: Scene) -> None:
    for number in range(3):
        scene.add(prediction(number))
    scene.use("refined")
    scene.correct([correction(1, (1, 0, 0)), correction(2, (2, 0, 0), status="lost")])
    colours = scene._trajectory.colors
    assert colours.shape == (2, 2, 3) and not np.array_equal(colours[0], colours[1])


def test_reset_empties_the_scene(scene: Scene) -> None:
    scene.add(prediction())
    scene.reset(max_frames=5)
    assert scene.num_frames == 0
    scene.add(prediction())
    assert scene.num_frames == 1


def test_nobody_can_ask_for_a_tunnel(scene: Scene) -> None:
    assert scene._server.request_share_url() is None


def test_a_recording_holds_what_was_drawn(scene: Scene) -> None:
    recorder = scene.recorder()
    scene.add(prediction())
    recorder.insert_sleep(0.5)
    assert len(recorder.serialize()) > 5000
