"""A stream on disk: its cached token memory and its refiner's state, to go on from anywhere.

One safetensors file; its metadata say by which weights and settings it was computed, so that no
other stream goes on from it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from svggt.engine.stream import Stream
from svggt.errors import SnapshotRefused
from svggt.files import atomic_write
from svggt.model.storage import named_under
from svggt.refine import snapshot as refiner_snapshot
from svggt.refine.state import RefinerState
from svggt.settings import StreamSettings

_FORMAT = "3"
_STREAM, _REFINER = "stream.", "refiner."


def write(
    path: Path, stream: Stream, refined: RefinerState | None, settings: StreamSettings
) -> None:
    """Writes a stream that takes no step meanwhile; the file is whole or not there.

    Args:
        path: the file.
        stream: between two steps.
        refined: its refiner's state; None where nothing is refined.
        settings: how it is computed.

    Raises:
        OSError: it cannot be written.
    """
    tensors = {_STREAM + name: value for name, value in stream.save().items()}
    if refined is not None:
        arrays = refiner_snapshot.to_arrays(refined)
        tensors |= {_REFINER + name: torch.from_numpy(each) for name, each in arrays.items()}
    contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
    with atomic_write(path) as begun:
        save_file(contiguous, begun, metadata=_facts(stream, settings))


def read(path: Path, stream: Stream, settings: StreamSettings) -> RefinerState | None:
    """Puts what was written into a new stream, and returns its refiner's state.

    Raises:
        SnapshotRefused: the file is damaged, or of another stream.
    """
    try:
        with safe_open(path, framework="pt") as file:
            if file.metadata() != _facts(stream, settings):
                raise SnapshotRefused(f"{path.name} is of other weights, settings or version")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stream.load(named_under(_STREAM, tensors))
        arrays = {name: value.numpy() for name, value in named_under(_REFINER, tensors).items()}
        return refiner_snapshot.from_arrays(arrays) if arrays else None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise SnapshotRefused(f"{path.name} cannot be read: {error}") from error


def _facts(stream: Stream, settings: StreamSettings) -> dict[str, str]:
    return {
        "format": _FORMAT,
        "weights": stream.model.sha256,
        "numbers": str(stream.model.device.dtype),
        "settings": json.dumps(dataclasses.asdict(settings)),
    }
