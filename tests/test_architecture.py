"""The house's rules, read from the source with `ast`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "app.py", *sorted((ROOT / "svggt").rglob("*.py"))]

# What each part may import of svggt; a package's modules also see each other.
ALLOWED = {
    "geometry": set(),
    "prediction": {"geometry"},
    "files": set(),
    "metrics": {"geometry"},
    "frames": set(),
    "settings": set(),
    "archive": {"files", "frames", "prediction"},
    "selection": {"refine"},
    "video": {"frames", "selection"},
    "clips": {"frames", "selection", "truth", "video"},
    "devices": set(),
    "turns": set(),
    "peak": set(),
    "truth": set(),
    "residency": {"checkpoints", "devices"},
    "model": set(),
    "quantise": {"model"},
    "checkpoints": {"devices", "model", "quantise"},
    "stream": {"checkpoints", "frames", "geometry", "model", "prediction"},
    "offline": {"checkpoints", "frames", "model", "prediction", "stream"},
    "refine": {"geometry", "prediction"},
    "scene": {"archive", "geometry", "prediction", "refine"},
    "workers": {
        "checkpoints", "frames", "model", "offline", "peak", "prediction", "refine",
        "residency", "settings", "stream", "turns",
    },
    "loading": {"checkpoints", "workers"},
    "live": {"frames", "selection"},
    "progress": {"prediction", "refine"},
    "store": {
        "archive", "clips", "files", "frames", "prediction", "progress", "refine", "scene",
        "settings",
    },
    "shots": {"prediction", "refine", "scene", "store"},
    "exports": {"compare", "files", "frames", "geometry", "scene", "shots", "store"},
    "commands": {
        "checkpoints", "clips", "devices", "exports", "frames", "progress", "run", "scene",
        "settings", "store", "workers",
    },
    "run": {"clips", "frames", "live", "refine", "store", "workers"},
    "failures": {"stream", "workers"},
    "compare": {
        "archive", "checkpoints", "clips", "failures", "files", "frames", "geometry", "metrics",
        "offline", "prediction", "run", "scene", "settings", "shots", "store", "truth", "workers",
    },
    "restore": {"frames", "progress", "scene", "store"},
    "session": {
        "clips", "compare", "failures", "frames", "live", "prediction", "progress", "restore",
        "run", "scene", "settings", "store", "workers",
    },
    "sessions": {"frames", "session", "store", "workers"},
    "web": {
        "checkpoints", "clips", "compare", "exports", "frames", "live", "loading", "prediction",
        "progress", "scene", "session", "sessions", "settings", "shots", "store", "truth",
        "workers",
    },
}  # fmt: skip
WINGS = {"experiments", "eval", "train"}  # they import anything; nobody imports them
TORCH_FREE = {
    "geometry",
    "prediction",
    "archive",
    "frames",
    "selection",
    "video",
    "clips",
    "live",
    "progress",
    "refine",
    "scene",
    "files",
    "metrics",
    "settings",
    "store",
    "exports",
    "commands",
    "run",
    "failures",
    "compare",
    "shots",
    "truth",
    "restore",
    "session",
    "sessions",
    "web",
}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[1] if path.name != "app.py" else "app"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def parts_imported(path: Path) -> set[str]:
    parts = {name.split(".")[1] for name in imported(path) if name.startswith("svggt.")}
    known = {p.stem if p.suffix else p.name for p in (ROOT / "svggt").iterdir()}
    return parts & known


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    part = part_of(path)
    if part in WINGS or part in ("__init__", "__main__"):
        return
    allowed = set(ALLOWED) if part == "app" else ALLOWED[part]
    assert parts_imported(path) - {part} <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_torch_stays_with_the_model(path: Path) -> None:
    if part_of(path) in TORCH_FREE:
        assert not any(name.split(".")[0] == "torch" for name in imported(path))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 350
