"""What a server and the processes that decode its files say to each other."""

from __future__ import annotations

from typing import Annotated

import msgspec

from svggt.media.bars import Shown
from svggt.media.frames import InputLimits


class Job(msgspec.Struct, tag=True):
    """What a child is asked for; the rest comes as messages.

    Attributes:
        paths: files that it reads.
        limits: what is accepted.
    """

    paths: list[str]
    limits: InputLimits


class CheckJob(Job, tag=True):
    """Whether files can be used; of a video also what its header says."""

    names: list[str]


class DecodeJob(Job, tag=True):
    """Frames of a clip.

    Attributes:
        names: what people call the files.
        width: the frames', pixels.
        rate: frames a second; None: by motion.
        length_s: of a video, seconds, if it says.
        original: as they are, upright, instead of fitted to the width.
        whole: see `Fitter`.
        shown: of the pictures, between black bars, which are cut off; None: they have none.
    """

    names: list[str]
    width: int
    rate: float | None
    length_s: float | None
    original: bool = False
    whole: bool = False
    shown: Shown | None = None


class PicturesJob(Job, tag=True):
    """Pictures that come one by one, as encoded messages."""


class VideoInfo(msgspec.Struct, tag=True):
    """What a video's header says.

    Attributes:
        width: pixels, before rotation.
        height: pixels, before rotation.
        seconds: length; None where the header does not say.
        shown: between black bars; None where there are none.
    """

    width: int
    height: int
    seconds: float | None
    shown: Shown | None


class PicturesInfo(msgspec.Struct, tag=True):
    """What the pictures of a `CheckJob` are, as far as a run would take them.

    Attributes:
        counts: of each file, in order, how many can be decoded; 0: none.
        field_of_view: degrees across, as EXIF says; 0 where it does not, or not of one lens.
        shown: between black bars; None where there are none.
    """

    counts: list[Annotated[int, msgspec.Meta(ge=0)]]
    field_of_view: Annotated[float, msgspec.Meta(ge=0, lt=180)]
    shown: Shown | None


class DecodedFrame(msgspec.Struct, tag=True):
    """A frame; see `Frame`. Sizes are (rows, columns)."""

    number: int
    time_s: float
    size: tuple[int, int]
    image: bytes
    grey_size: tuple[int, int]
    grey: bytes


class DecodedPicture(msgspec.Struct, tag=True):
    """A whole picture, upright, RGB."""

    size: tuple[int, int]
    pixels: bytes


class Note(msgspec.Struct, tag=True):
    """A sentence for people: something was left out or repaired."""

    sentence: str


class Failed(msgspec.Struct, tag=True):
    """A sentence for people: the file cannot be used."""

    sentence: str


class Done(msgspec.Struct, tag=True):
    """There is no more."""


Message = VideoInfo | PicturesInfo | DecodedFrame | DecodedPicture | Note | Failed | Done
