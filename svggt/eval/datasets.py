"""The data sets of the published tables: their sequences, and each task's protocol.

Sequences and frames are those of CUT3R's and MonST3R's scripts, which StreamVGGT's tables use
(arXiv 2507.11539, section 5); of Bonn, a picture's depth is the nearest in time, not of the same
place in the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from svggt.data.layouts import search
from svggt.data.sequence import Sequence
from svggt.eval.protocol import Protocol, Task

DatasetName = Literal[
    "7scenes", "nrgbd", "eth3d", "sintel", "bonn", "kitti", "nyu", "scannet", "tum", "folder"
]


@dataclass(frozen=True)
class Split:
    """Sequences of a data set that a published table is about.

    Attributes:
        count: of them.
        patterns: of the paths of their folders; what matches none is left out where any of the
            data set matches.
    """

    count: int
    patterns: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class Dataset:
    """One of them.

    Attributes:
        title: as tables say it.
        layouts: names in `svggt.data.layouts.LAYOUTS`.
        marks: of the folders of its sequences, where others share the layout.
        tasks: protocol and sequences.
    """

    title: str
    layouts: tuple[str, ...]
    tasks: Mapping[Task, tuple[Protocol, Split]]
    marks: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class NamedSequence:
    """A sequence of a data set.

    Attributes:
        name: its folder, below the data set's.
        sequence: with its truth.
    """

    name: str
    sequence: Sequence


@dataclass(frozen=True)
class Scenes:
    """What is there of a data set for a task.

    Attributes:
        scenes: in order of their names.
        published: of the sequences that the published table is about: those here; None where
            there is no such table.
        expected: of the same, in all.
    """

    scenes: list[NamedSequence]
    published: int | None = None
    expected: int = 0

    @property
    def is_published(self) -> bool:
        """Whether these are the very sequences of a published table."""
        return self.published == self.expected == len(self.scenes)


_DEPTH, _CLIP = Protocol(), Protocol(scale="least")
_TAKEN = Protocol(every=3, frames=90)  # of a hand-held camera
_POSE = Protocol()
_POINTS = Protocol(crop=224, icp=0.1)
_TEST_SPLIT = {
    "chess": (3, 5), "fire": (3, 4), "heads": (1,), "office": (2, 6, 7, 9), "pumpkin": (1, 7),
    "redkitchen": (3, 4, 6, 12, 14), "stairs": (1, 4),
}  # fmt: skip
_SEVEN_SCENES = Split(
    18, tuple(f"*{scene}/seq-{n:02}" for scene, numbers in _TEST_SPLIT.items() for n in numbers)
)
_NRGBD = Split(
    9,
    tuple(
        f"*/{scene}"
        for scene in (
            "breakfast_room", "complete_kitchen", "green_room", "grey_white_room", "kitchen",
            "morning_apartment", "staircase", "thin_geometry", "whiteroom",
        )
    ),
)  # fmt: skip
_SINTEL_SCENES = (
    "alley_1", "alley_2", "ambush_2", "ambush_4", "ambush_5", "ambush_6", "ambush_7", "bamboo_1",
    "bamboo_2", "bandage_1", "bandage_2", "cave_2", "cave_4", "market_2", "market_5", "market_6",
    "mountain_1", "shaman_2", "shaman_3", "sleeping_1", "sleeping_2", "temple_2", "temple_3",
)  # fmt: skip
_STILL = (  # or nearly so, or without a usable pose
    "alley_1", "ambush_2", "ambush_7", "bamboo_1", "bamboo_2", "bandage_1", "bandage_2",
    "mountain_1", "shaman_2",
)  # fmt: skip
_SINTEL = Split(23, tuple(f"*final/{scene}" for scene in _SINTEL_SCENES))
_SINTEL_POSE = Split(
    14, tuple(f"*final/{scene}" for scene in _SINTEL_SCENES if scene not in _STILL)
)
_BONN = Split(
    5,
    tuple(
        f"*rgbd_bonn_{name}"
        for name in ("balloon2", "crowd2", "crowd3", "person_tracking2", "synchronous")
    ),
)
_BONN_FRAMES = Protocol(first=30, frames=110, farthest=70.0)
_KITTI = Split(13, ("*val/20??_??_??_drive_????_sync",))
_KITTI_FRAMES = Protocol(frames=110)
_SCANNET = ("*scene070[7-9]_00", "*scene07[1-9]?_00", "*scene080[0-6]_00")
_ANY = Split(0)

DATASETS: Mapping[DatasetName, Dataset] = {
    "7scenes": Dataset(
        "7-Scenes",
        ("7-Scenes",),
        {
            "recon": (_POINTS.changed(every=200, halved=True), _SEVEN_SCENES),
            "depth": (_DEPTH, _ANY),
            "video-depth": (_CLIP.changed(frames=300), _ANY),
            "pose": (_POSE, _ANY),
        },
    ),
    "nrgbd": Dataset(
        "NRGBD",
        ("Neural RGB-D",),
        {"recon": (_POINTS.changed(every=500, halved=True), _NRGBD), "pose": (_POSE, _ANY)},
    ),
    "eth3d": Dataset(
        "ETH3D", ("ETH3D",), {"recon": (_POINTS.changed(every=5), _ANY), "pose": (_POSE, _ANY)}
    ),
    "sintel": Dataset(
        "Sintel",
        ("Sintel",),
        {
            "depth": (_DEPTH.changed(farthest=70.0), _SINTEL),
            "video-depth": (_CLIP.changed(farthest=70.0), _SINTEL),
            "pose": (_POSE, _SINTEL_POSE),
        },
    ),
    "bonn": Dataset(
        "Bonn",
        ("TUM RGB-D",),
        {
            "depth": (_BONN_FRAMES, _BONN),
            "video-depth": (_BONN_FRAMES.changed(scale="least"), _BONN),
            "pose": (_TAKEN, _ANY),
        },
        ("*rgbd_bonn_*",),
    ),
    "kitti": Dataset(
        "KITTI",
        ("KITTI",),
        {
            "depth": (_KITTI_FRAMES, _KITTI),
            "video-depth": (_KITTI_FRAMES.changed(scale="least"), _KITTI),
        },
    ),
    "nyu": Dataset("NYU", ("NYU",), {"depth": (_DEPTH, Split(1))}),
    "scannet": Dataset(
        "ScanNet",
        ("ScanNet",),
        {
            "pose": (_TAKEN, Split(100, _SCANNET)),
            "recon": (_POINTS.changed(every=200), _ANY),
            "video-depth": (_CLIP.changed(frames=110), _ANY),
        },
    ),
    "tum": Dataset(
        "TUM",
        ("TUM RGB-D",),
        {
            "pose": (
                _TAKEN,
                Split(8, ("*freiburg3_sitting_*", "*freiburg3_walking_*")),
            ),
            "video-depth": (_CLIP.changed(frames=110), _ANY),
        },
        ("*freiburg*",),
    ),
    "folder": Dataset(
        "folder",
        ("plain folder", "CUT3R", "CUT3R, flat"),
        {
            "recon": (_POINTS.changed(every=10), _ANY),
            "depth": (_DEPTH, _ANY),
            "video-depth": (_CLIP, _ANY),
            "pose": (_POSE, _ANY),
        },
    ),
}


def recognise(root: Path) -> DatasetName:
    """Which data set a folder holds, by the layout of its first sequence.

    Raises:
        ValueError: it holds none, or the sequence lacks something.
    """
    for folder, layout, _ in search(root):
        for name, dataset in DATASETS.items():
            if layout in dataset.layouts and _matches(folder, dataset.marks):
                return name
        raise ValueError(f"{folder} is of no data set with a table: name one with --dataset")
    raise ValueError(f"{root} holds no sequence of a known layout")


def scenes_of(root: Path, name: DatasetName, task: Task) -> Scenes:
    """The sequences of a data set that a task is about, each complete.

    Args:
        root: the data set's folder.
        name: which.
        task: of those that it has.

    Raises:
        ValueError: nothing is there, or files are missing: all of them are named.
    """
    dataset = DATASETS[name]
    _, split = dataset.tasks[task]
    there: list[tuple[Path, Sequence | ValueError]] = []
    for folder, layout, opened in search(root):
        if layout in dataset.layouts and _matches(folder, dataset.marks):
            there.append((folder, opened))
    published = [each for each in there if _matches(each[0], split.patterns)]
    chosen = published or there
    if not chosen:
        raise ValueError(f"{root} holds no sequence of {dataset.title}: see docs/evaluation.md")
    missing = [str(opened) for _, opened in chosen if isinstance(opened, ValueError)]
    scenes = [
        NamedSequence(folder.relative_to(root).as_posix() if folder != root else root.name, opened)
        for folder, opened in chosen
        if isinstance(opened, Sequence)
    ]
    for scene in scenes:
        files = (*scene.sequence.pictures, *scene.sequence.depths)
        missing += [f"{path} is missing" for path in files if path and not path.is_file()]
    if missing:
        raise ValueError("\n".join([f"{len(missing)} missing of {dataset.title}:", *missing[:20]]))
    if not split.count:
        return Scenes(scenes)
    return Scenes(scenes, len(published), split.count)


def _matches(folder: Path, patterns: Iterable[str]) -> bool:
    path = folder.absolute().as_posix()
    return any(fnmatch(path, pattern) for pattern in patterns)
