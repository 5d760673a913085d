"""Published tables: every data set in its real layout, every task from the truth to a table."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from svggt import geometry
from svggt.data.layouts import search
from svggt.data.layouts.nyu import prepare_nyu
from svggt.data.sequence import Sequence, files
from svggt.engine.checkpoints import LoadedModel
from svggt.eval import tasks
from svggt.eval.all_tables import all_tables
from svggt.eval.datasets import DATASETS, DatasetName, _matches, recognise, scenes_of
from svggt.eval.evaluation import ROWS
from svggt.eval.options import ProtocolOptions, TableOptions, WayOptions
from svggt.eval.protocol import Task
from svggt.eval.published import PUBLISHED, STREAMVGGT
from svggt.eval.rows import read_rows
from svggt.media.frames import Frame
from svggt.prediction import FramePrediction
from svggt.train.preview import write_clip
from tests import data_sets

FRAMES, SIZE = 4, (56, 84)
NAMES: tuple[DatasetName, ...] = get_args(DatasetName)
ALL = [(name, task) for name in NAMES for task in DATASETS[name].tasks]
EVERY = ProtocolOptions(first=0, every=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A rendered clip in the plain layout."""
    folder = tmp_path_factory.mktemp("plain")
    write_clip(folder, FRAMES, 0, torch.device("cpu"), SIZE)
    return folder


@pytest.fixture(scope="module")
def roots(plain: Path, tmp_path_factory) -> Path:
    """Every data set in miniature."""
    root = tmp_path_factory.mktemp("sets")
    for name in NAMES:
        data_sets.write(plain, name, root / name)
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_read_back_from_every_data_set(plain: Path, roots: Path, name) -> None:
    expected, taken = data_sets.Plain(plain), recognise(roots / name)
    assert taken == name
    (scene,) = scenes_of(roots / name, name, next(iter(DATASETS[name].tasks))).scenes
    sequence, place = scene.sequence, data_sets.DATA_SETS[name][1]
    if name == "nrgbd":  # its first pose is unknown
        assert sequence.posed.tolist() == [False, *[True] * FRAMES]
        sequence = sequence.complete
    assert scene.name == place and len(sequence.pictures) == FRAMES
    if name in ("kitti", "nyu"):
        assert not sequence.has_cameras
    else:
        assert np.allclose(sequence.world_from_cam, expected.poses[:, :3], atol=1e-5)
    if name in ("7scenes", "bonn", "tum", "nyu"):  # their authors say
        assert sequence.intrinsics is not None
    elif name == "kitti":
        assert sequence.intrinsics is None
    else:
        assert sequence.intrinsics is not None
        # A rendered room's camera looks at its picture's middle, as Neural RGB-D's do.
        assert np.allclose(sequence.intrinsics, expected.matrix, atol=1e-4)
    for number, path in enumerate(sequence.depths):
        depth = sequence.read_depth(path)
        true = expected.depth(number)
        if name == "7scenes":  # brought to another camera; see test_recorded
            continue
        if name == "eth3d":  # every fourth pixel's
            true = true[2::4, 2::4]
            assert depth.shape == true.shape and (depth > 0).mean() > 0.8
        known = (depth > 0) & (true > 0) & (true < 10)
        off = np.abs(depth - true)[known] / true[known]
        # ETH3D's pixels are rounded twice on their way through the lens, here of a tiny picture.
        share, most = (0.8, 0.03) if name == "eth3d" else (1.0, 0.01)
        assert known.any() and np.quantile(off, share) < most


def perfect(sequence: Sequence, scale: float):
    """In place of a model: what the truth says, in a world of another scale."""

    def predict(run: tasks.SequenceRun, frames: list[Frame]):
        first = geometry.invert(run.poses[0])
        for frame in frames:
            number = run.numbers[frame.number]
            height, width = frame.image.shape[:2]
            with Image.open(run.sequence.pictures[number]) as picture:
                size = picture.height, picture.width
            true = tasks.seen_part(run.true_depth(frame.number), (height, width))
            depth = tasks.metrics.resample(true, (height, width)).astype(np.float64)
            depth = scale * np.where(depth > 0, depth, 7.0)
            intrinsics = np.eye(3)
            if sequence.intrinsics is not None:
                intrinsics = tasks._seen_intrinsics(sequence.intrinsics, size, (height, width))
            pose = geometry.compose(first, sequence.world_from_cam[number])
            pose[:, 3] *= scale
            points = geometry.unproject(depth, intrinsics)
            yield FramePrediction(
                number=frame.number,
                time_s=0.0,
                image=frame.image,
                cam_from_world=geometry.invert(pose),
                intrinsics=intrinsics,
                depth=depth.astype(np.float32),
                depth_conf=np.ones((height, width), np.float32),
                world_points=geometry.Similarity(1.0, pose).points(points).astype(np.float32),
                world_points_conf=np.ones((height, width), np.float32),
                seconds=0.0,
                memory_bytes=0,
            )

    return predict


