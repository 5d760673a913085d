"""What a folder was begun with: it is resumed so, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from svggt.files import atomic_write


def remember(folder: Path, settings: dict[str, Any]) -> None:
    """Writes settings where a folder is begun; else compares.

    Args:
        folder: made if it is not there.
        settings: what JSON can say.

    Raises:
        ValueError: the folder was begun with others; what differs is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, given = folder / "settings.json", json.loads(json.dumps(settings))
    if not path.is_file():
        with atomic_write(path) as begun:
            begun.write_text(json.dumps(given, indent=2) + "\n", encoding="utf-8")
        return
    kept = json.loads(path.read_text("utf-8"))
    differ = [name for name in {**kept, **given} if kept.get(name) != given.get(name)]
    if differ:
        words = ", ".join(f"{n} was {kept.get(n)}, is {given.get(n)}" for n in differ)
        raise ValueError(f"{folder} was begun otherwise ({words}): say the same, or name another")
