"""What a JSON body costs is known before it is parsed, whatever it is cut into."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from svggt.media.frames import InputLimits
from svggt.web.bodies import BodyLimits, BodyScan, TooCostly

LIMITS = BodyLimits(size=1_000_000, elements=1_000_000, nesting=1_000)
SITE = BodyLimits.of(InputLimits())


def scanned(body: bytes, limits: BodyLimits = LIMITS, cuts: tuple[int, ...] = ()) -> BodyScan:
    scan = BodyScan(limits)
    for first, last in zip((0, *cuts), (*cuts, len(body)), strict=True):
        scan.feed(body[first:last])
    return scan


def drawn(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(6 if depth < 4 else 3)
    if kind == 0:
        return "".join(rng.choice('ab"\\[]{},:é\n') for _ in range(rng.randrange(6)))
    if kind in (1, 2):
        return rng.choice([None, True, -1.5e3, 7])
    if kind == 3:
        return {f'k"{i}\\': drawn(rng, depth + 1) for i in range(rng.randrange(4))}
    return [drawn(rng, depth + 1) for _ in range(rng.randrange(4))]


def cost(value: Any) -> tuple[int, int]:
    """Containers and commas, and the deepest nesting."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [cost(each) for each in (value.values() if isinstance(value, dict) else value)]
    elements = 1 + max(0, len(inner) - 1) + sum(count for count, _ in inner)
    return elements, 1 + max((depth for _, depth in inner), default=0)


@pytest.mark.parametrize("seed", range(30))
def test_a_scan_counts_what_json_holds_however_it_is_cut(seed: int) -> None:
    rng = random.Random(seed)
    value = [drawn(rng) for _ in range(4)]
    body = json.dumps(value, ensure_ascii=False).encode()
    elements, nesting = cost(value)
    for _ in range(20):
        cuts = tuple(sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(5))))
        enough = BodyLimits(len(body), elements, nesting)
        scanned(body, enough, cuts)
        for less in (
            BodyLimits(len(body) - 1, elements, nesting),
            BodyLimits(len(body), elements - 1, nesting),
            BodyLimits(len(body), elements, nesting - 1),
        ):
            with pytest.raises(TooCostly):
                scanned(body, less, cuts)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 17,
        b"[" + b"1," * 8_000,
        b'{"data": [' + b"[]," * 4_000,
        b'"' + b"a" * 2_000_000,
        '["∀",[],[]]'.encode("utf-16"),
    ],
    ids=["nested", "flat", "many lists", "long", "another encoding"],
)
def test_what_would_cost_a_parser_is_refused(body: bytes) -> None:
    with pytest.raises(TooCostly):
        scanned(body, SITE)


def test_the_largest_start_passes() -> None:
    """As many pictures as an upload may have, with names as long as a disk takes, escaped."""
    name = '"\\' * 127
    picture = {
        "path": f"/tmp/{'f' * 64}/{name}",
        "url": f"http://127.0.0.1/gradio_api/file=/tmp/{name}",
        "orig_name": name,
        "size": 123456,
        "mime_type": "image/jpeg",
        "is_stream": False,
        "meta": {"_type": "gradio.FileData"},
    }
    start = {
        "data": [None, "upload", 0, [picture] * InputLimits().max_files, *[1] * 14],
        "event_data": None,
        "fn_index": 7,
        "trigger_id": 12,
        "session_hash": "abcdefghijk",
    }
    scanned(json.dumps(start).encode(), SITE)


def test_scanning_takes_linear_time() -> None:
    """Escapes without an end would take a naive expression quadratic time."""

    def seconds(length: int) -> float:
        body = b'"' + b"\\" * length
        scans = []
        for _ in range(3):
            begun = time.perf_counter()
            scanned(body, BodyLimits(10**8, 10, 10), tuple(range(1, length, 65_536)))
            scans.append(time.perf_counter() - begun)
        return min(scans)

    assert seconds(4_000_000) < 12 * seconds(1_000_000) + 0.05
