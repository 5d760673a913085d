"""What the commands of the published tables are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro

from svggt.compare.run_config import Mode, RunConfig
from svggt.engine.checkpoints import LoadedModel, load_model
from svggt.engine.devices import choose_device
from svggt.eval.datasets import DATASETS, DatasetName, recognise, scenes_of
from svggt.eval.evaluation import Evaluation
from svggt.eval.protocol import DepthScale, Protocol, Task
from svggt.eval.table import Table
from svggt.settings import MemoryPolicy, Precision, Storage, StreamSettings
from svggt.view_options import Cameras


@dataclass(frozen=True)
class WayOptions:
    """How frames are computed. The defaults are the published tables'.

    Attributes:
        model: a preset or a path to weights.
        mode: streaming, the same as one causal pass, or offline: every frame sees every other.
        cameras: the camera head's, or refined by tracking.
        head: whose points are evaluated: the point head's, or of depth and camera.
        memory: what a stream keeps of its past.
        window: frames remembered besides the first, by a bounded memory.
        budget: instead of the window, as "20k tokens" or "500 MB".
        storage: how the memory's tokens are stored.
        published_camera_memory: all passes of the camera head share one, as in the published code.
        precision: of the backbone's numbers.
    """

    model: str = "embedded"
    mode: Mode = "streaming"
    cameras: Cameras = "head"
    head: Literal["points", "depth"] = "points"
    memory: MemoryPolicy = "full"
    window: int = 8
    budget: str = ""
    storage: Storage = "computed"
    published_camera_memory: bool = False
    precision: Precision = "auto"

    def load(self) -> LoadedModel:
        """The weights, ready."""
        return load_model(self.model, choose_device(self.precision))

    def config(self, task: Task) -> RunConfig:
        """As a run of a task is told."""
        settings = StreamSettings(
            model=self.model,
            memory=self.memory,
            window=self.window,
            budget=self.budget,
            storage=self.storage,
            published_camera_memory=self.published_camera_memory,
            points=task == "recon" and self.head == "points",
        )
        return RunConfig(self.mode, settings, self.cameras)


@dataclass(frozen=True)
class ProtocolOptions:
    """What is different from a data set's protocol; what is left out is as published.

    Attributes:
        first: number of the first frame.
        every: take every n-th frame.
        frames: at most so many.
        scale: of depth: ratio of medians, least absolute error, or none.
        farthest: metres of true depth that count.
        crop: side of the centre square whose points count, in pixels of a picture 518 wide.
        icp: metres within which points are pairs; 0: no ICP.
    """

    first: int | None = None
    every: int | None = None
    frames: int | None = None
    scale: DepthScale | None = None
    farthest: float | None = None
    crop: int | None = None
    icp: float | None = None

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
            ValueError: a number is out of its own.
        """
        for name, least in {"first": 0, "every": 1, "frames": 1, "crop": 14, "icp": 0}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"--{name} {value}: {least} or more, please")
        if self.farthest is not None and self.farthest <= 0:
            raise ValueError(f"--farthest {self.farthest}: more than 0, please")

    def of(self, protocol: Protocol) -> Protocol:
        """A protocol with what was given; frames are taken as asked then."""
        given = protocol.changed(**vars(self))
        return given if self.every is None else replace(given, halved=False)


@dataclass(frozen=True)
class TableOptions:
    """One table.

    Attributes:
        root: the data set's folder, in the layout that it is published in.
        dataset: which it is; found by its layout if left out.
        out: folder for rows and tables; what it has is not computed again.
        way: how frames are computed.
        protocol: what is compared, where that is not as published.
    """

    root: Annotated[Path, tyro.conf.Positional]
    dataset: DatasetName | None = None
    out: Path = Path("evaluation")
    way: Annotated[WayOptions, tyro.conf.arg(name="")] = WayOptions()
    protocol: Annotated[ProtocolOptions, tyro.conf.arg(name="")] = ProtocolOptions()

    def table(self, task: Task) -> Table:
        """Looks at what is there, loads the weights, and computes it.

        Raises:
            ValueError: the folder does not serve the task, or files are missing.
        """
        plan = self.plan(task)
        return plan.run(self.way.load())

    def plan(self, task: Task) -> Evaluation:
        """What is to be computed, of a folder in which nothing is missing.

        Raises:
            ValueError: the folder does not serve the task, or files are missing.
        """
        name = self.dataset or recognise(self.root)
        about = DATASETS[name]
        if task not in about.tasks:
            raise ValueError(
                f"{about.title} has no table of {task}: it serves {', '.join(about.tasks)}"
            )
        if task == "recon" and find_spec("open3d") is None:
            raise ValueError("reconstructions need open3d: pip install -e '.[eval]'")
        protocol, _ = about.tasks[task]
        return Evaluation(
            task,
            name,
            scenes_of(self.root, name, task),
            self.way.config(task),
            self.protocol.of(protocol),
            self.out,
        )
