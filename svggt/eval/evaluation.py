"""A task on a data set: sequence by sequence, into a file that a later run goes on from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from svggt.compare.run_config import RunConfig
from svggt.data.sequence import Sequence
from svggt.engine.capacity import check_capacity, check_memory
from svggt.engine.checkpoints import LoadedModel
from svggt.eval.datasets import DATASETS, DatasetName, NamedSequence, Scenes
from svggt.eval.protocol import Protocol, Task
from svggt.eval.published import PUBLISHED
from svggt.eval.rows import add_row, read_rows
from svggt.eval.table import COLUMNS, Table, without_nan
from svggt.eval.tasks import SequenceRun, counted, evaluate
from svggt.media.frames import Fitter

_BY_PIXEL = ("depth", "video-depth")  # tasks whose mean counts every pixel alike
ROWS = "rows.jsonl"
"""A line a sequence, of all tasks, in the output's folder."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One task on one data set.

    Attributes:
        task: which.
        dataset: likewise.
        scenes: its sequences.
        way: how they are run.
        protocol: of the task.
        out: for rows and tables.
    """

    task: Task
    dataset: DatasetName
    scenes: Scenes
    way: RunConfig
    protocol: Protocol
    out: Path

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.task}, {self.dataset}"

    @property
    def num_frames(self) -> list[int]:
        """Of each sequence, those that count."""
        return [len(self._numbers(scene.sequence)) for scene in self.scenes.scenes]

    def check_device(self, model: LoadedModel) -> None:
        """Raises ValueError unless the longest sequence that has no row fits on the device.

        A bounded memory, and one in fewer bits, is taken to fit.
        """
        settings = self.way.settings
        whole = settings.memory == "full" and settings.storage == "computed"
        if self.task == "depth" or not (self.way.at_once or whole):
            return
        done = self._done()
        todo = [each for each in self._each(model) if self._key(each[2]) not in done]
        if not todo:
            return
        scene, numbers, _ = max(todo, key=lambda each: len(each[1]))
        with Image.open(scene.sequence.pictures[0]) as picture:
            height, width = Fitter(model.input_width).frame(0, 0.0, picture).image.shape[:2]
        check = check_capacity if self.way.at_once else check_memory
        check(model, (height, width), len(numbers))

    def run(self, model: LoadedModel) -> Table:
        """Evaluates the sequences that the output has no row of, and writes the table.

        Raises:
            ValueError: a sequence does not serve the task, or does not fit on the device.
        """
        self.check_device(model)
        self.out.mkdir(parents=True, exist_ok=True)
        rows, done = {}, self._done()
        for scene, numbers, about in (bar := tqdm(self._each(model), unit="sequence")):
            bar.set_description(f"{self.task} {scene.name}")
            row = done.get(self._key(about))
            if row is None:
                began = time.perf_counter()
                run = SequenceRun(scene.sequence, numbers, model, self.way, self.protocol)
                errors = asdict(evaluate(self.task, run))
                seconds = round(time.perf_counter() - began, 2)
                row = {**about, "seconds": seconds, **errors}
                add_row(self.out / ROWS, without_nan(row))
            rows[scene.name] = row
        table = self._table(rows, model)
        table.write(self.out)
        return table

    def _each(self, model: LoadedModel) -> list[tuple[NamedSequence, list[int], dict[str, Any]]]:
        """Every sequence, numbers of its frames that count, and what its row is of."""
        each = [(scene, self._numbers(scene.sequence)) for scene in self.scenes.scenes]
        return [(scene, at, self._about(scene, len(at), model)) for scene, at in each]

    def _done(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Rows that the output has, by what they are of."""
        return {self._key(row): row for row in read_rows(self.out / ROWS)}

    def _numbers(self, sequence: Sequence) -> list[int]:
        """Of the frames that count."""
        return counted(self.task, sequence, self.protocol.numbers(len(sequence.pictures)))

    def _about(self, scene: NamedSequence, frames: int, model: LoadedModel) -> dict[str, Any]:
        return {
            "task": self.task,
            "dataset": self.dataset,
            "scene": scene.name,
            "folder": str(scene.sequence.pictures[0].parent.resolve()),
            "frames": frames,
            "protocol": self.protocol.title(self.task),
            "way": self.way.title,
            "weights": model.sha256,
            "numbers": str(model.device.dtype).removeprefix("torch."),
            "device": model.device.name,
        }

    def _key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """What a row is of; the device is not part of it."""
        names = ("task", "dataset", "folder", "frames", "protocol", "way", "weights", "numbers")
        return tuple(row.get(name) for name in names)

    def _table(self, rows: dict[str, dict[str, Any]], model: LoadedModel) -> Table:
        columns, counts_pixels = COLUMNS[self.task], self.task in _BY_PIXEL
        known = [row for row in rows.values() if not counts_pixels or row["pixels"]]
        weights = [row["pixels"] for row in known] if counts_pixels else None
        means = {
            name: float(np.average([row[name] for row in known], weights=weights))
            for name in columns
            if known
        }
        published, notes = self._published()
        return Table(
            task=self.task,
            dataset=DATASETS[self.dataset].title,
            way=self.way.title,
            protocol=self.protocol.title(self.task),
            notes=(f"weights: {model.note}", f"on: {_machine(rows.values())}", *notes),
            ours=means,
            published=published,
            scenes={name: {key: row[key] for key in columns} for name, row in rows.items()},
        )

    def _published(self) -> tuple[Mapping[str, Mapping[str, float]], list[str]]:
        """Rows that mean the same, and why there is none."""
        rows = PUBLISHED.get((self.task, self.dataset))
        if rows is None:
            return {}, []
        scenes, (protocol, _) = self.scenes, DATASETS[self.dataset].tasks[self.task]
        apart = []
        if not scenes.is_published:
            apart.append(f"{scenes.published} of its {scenes.expected} sequences are here")
        if protocol != self.protocol:
            apart.append(f"its protocol is: {protocol.title(self.task)}")
        if apart:
            return {}, [f"not set beside the published table: {'; '.join(apart)}"]
        return rows, []


def _machine(rows: Iterable[Mapping[str, Any]]) -> str:
    """Devices and numbers of rows, which may be several."""
    return "; ".join(sorted({f"{row['device']}, {row['numbers']}" for row in rows}))