@pytest.mark.parametrize(
    ("name", "task", "head"),
    [*((*each, "points") for each in ALL), *((*e, "depth") for e in ALL if e[1] == "recon")],
)
def test_who_says_the_truth_has_no_error(
    roots: Path, tiny: LoadedModel, tmp_path: Path, monkeypatch, name, task: Task, head
) -> None:
    """Whatever the scale of its world, through crops, scales, alignments and conventions."""
    (scene,) = scenes_of(roots / name, name, task).scenes
    sequence = scene.sequence
    monkeypatch.setattr(tasks, "_predict", perfect(sequence, 3.0))
    way, out = WayOptions("tiny", head=head), tmp_path / "out"
    table = TableOptions(roots / name, None, out, way, EVERY).plan(task).run(tiny)
    right = {
        "recon": {"accuracy": 0.002, "completeness": 0.002},
        # The model's picture has fewer pixels than the truth: edges are smoothed.
        "depth": {"absrel": 0.03},
        "video-depth": {"absrel": 0.03},
        "pose": {"ate": 1e-6, "rpe_translation": 1e-6, "rpe_rotation": 1e-4},
    }[task]
    for column, most in right.items():
        assert table.ours[column] <= most, column
    if task == "pose":
        assert table.ours["auc30"] == 1
    if task == "recon":
        assert table.ours["normals"] > 0.99


