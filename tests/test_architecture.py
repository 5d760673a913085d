"""The house's rules: imports run downward, and say what they bring; files are small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "svggt"
SOURCES = [ROOT / "app.py", *sorted(HOUSE.rglob("*.py"))]

# What each part may import of svggt, besides itself. Parts are listed from the ground up.
ALLOWED: dict[str, set[str]] = {
    "geometry": set(),
    "settings": set(),
    "errors": set(),
    "files": set(),
    "view_options": set(),
    "prediction": {"geometry"},
    "metrics": {"geometry"},
    "model": {"settings"},
    "data": set(),
    "refine": {"geometry", "prediction"},
    "media": {"files", "data", "errors", "refine"},
    "scene": {"geometry", "prediction", "refine", "view_options"},
    "store": {
        "errors", "files", "media", "prediction", "refine", "scene", "settings", "view_options",
    },
    "engine": {
        "files", "errors", "geometry", "media", "model", "prediction", "refine", "settings",
        "store",
    },
    "compare": {
        "files", "data", "engine", "errors", "geometry", "media", "metrics", "prediction",
        "scene", "settings", "store", "view_options",
    },
    "exports": {"compare", "errors", "geometry", "scene", "store", "view_options"},
    "session": {
        "compare", "engine", "errors", "media", "prediction", "refine", "scene", "settings",
        "store", "view_options",
    },
    "cluster": {
        "engine", "errors", "files", "media", "prediction", "refine", "settings",
    },
    "web": {
        "cluster", "compare", "engine", "errors", "exports", "media", "prediction", "scene",
        "session", "settings", "store", "view_options",
    },
    "cli": {
        "engine", "errors", "exports", "media", "settings", "store", "view_options", "web",
    },
}  # fmt: skip
WINGS = {"experiments", "eval", "train"}  # tools: nobody imports them, and they not the page

# What an import may not bring with it, by whatever way.
LIGHT = {
    "svggt.exports.exporter": {"torch", "gradio"},
    "svggt.exports.child": {"numpy", "viser", "trimesh", "pycolmap"},  # begun for every export
    "svggt.session.registry": {"torch", "gradio"},
    "svggt.compare.comparison": {"torch", "gradio"},
    "svggt.compare.agreement": {"torch", "viser"},
    "svggt.store.posed_frames": {"torch", "viser"},
    "svggt.store.recording": {"torch", "viser", "svggt.session"},
    "svggt.scene.scene": {"torch", "av"},
    "svggt.scene.clouds": {"torch", "viser"},
    "svggt.refine.refiner": {"torch", "av", "viser"},
    "svggt.refine.solver": {"torch", "av", "viser"},
    "svggt.media.clips": {"torch", "viser", "gradio"},
    "svggt.eval.__main__": {"viser", "gradio", "svggt.web"},
    "svggt.experiments.__main__": {"gradio", "svggt.web"},
    "svggt.cli": {"gradio", "svggt.web"},
    "svggt.train.__main__": {
        "av", "viser", "gradio", "gtsam", "tyro", "trimesh", "cv2", "pycolmap", "matplotlib",
    },
    "svggt.cluster.cluster": {"ray"},
    "svggt.web.serve": {"gradio", "ray"},  # it reads the folder for uploads when it is imported
}  # fmt: skip


def part_of(path: Path) -> str:
    return path.relative_to(HOUSE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_imports_run_downward() -> None:
    known = {path.stem if path.suffix else path.name for path in HOUSE.iterdir()}
    for path in SOURCES[1:]:
        part = part_of(path)
        found = {n.split(".")[1] for n in imported(path) if n.startswith("svggt.")} & known
        if part in WINGS:
            assert "web" not in found, path
        elif part not in ("__init__", "__main__"):
            assert found - {part} <= ALLOWED[part], path


def test_no_part_imports_one_above_it() -> None:
    """The table itself has an order, so that there is no circle."""
    seen: set[str] = set()
    for part, below in ALLOWED.items():
        assert below <= seen, part
        seen.add(part)


def brought_by(module: str) -> set[str]:
    """What a fresh process has imported after a module."""
    code = f"import sys, importlib; importlib.import_module({module!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_an_import_brings_no_more_than_it_needs() -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        brought = dict(zip(LIGHT, pool.map(brought_by, LIGHT), strict=True))
    assert not {
        module: LIGHT[module] & names for module, names in brought.items() if LIGHT[module] & names
    }


def test_torch_is_imported_where_the_model_is() -> None:
    for path in SOURCES[1:]:
        if part_of(path) not in {"model", "engine", *WINGS}:
            assert not any(name.split(".")[0] == "torch" for name in imported(path)), path


def test_files_are_small_and_few_lie_at_the_top() -> None:
    for path in SOURCES:
        assert len(path.read_text("utf-8").splitlines()) <= 350, path
    assert len(list(HOUSE.glob("*.py"))) <= 12


def test_a_name_means_one_type() -> None:
    classes = Counter(
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not [name for name, count in classes.items() if count > 1]
