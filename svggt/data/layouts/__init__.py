"""Layouts of public data sets, each as it is published or as others prepare it.

Each opener returns None where a folder is of another layout. Where files of its own are missing
it says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from svggt.data.layouts.nyu import open_nyu
from svggt.data.layouts.outdoor import open_eth3d, open_kitti, open_sintel
from svggt.data.layouts.prepared import open_cut3r, open_cut3r_flat
from svggt.data.layouts.scanned import (
    open_nrgbd,
    open_plain,
    open_scannet,
    open_seven_scenes,
    open_tum,
)
from svggt.data.sequence import Sequence


def open_sequence(folder: Path) -> Sequence:
    """The sequence of a folder, in any layout: its moments with depth and a known pose.

    Raises:
        ValueError: it is of none, lacks something, or says what cannot be used.
    """
    found = _opened(folder)
    if found is None:
        known = ", ".join(LAYOUTS)
        raise ValueError(
            f"{folder} is of no known layout ({known}): a plain folder has images/, depth/ and "
            "poses.txt"
        )
    return _usable(found[1])


def find_sequences(root: Path) -> Iterator[Sequence]:
    """All sequences in a folder and below, as `open_sequence`; none is looked for within another.

    Raises:
        ValueError: a sequence lacks something, or says what cannot be used.
    """
    return (_usable(opened) for _, _, opened in search(root))


def search(root: Path) -> Iterator[tuple[Path, str, Sequence | ValueError]]:
    """Folder, layout and sequence, with all of its pictures, of all in a folder and below.

    Raises:
        ValueError: there is no such folder.

    Yields:
        In place of a sequence that lacks something, or says what cannot be used, the error.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    if (found := _opened(root)) is not None:
        yield root, *found
        return
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        yield from search(folder)


LAYOUTS: dict[str, Callable[[Path], Sequence | None]] = {
    "TUM RGB-D": open_tum,
    "ScanNet": open_scannet,
    "CUT3R": open_cut3r,
    "CUT3R, flat": open_cut3r_flat,
    "7-Scenes": open_seven_scenes,
    "Sintel": open_sintel,
    "KITTI": open_kitti,
    "ETH3D": open_eth3d,
    "NYU": open_nyu,
    "Neural RGB-D": open_nrgbd,
    "plain folder": open_plain,
}


def _opened(folder: Path) -> tuple[str, Sequence | ValueError] | None:
    """Layout and sequence of a folder; None if it is of none."""
    for layout, opener in LAYOUTS.items():
        try:
            sequence = opener(folder)
        except ValueError as error:
            return layout, error
        if sequence is not None:
            return layout, sequence
    return None


def _usable(opened: Sequence | ValueError) -> Sequence:
    if isinstance(opened, ValueError):
        raise opened
    return opened.complete