@pytest.mark.parametrize("mode", ["streaming", "batch", "offline"])
@pytest.mark.parametrize(
    ("name", "task"), [("7scenes", "recon"), ("tum", "pose"), ("nyu", "depth")]
)
def test_a_model_is_evaluated_and_nothing_twice(
    roots: Path, tiny: LoadedModel, tmp_path: Path, name, task: Task, mode
) -> None:
    asked = TableOptions(roots / name, None, tmp_path, WayOptions("tiny", mode), EVERY)
    table = asked.plan(task).run(tiny)
    assert all(np.isfinite(value) for value in table.ours.values())
    lines = (tmp_path / ROWS).read_text()
    # A run that was cut off within a line goes on from the last whole one.
    (tmp_path / ROWS).write_text(lines + lines[: len(lines) // 2])
    assert asked.plan(task).run(tiny).ours == table.ours
    assert [row["scene"] for row in read_rows(tmp_path / ROWS)] == [data_sets.DATA_SETS[name][1]]
    (written,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert written["ours"] == table.ours and table.protocol in table.markdown()
    (latex,) = tmp_path.glob(f"{task}-*.tex")
    assert r"\begin{tabular}" in latex.read_text() and mode in latex.name


def test_streaming_and_batch_give_the_same_numbers(
    roots: Path, tiny: LoadedModel, tmp_path
) -> None:
    found = [
        TableOptions(roots / "7scenes", None, tmp_path, WayOptions("tiny", mode), EVERY)
        .plan("video-depth")
        .run(tiny)
        .ours
        for mode in ("streaming", "batch")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_published_rows_stand_beside_the_same_alone(
    plain: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    """Not beside fewer sequences, nor beside another protocol."""
    one = data_sets.write(plain, "7scenes", tmp_path / "one")
    patterns = DATASETS["7scenes"].tasks["recon"][1].patterns
    assert len(patterns) == 18
    for pattern in patterns:
        shutil.copytree(one, tmp_path / "all" / pattern.removeprefix("*"))
    shutil.copytree(one, tmp_path / "all/chess/seq-01")  # to train on
    whole = TableOptions(tmp_path / "all", None, tmp_path / "out", WayOptions("tiny"))
    table = whole.plan("recon").run(tiny)
    assert len(table.scenes) == 18 and "chess/seq-01" not in table.scenes
    assert table.published[STREAMVGGT]["accuracy"] == 0.129
    assert "| StreamVGGT, its paper | 0.129 |" in table.markdown()
    other = TableOptions(tmp_path / "all", None, tmp_path / "out", WayOptions("tiny"), EVERY)
    assert not other.plan("recon")._published()[0]
    fewer = TableOptions(tmp_path / "one", None, tmp_path / "out", WayOptions("tiny"))
    rows, notes = fewer.plan("recon")._published()
    assert not rows and "1 of its 18 sequences" in notes[0]


def test_every_published_table_has_a_task_and_sequences() -> None:
    for task, name in PUBLISHED:
        _, split = DATASETS[name].tasks[task]
        assert split.count


@pytest.mark.parametrize(
    ("name", "missing", "said"),
    [
        ("7scenes", "chess/seq-03/frame-000002.depth.png", "one of each is needed"),
        ("sintel", "training/depth/alley_2", "download of its own"),
        ("kitti", "2011_09_26", "unpack the raw drive"),
        (
            "kitti",
            "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000006.png",
            "0000000006.png is missing",
        ),
        ("eth3d", "courtyard/ground_truth_depth", "is missing"),
        (
            "eth3d",
            "courtyard/ground_truth_depth/dslr_images/DSC_0002.JPG",
            "DSC_0002.JPG is missing",
        ),
        ("nrgbd", "kitchen/poses.txt", "poses.txt"),
        ("nyu", "val/nyu_depths/rgb_00001.npy", "one of each is needed"),
    ],
)
def test_what_is_missing_is_named_before_the_first_frame(
    plain: Path, tmp_path: Path, name, missing: str, said: str
) -> None:
    data_sets.write(plain, name, tmp_path)
    gone = tmp_path / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    task = next(iter(DATASETS[name].tasks))
    with pytest.raises(ValueError, match=said):
        TableOptions(tmp_path, name, tmp_path / "out").plan(task)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_evaluated_is_said(
    plain: Path, roots: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no table of pose"):
        TableOptions(roots / "nyu", None, tmp_path).plan("pose")
    with pytest.raises(ValueError, match="no sequence"):
        TableOptions(tmp_path, "tum", tmp_path).plan("pose")
    with pytest.raises(ValueError, match="there is no folder"):
        TableOptions(tmp_path / "nowhere", None, tmp_path).plan("pose")
    with pytest.raises(ValueError, match="--every 0"):
        ProtocolOptions(every=0)
    one = TableOptions(
        roots / "7scenes", None, tmp_path, WayOptions("tiny"), ProtocolOptions(every=9)
    )
    with pytest.raises(ValueError, match="smaller --every"):
        one.plan("pose").run(tiny)
    data_sets.write(plain, "sintel", tmp_path / "bad")
    depth = tmp_path / "bad/training/depth/alley_2/frame_0001.dpt"
    depth.write_bytes(depth.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        TableOptions(tmp_path / "bad", "sintel", tmp_path, WayOptions("tiny")).plan("depth").run(
            tiny
        )
    depth.write_bytes(b"JUNK" + bytes(99))
    with pytest.raises(ValueError, match="no file of Sintel's"):
        TableOptions(tmp_path / "bad", "sintel", tmp_path, WayOptions("tiny")).plan("depth").run(
            tiny
        )


def test_all_tables_go_on_where_one_cannot(
    roots: Path, tiny: LoadedModel, tmp_path: Path, monkeypatch
) -> None:
    root, out, told = tmp_path / "sets", tmp_path / "out", []
    root.mkdir()
    for name in ("sintel", "nyu", "tum"):
        shutil.copytree(roots / name, root / name)
    shutil.rmtree(root / "tum/rgbd_dataset_freiburg3_sitting_xyz/depth")
    monkeypatch.setattr(WayOptions, "load", lambda self: tiny)
    tables, missing = all_tables(root, out, WayOptions("tiny"), told.append)
    assert set(missing) == {f"{task}, {name}" for task, name in PUBLISHED} - {
        "depth, sintel", "video-depth, sintel", "pose, sintel", "depth, nyu",
    }  # fmt: skip
    assert "depth/0.png is missing" in missing["pose, tum"]
    assert "7scenes is missing" in missing["recon, 7scenes"]
    assert len(told) == len(missing) + 1  # before the first frame
    text = tables.read_text()
    assert text.count("###") == 4 and "no table of pose, tum" in text
    before = (out / ROWS).read_text()
    all_tables(root, out, WayOptions("tiny"), told.append)
    assert (out / ROWS).read_text() == before
    other, _ = all_tables(root, out, WayOptions("tiny", memory="window"), told.append)
    assert other != tables and tables.read_text() == text
    with pytest.raises(ValueError, match="no data set"):
        all_tables(tmp_path, out, WayOptions("tiny"), told.append)


def test_what_a_device_has_no_room_for_is_said_before_the_first_frame(
    roots: Path, tiny: LoadedModel, tmp_path: Path, monkeypatch
) -> None:
    device = dataclasses.replace(tiny.device, free_bytes=20_000)
    small = dataclasses.replace(tiny, device=device)
    sintel = TableOptions(roots / "sintel", None, tmp_path / "one", WayOptions("tiny"))
    with pytest.raises(ValueError, match=r"to remember.*--memory window"):
        sintel.plan("pose").run(small)
    assert not (tmp_path / "one").exists()
    offline = dataclasses.replace(sintel, way=WayOptions("tiny", mode="offline"))
    with pytest.raises(ValueError, match="do not fit"):
        offline.plan("video-depth").run(small)
    sintel.plan("depth").check_device(small)  # single frames
    bounded = dataclasses.replace(sintel, way=WayOptions("tiny", memory="window"))
    bounded.plan("pose").check_device(small)
    told: list[str] = []
    monkeypatch.setattr(WayOptions, "load", lambda self: small)
    (tmp_path / "sets").mkdir()
    shutil.copytree(roots / "sintel", tmp_path / "sets/sintel")
    _, missing = all_tables(tmp_path / "sets", tmp_path / "out", WayOptions("tiny"), told.append)
    assert "--memory window" in missing["pose, sintel"] and "depth, sintel" not in missing
    assert told[-1].startswith("Tables: 1, of 4 frames")
    sintel.plan("pose").run(tiny)  # elsewhere: its rows are there, nothing is left to fit
    assert sintel.plan("pose").run(small).scenes
    shutil.rmtree(tmp_path / "sets/sintel")
    shutil.copytree(roots / "tum", tmp_path / "sets/tum")
    tables, missing = all_tables(
        tmp_path / "sets", tmp_path / "out", WayOptions("tiny"), told.append
    )
    assert tables.read_text().count("no table of") == len(missing) == len(PUBLISHED)


@pytest.mark.parametrize("kind", ["labeled", "official"])
def test_nyu_is_made_of_what_is_published(
    plain: Path, tiny: LoadedModel, tmp_path: Path, kind: str
) -> None:
    source, out, (picture, depth) = tmp_path / "nyu", tmp_path / "out", nyu_moment()
    source.mkdir()
    if kind == "labeled":
        with h5py.File(source / "nyu_depth_v2_labeled.mat", "w") as file:
            file["images"] = np.stack([0 * picture, picture]).transpose(0, 3, 2, 1)
            file["depths"] = np.stack([0 * depth, depth]).transpose(0, 2, 1)
        with pytest.raises(ValueError, match=r"splits\.mat is missing"):
            prepare_nyu(source, out)
        savemat(source / "splits.mat", {"testNdxs": [[2]], "trainNdxs": [[1]]})
    else:
        (source / "official").mkdir()
        with h5py.File(source / "official/00001.h5", "w") as file:
            file["rgb"], file["depth"] = picture.transpose(2, 0, 1), depth
    with pytest.raises(ValueError, match="prepare-nyu"):
        TableOptions(source, None, tmp_path, WayOptions("tiny")).plan("depth")
    assert prepare_nyu(source, out) == 1
    with pytest.raises(ValueError, match="choose another folder"):
        prepare_nyu(source, out)
    (made,) = search(out)
    sequence = made[2]
    assert isinstance(sequence, Sequence) and np.array_equal(sequence.depth(0), depth)
    with Image.open(sequence.pictures[0]) as read:
        assert np.array_equal(np.asarray(read), picture)
    table = TableOptions(out, None, tmp_path, WayOptions("tiny")).plan("depth").run(tiny)
    assert np.isfinite(table.ours["absrel"])


def nyu_moment() -> tuple[np.ndarray, np.ndarray]:
    """A picture (480, 640, 3) and depth (480, 640), neither symmetrical."""
    rows, columns = np.mgrid[:480, :640]
    picture = np.stack([rows % 256, columns % 256, (rows + columns) % 256], -1).astype(np.uint8)
    return picture, (1 + rows / 480 + columns / 320).astype(np.float32)


@pytest.mark.parametrize("content", [b"not HDF5", None])
def test_a_damaged_file_of_nyu_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "official/00001.h5"
    path.parent.mkdir()
    if content is None:
        with h5py.File(path, "w") as file:
            file["rgb"] = np.zeros(3)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged|no depth"):
        prepare_nyu(tmp_path, tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["official"]
    with pytest.raises(ValueError, match="neither"):
        prepare_nyu(tmp_path / "nowhere", tmp_path / "out")


def test_the_command_writes_a_table_or_says_what_to_do(roots: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "svggt.eval", "pose"]
    done = subprocess.run(
        [*command, roots / "scannet", "--every", "1", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "| **mean of 1** |" in done.stdout and "small, preliminary weights" in done.stdout
    (written,) = tmp_path.glob("pose-scannet-streaming-*.md")
    assert written.read_text() == done.stdout
    refused = subprocess.run(
        [*command, roots / "nyu", "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "svggt: NYU has no table of pose" in refused.stderr


def test_rows_are_of_their_own_folder_and_frames(plain: Path, tiny: LoadedModel, tmp_path) -> None:
    """Two scenes have a seq-01; a download that was completed has more frames."""
    out, names = tmp_path / "out", ("chess", "fire")
    for name in names:
        data_sets.write_seven_scenes(data_sets.Plain(plain), tmp_path / name / "seq-01")
    for path in (tmp_path / "fire/seq-01").glob("frame-000003.*"):
        path.rename(path.with_name(f"later-{path.name}"))

    def evaluated(name: str) -> dict[str, float]:
        asked = TableOptions(tmp_path / name, None, out, WayOptions("tiny"), EVERY)
        return dict(asked.plan("video-depth").run(tiny).ours)

    found = [evaluated(name) for name in names]
    assert found[0] != found[1]
    for path in (tmp_path / "fire/seq-01").glob("later-*"):
        path.rename(path.with_name(path.name.removeprefix("later-")))
    assert evaluated("fire") == pytest.approx(found[0])
    assert len(read_rows(out / ROWS)) == 3


def test_a_sequence_without_known_depth_spoils_no_mean(
    plain: Path, tiny: LoadedModel, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        data_sets.write_cut3r(data_sets.Plain(plain), tmp_path / "sets" / name)
    for path in (tmp_path / "sets/b/depth").iterdir():
        np.save(path, np.zeros(SIZE, np.float32))
    asked = TableOptions(tmp_path / "sets", None, tmp_path / "out", WayOptions("tiny"), EVERY)
    table = asked.plan("video-depth").run(tiny)
    assert table.ours == table.scenes["a"] and np.isnan(table.scenes["b"]["absrel"])
    (written,) = (tmp_path / "out").glob("*.json")
    assert "NaN" not in written.read_text()


def test_sintels_depth_needs_no_cameras(plain: Path, tiny: LoadedModel, tmp_path: Path) -> None:
    data_sets.write(plain, "sintel", tmp_path)
    shutil.rmtree(tmp_path / "training/camdata_left")
    way = WayOptions("tiny")
    table = TableOptions(tmp_path, None, tmp_path / "out", way, EVERY).plan("video-depth").run(tiny)
    assert np.isfinite(table.ours["absrel"])
    with pytest.raises(ValueError, match="no true cameras"):
        TableOptions(tmp_path, None, tmp_path / "out", way, EVERY).plan("pose").run(tiny)


@pytest.mark.parametrize(
    ("name", "path", "is_published"),
    [
        ("scannet", "scans/scene0706_00", False),
        ("scannet", "scans_test/scene0707_00", True),
        ("scannet", "scans_test/scene0806_00", True),
        ("scannet", "scans_test/scene0725_01", False),
        ("sintel", "training/final/alley_2", True),
        ("sintel", "training/clean/alley_2", False),
        ("sintel", "training/final/alley_1", False),
        ("nrgbd", "icl_living_room", False),
        ("nrgbd", "thin_geometry", True),
        ("kitti", "val/2011_09_26_drive_0002_sync", True),
        ("7scenes", "chess/seq-01", False),
    ],
)
def test_published_sequences_are_known_from_wherever_one_looks(
    name: DatasetName, path: str, is_published: bool
) -> None:
    task: Task = {"nrgbd": "recon", "7scenes": "recon", "kitti": "depth"}.get(name, "pose")
    _, split = DATASETS[name].tasks[task]
    assert _matches(Path("/data") / path, split.patterns) == is_published


@pytest.mark.parametrize("prefix", ["", "1305031102.", "cam2_"])
def test_files_are_in_the_order_of_their_numbers(tmp_path: Path, prefix: str) -> None:
    times = ["1305031102.175304", "1305031102.911185", "1305031103.043227"]
    names = times if not prefix else [f"{prefix}{number}" for number in (2, 10, 100)]
    for name in reversed(names):
        (tmp_path / f"{name}.png").touch()
    assert [path.stem for path in files(tmp_path, "*.png")] == names
