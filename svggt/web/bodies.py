"""What a JSON body would cost, known while it streams in and before anything parses it.

A parser's time and memory grow with values, not bytes: 3 MB of nested lists hold it for seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from svggt.media.frames import InputLimits

# Possessive: an unterminated string of escapes takes linear time too.
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_MARK = re.compile(rb'["\[\]{},]')


@dataclass(frozen=True)
class BodyLimits:
    """Bounds on a JSON body.

    Attributes:
        size: bytes.
        elements: values and keys.
        nesting: lists and objects within each other.
    """

    size: int
    elements: int
    nesting: int

    @classmethod
    def of(cls, limits: InputLimits) -> BodyLimits:
        """Those of the largest Start: a picture takes a name, and twelve values about it."""
        files = limits.max_files
        return cls(size=100_000 + 2_000 * files, elements=1_000 + 12 * files, nesting=16)


class TooCostly(Exception):
    """A body is beyond its limits; says by what, for people."""


class BodyScan:
    """Counts what the chunks of a body hold.

    Args:
        limits: that must hold.
    """

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._size = self._elements = self._depth = 0
        self._in_string, self._rest = False, b""

    def feed(self, chunk: bytes) -> None:
        """Takes the next chunk.

        Raises:
            TooCostly: the body is beyond its limits already.
        """
        limits = self._limits
        self._size += len(chunk)
        if self._size > limits.size:
            raise TooCostly(f"at most {limits.size / 1e6:.1f} MB")
        if b"\0" in chunk:  # UTF-16 and 32, whose marks are others; UTF-8 of JSON holds none
            raise TooCostly("only text in UTF-8 is read")
        text, at = self._rest + chunk, 0
        self._rest = b""
        while at < len(text):
            if self._in_string:
                at = self._end_of_string(text, at)
                continue
            found = _MARK.search(text, at)
            if found is None:
                return
            at = found.end()
            self._count(found[0])
            if self._elements > limits.elements:
                raise TooCostly(f"at most {limits.elements} values")
            if self._depth > limits.nesting:
                raise TooCostly(f"at most {limits.nesting} levels of nesting")

    def _end_of_string(self, text: bytes, at: int) -> int:
        found = _STRING.match(text, at)
        assert found is not None  # it may be empty
        end = found.end()
        if end == len(text):
            return end
        if text[end : end + 1] == b"\\":  # an escape that the chunk cuts
            self._rest = text[end:]
            return len(text)
        self._in_string = False
        return end + 1

    def _count(self, mark: bytes) -> None:
        """Openings and commas bound all values and keys."""
        if mark == b'"':
            self._in_string = True
        elif mark in b"[{":
            self._depth += 1
            self._elements += 1
        elif mark == b",":
            self._elements += 1
        else:
            self._depth -= 1
