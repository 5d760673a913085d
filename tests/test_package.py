"""What is installed is the whole of it: a wheel runs outside the checkout, with its own weights."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_is_named_in_pyproject() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in ROOT.glob("svggt/**/__init__.py")}
    assert set(setuptools["packages"]) == found | {"svggt._assets"}


@pytest.mark.slow  # 20 s
def test_a_wheel_runs_a_clip_outside_the_checkout(tmp_path: Path) -> None:
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    checkout.mkdir()
    tracked = ("pyproject.toml", "README.md", "LICENSE", "svggt", "assets")
    names = subprocess.run(
        ["git", "ls-files", "-z", *tracked], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).symlink_to(ROOT / name)
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), "."]
    subprocess.run(wheel, cwd=checkout, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as built:
        built.extractall(site)
        entry = built.read(next(n for n in built.namelist() if n.endswith("entry_points.txt")))
    assert b"svggt = svggt.cli:main" in entry
    assert all((site / name).exists() for name in names if name.startswith("svggt/"))
    clip = site / "svggt" / "_assets" / "clips" / "office.mp4"
    code = (
        "import sys, svggt; print(svggt.__file__, file=sys.stderr)\n"
        f"sys.argv = ['svggt', 'run', {str(clip)!r}, '--out', 'out', '--frames', '3']\n"
        "from svggt.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(site))
    assert {"finished: 3 frames"} <= {line.split(",")[0] for line in done.stdout.splitlines()}
    assert list((tmp_path / "out" / "exports").glob("scene*.glb"))
