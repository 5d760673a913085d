"""Recorded sequences: a rendered clip, written in every layout, is read back as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svggt.data.layouts import LAYOUTS, find_sequences, open_sequence
from svggt.train.batch import targets_of
from svggt.train.preview import write_clip
from svggt.train.recorded import centred_box, mixed, recorded
from svggt.train.source import SHAPES, Shape, rendered
from svggt.train.tracks import follow
from tests import data_sets

CPU = torch.device("cpu")
SIZE = (56, 84)
FRAMES = 4


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A rendered clip in the plain layout."""
    folder = tmp_path_factory.mktemp("plain")
    write_clip(folder, FRAMES, 0, CPU, SIZE)
    return folder


def relaid(plain: Path, layout: str, out: Path) -> Path:
    """The plain folder's frames in another layout."""
    writers = {
        "TUM RGB-D": data_sets.write_tum,
        "ScanNet": data_sets.write_scannet,
        "CUT3R": data_sets.write_cut3r,
        "CUT3R, flat": data_sets.write_cut3r_flat,
        "7-Scenes": data_sets.write_seven_scenes,
    }
    writers[layout](data_sets.Plain(plain), out)
    return out


def depth_of(plain: Path, number: int) -> np.ndarray:
    return data_sets.Plain(plain).depth(number)


@pytest.mark.parametrize("layout", ["TUM RGB-D", "ScanNet", "CUT3R", "CUT3R, flat"])
def test_a_clip_is_read_back_from_every_layout(plain: Path, layout: str, tmp_path: Path) -> None:
    (expected,) = find_sequences(plain)
    (found,) = find_sequences(relaid(plain, layout, tmp_path / "set" / "sequence"))
    assert len(found.pictures) == FRAMES
    assert np.allclose(found.world_from_cam, expected.world_from_cam, atol=1e-5)
    for ours, theirs in zip(found.depths, expected.depths, strict=True):
        difference = np.abs(found.read_depth(ours) - expected.read_depth(theirs))
        near = expected.read_depth(theirs) < 13  # as far as TUM's integers reach
        assert difference[near].max() < 1.1e-3
    if layout != "TUM RGB-D":  # whose cameras are known by their names
        assert np.allclose(found.intrinsics, expected.intrinsics)


@pytest.mark.parametrize("layout", ["TUM RGB-D", "ScanNet", "CUT3R", "CUT3R, flat"])
def test_every_layout_has_its_truth(plain: Path, layout: str, tmp_path: Path) -> None:
    """As evaluation reads it: cameras of every n-th picture, the camera's focal, half the depth."""
    sequence = open_sequence(relaid(plain, layout, tmp_path / "sequence")).thinned(2)
    truth = sequence.truth
    assert len(sequence.pictures) == len(truth.world_from_cam) == FRAMES // 2
    assert truth.focal == pytest.approx(sequence.intrinsics[0, 0] / SIZE[1])
    depth, expected = truth.depth(1), depth_of(plain, 2)[::2, ::2]
    assert depth is not None and np.abs(depth - expected)[expected < 13].max() < 1.1e-3


def test_a_camera_that_nobody_knows_serves_evaluation_alone(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unknown"
    shutil.copytree(plain, folder)
    (folder / "K.txt").unlink()
    assert open_sequence(folder).truth.focal is None
    with pytest.raises(ValueError, match=r"K\.txt is missing"):
        recorded([open_sequence(folder)], (Shape(1, 2, SIZE),), 0, CPU)


def test_seven_scenes_and_tum_know_their_cameras(plain: Path, tmp_path: Path) -> None:
    (found,) = find_sequences(relaid(plain, "7-Scenes", tmp_path / "seven"))
    assert np.allclose(found.intrinsics[0], [525 / 640 * SIZE[1], 0, SIZE[1] / 2])
    (tum,) = find_sequences(relaid(plain, "TUM RGB-D", tmp_path / "x_freiburg2_desk"))
    assert tum.intrinsics[0].tolist() == [520.9, 0, 325.1]


def test_depth_of_seven_scenes_is_brought_to_the_colour_camera(plain: Path, tmp_path: Path) -> None:
    """A ray of the colour camera meets the depth that its twin in the depth camera has."""
    (found,) = find_sequences(relaid(plain, "7-Scenes", tmp_path / "seven"))
    ramp = np.arange(SIZE[1], dtype=np.uint16) + 1000
    Image.fromarray(np.tile(ramp, (SIZE[0], 1))).save(found.depths[0])
    depth = found.read_depth(found.depths[0])
    middle = SIZE[1] // 2
    assert depth[30, middle] == pytest.approx(1 + middle / 1000)
    assert depth[30, middle + 20] == pytest.approx(1 + (middle + 20 * 585 / 525) / 1000, abs=6e-4)
    assert depth[30, 0] == 0  # the depth camera does not see so far out


@pytest.mark.parametrize(
    "matrix", [(525, 525, 320, 240), (525, 525, 319.5, 239.5), (517.3, 516.5, 318.6, 255.3)]
)
def test_every_shape_is_cut_from_every_camera(matrix: tuple[float, ...]) -> None:
    fx, fy, cx, cy = matrix
    picture = Image.new("RGB", (640, 480))
    for shape in SHAPES:
        box = centred_box((640, 480), np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), shape.size)
        picture.resize((shape.size[1], shape.size[0]), box=box)
        assert box[2] - box[0] > 400 or box[3] - box[1] > 400


