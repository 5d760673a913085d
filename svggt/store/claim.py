"""Whose a folder is: what a store may delete, and whether it may use a folder at all.

Other people's data is sacred: a store deletes only what bears its marker, its names and its
children's names, and never what a symbolic link points to.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Set
from pathlib import Path

from svggt.errors import StoreRefused
from svggt.files import atomic_write

log = logging.getLogger(__name__)

FORMAT = 2
"""Of a store, and of the recordings in it; those of the first version said nothing of it."""

MARKER = "svggt-store.json"
LOCK = ".lock"

_NAME = re.compile(r"[0-9a-f]{16}")
_GONE = "gone"  # a deletion has begun: it ends at the next start, if the process is killed
_FOLDERS = {"frames", "source", "source.part", "exports", "beside"}
_OURS = re.compile(
    r"(beside/)?("
    r"gone|(run\.json|tokens\.json|metres\.json|comparison\.json|cameras\.jsonl)(\.part)?|[0-9a-f]{8}[\w.-]*\.part"
    r"|stream_\d{6}\.safetensors(\.part)?"
    r"|frames/\d{6}(\.thin)?\.npz(\.part|\.damaged)?|source(\.part)?/\d{6}(\.\w+)?|exports/(scene|comparison)[\w.-]*"
    r")"
)


def is_recording(path: Path) -> bool:
    """Whether a path is a real folder with a name that only a store gives."""
    return _NAME.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


def strangers_in(folder: Path) -> Iterator[Path]:
    """What a recording's folder holds, at any depth, that no recording does."""
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        for name in files:
            if not is_ours(folder, here / name):
                yield here / name
        for name in folders:
            if name not in _FOLDERS or (here / name).is_symlink():
                yield here / name


def is_ours(folder: Path, path: Path) -> bool:
    """Whether a file bears a name that the recording of a folder gives."""
    return _OURS.fullmatch(path.relative_to(folder).as_posix()) is not None


def check(folder: Path) -> None:
    """Checks that a folder is a store's, may become one's, or was one of the first version.

    Raises:
        StoreRefused: it holds what is not ours, or belongs to a newer version.
    """
    marker = folder / MARKER
    if marker.is_file():
        try:
            version = int(json.loads(marker.read_bytes())["format"])
        except (ValueError, TypeError, KeyError):
            raise StoreRefused(
                f'{marker} is damaged: write {{"format": {FORMAT}}} into it'
            ) from None
        if version > FORMAT:
            raise StoreRefused(
                f"{folder} was written by a newer version of svggt: update, or name another folder "
                "by --store"
            )
        return
    for path in sorted(folder.iterdir()):
        is_lock = path.name == LOCK and path.is_file() and not path.stat().st_size
        is_begun = path.name == f"{MARKER}.part"  # by a server that was killed
        stranger = None if is_lock or is_begun else path
        if is_recording(path):
            stranger = next(strangers_in(path), None)
        if stranger is not None:
            raise StoreRefused(
                f"{folder} holds what is not svggt's ({stranger.name}): name an empty folder by "
                "--store, or one that is not there yet"
            )


def mark(folder: Path) -> None:
    """Says in a folder that it is a store's."""
    if not (folder / MARKER).is_file():
        with atomic_write(folder / MARKER) as path:
            path.write_text(json.dumps({"format": FORMAT}) + "\n", "utf-8")


def is_going(folder: Path) -> bool:
    """Whether a deletion was cut off."""
    return (folder / _GONE).is_file()


def erase(folder: Path) -> bool:
    """Deletes a recording, and nothing else that lies in its folder.

    Returns:
        Whether all of it is gone; what is left is somebody else's, or could not be deleted.
    """
    if not is_recording(folder):
        return False
    try:
        (folder / _GONE).touch()
        delete_ours(folder, spared={_GONE})
        (folder / _GONE).unlink()
        folder.rmdir()
    except FileNotFoundError:  # another thread was here
        return not folder.exists()
    except OSError as error:
        log.warning("%s is not deleted whole: %s", folder, error)
        return False
    return True


def delete_ours(folder: Path, spared: Set[str] = frozenset()) -> None:
    """Deletes what a recording keeps in a folder, and its own folders where nothing is left.

    Args:
        folder: the recording's, which stays.
        spared: names of files and folders right in it.

    Raises:
        OSError: something cannot be deleted.
    """
    (folder / "run.json").unlink(missing_ok=True)  # first: without it nothing else is read
    for parent, _, files in os.walk(folder, topdown=False):  # which follows no link
        here = Path(parent)
        for path in (here / name for name in files):
            if is_ours(folder, path) and path.relative_to(folder).parts[0] not in spared:
                path.unlink(missing_ok=True)
        if here != folder and here.name in _FOLDERS:
            with contextlib.suppress(OSError):  # somebody else's lie there
                here.rmdir()
