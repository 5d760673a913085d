"""A refiner's state as named arrays, and back: what a stream's snapshot holds of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svggt.geometry import Similarity
from svggt.refine.dynamic_points import DynamicPoints
from svggt.refine.fixed_pixels import FixedPixels
from svggt.refine.flow_check import FlowCheck
from svggt.refine.keyframes import Keyframe
from svggt.refine.landmarks import Landmarks
from svggt.refine.loops import Loop
from svggt.refine.recognition import KeyframeFeatures
from svggt.refine.relocalization import Remembered
from svggt.refine.scale_drift import ScaleDrift
from svggt.refine.state import Placed, RefinerState
from svggt.refine.tracking import Tracks
from svggt.refine.views import View

Arrays = dict[str, NDArray[Any]]

_OUTLINE = "outline"
_KINDS = {
    kind.__name__: kind
    for kind in (
        RefinerState,
        Keyframe,
        KeyframeFeatures,
        Loop,
        Similarity,
        Landmarks,
        DynamicPoints,
        FixedPixels,
        FlowCheck,
        Remembered,
        Placed,
        ScaleDrift,
        Tracks,
        View,
    )
}


def to_arrays(state: RefinerState) -> Arrays:
    """Arrays by name; one of them is an outline (JSON, as bytes) that says where each belongs."""
    arrays: Arrays = {}
    outline = _take_apart(state, arrays)
    arrays[_OUTLINE] = np.frombuffer(json.dumps(outline).encode(), np.uint8).copy()
    return arrays


def from_arrays(arrays: Arrays) -> RefinerState:
    """The state that `to_arrays` took apart.

    Raises:
        ValueError: the arrays are not a refiner's.
    """
    try:
        state = _put_together(json.loads(arrays[_OUTLINE].tobytes()), arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"these arrays are no snapshot of refined cameras: {error}") from None
    if not isinstance(state, RefinerState):
        raise ValueError("these arrays are no snapshot of refined cameras")
    return state


def _take_apart(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value.copy()
        return {"array": name}
    if isinstance(value, list):
        return [_take_apart(item, arrays) for item in value]
    if type(value).__name__ in _KINDS:
        parts = {name: _take_apart(part, arrays) for name, part in _parts(value).items()}
        return {"kind": type(value).__name__, "parts": parts}
    if isinstance(value, tuple):
        return {"tuple": list(value)}
    return value.item() if isinstance(value, np.generic) else value


def _parts(value: Any) -> dict[str, Any]:
    """What an object is made of; what can be found again (names with _) is left out."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        names = list(vars(value))
    return {name: getattr(value, name) for name in names if not name.startswith("_")}


def _put_together(outline: Any, arrays: Arrays) -> Any:
    if isinstance(outline, list):
        return [_put_together(item, arrays) for item in outline]
    if not isinstance(outline, dict):
        return outline
    if "array" in outline:
        return arrays[outline["array"]].copy()
    if "tuple" in outline:
        return tuple(outline["tuple"])
    kind = _KINDS[outline["kind"]]
    parts = {name: _put_together(part, arrays) for name, part in outline["parts"].items()}
    return kind(**parts)