@pytest.mark.parametrize(
    ("layout", "missing"),
    [
        ("TUM RGB-D", "depth.txt"),
        ("ScanNet", "intrinsic/intrinsic_color.txt"),
        ("ScanNet", "depth/2.png"),
        ("CUT3R", "cam/00001.npz"),
    ],
)
def test_what_is_missing_is_named(plain: Path, layout: str, missing: str, tmp_path: Path) -> None:
    folder = relaid(plain, layout, tmp_path / "sequence")
    (folder / missing).unlink()
    name = Path(missing).name if missing.endswith("txt") else "one of each is needed"
    with pytest.raises(ValueError, match=name):
        list(find_sequences(folder))


def test_a_recorded_clip_is_exact(plain: Path) -> None:
    """Depth lifted by one camera is where another one sees it, cut to a shape or not."""
    sequences = list(find_sequences(plain))
    for size in (SIZE, (56, 56), (42, 84)):
        clip = recorded(sequences, (Shape(2, 3, size),), 0, CPU)(0, 0)
        assert clip.images.shape == (2, 3, 3, *size) and clip.good.all()
        targets = targets_of(clip)
        rows, columns = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
        pixels = torch.stack([columns, rows], dim=-1).flatten(0, 1).expand(2, 1, -1, 2)
        followed = follow(targets, pixels)
        inside = (followed.places >= 0).all(-1) & (
            followed.places < torch.tensor([size[1], size[0]])
        ).all(-1)
        known = targets.valid[:, :1].flatten(2)[..., None]
        assert followed.seen.sum() > 0.7 * (inside & known).sum()  # the rest is hidden
        assert torch.equal(followed.seen[..., 0], known[..., 0])  # each where it is itself
    same = recorded(sequences, (Shape(1, FRAMES, SIZE),), 0, CPU)(0, 0)
    depth = torch.from_numpy(np.stack([depth_of(plain, n) for n in range(FRAMES)]))
    assert torch.allclose(same.depth[0], depth, atol=1e-6)


def test_a_part_is_about_the_principal_point() -> None:
    matrix = np.array([[500, 0, 310.0], [0, 500, 250.0], [0, 0, 1]])
    left, top, right, bottom = centred_box((640, 480), matrix, (112, 168))
    assert left >= 0 and top >= 0 and right <= 640 and bottom <= 480
    scale = (right - left) / 168
    assert (bottom - top) / 112 == pytest.approx(scale)
    assert left + (168 / 2 + 0.5) * scale == pytest.approx(310.5)
    assert top + (112 / 2 + 0.5) * scale == pytest.approx(250.5)


@pytest.mark.slow
def test_sources_are_mixed_as_often_as_they_weigh(plain: Path) -> None:
    shapes = (Shape(1, 2, SIZE),)
    ours = recorded(list(find_sequences(plain)), shapes, 0, CPU)
    never = rendered(shapes, 0, CPU)
    both = mixed([(3.0, ours), (1.0, lambda step, part: never(0, 0))], seed=1)
    told = [bool(torch.equal(both(n, 0).depth, never(0, 0).depth)) for n in range(40)]
    assert 3 <= sum(told) <= 18
    assert torch.equal(both(7, 1).images, both(7, 1).images)  # the same step, the same clips


def test_what_cannot_be_used_is_refused(plain: Path, tmp_path: Path) -> None:
    flat = relaid(plain, "CUT3R, flat", tmp_path / "flat")
    Image.new("I;16", (4, 4)).save(flat / "00000_depth.png")
    with pytest.raises(ValueError, match="unknown unit"):
        list(find_sequences(flat))
    zoomed = relaid(plain, "CUT3R", tmp_path / "zoomed")
    with np.load(zoomed / "cam/00001.npz") as file:
        pose, matrix = file["pose"], file["intrinsics"]
    np.savez(zoomed / "cam/00001.npz", pose=pose, intrinsics=matrix * 1.2)
    with pytest.raises(ValueError, match="focal length that changes"):
        list(find_sequences(zoomed))
    lost = relaid(plain, "ScanNet", tmp_path / "lost")
    for path in (lost / "pose").iterdir():
        np.savetxt(path, np.full((4, 4), -np.inf))
    with pytest.raises(ValueError, match="no frame with a known pose"):
        list(find_sequences(lost))


def test_too_short_a_sequence_is_refused(plain: Path) -> None:
    with pytest.raises(ValueError, match="no sequence of 9 frames"):
        recorded(list(find_sequences(plain)), (Shape(1, 9, SIZE),), 0, CPU)
    assert set(LAYOUTS) >= {"TUM RGB-D", "ScanNet", "7-Scenes", "CUT3R", "plain folder"}
