"""Makes the gallery's clips, and ground truth where there is some, from their sources.

`python assets/make_clips.py SOURCE`, where SOURCE holds `office/` and `room/` (images, depth,
poses.txt, K.txt), `drive.mp4` and `alley.mov`. The room is rendered:
`python -m svggt.train clip SOURCE/room --frames 60 --seed 1000000000051`, a seed that nothing
trains on. Video streams are copied, never re-encoded, without sound and without metadata (the
originals carry a place and a phone's model); only folders of pictures are encoded. Sources and
licences: LICENSES.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

CLIPS = Path(__file__).parent / "clips"
FOLDERS = {"office": 20, "room": 26}  # with truth; how coarsely they are encoded
RATE = 10  # of theirs
TRUTH_EVERY = 8  # frames with depth; all have a pose


def strip(source: Path, target: Path) -> None:
    """Copies the first video stream into a file that says nothing else."""
    with av.open(str(source)) as original, av.open(str(target), "w") as bare:
        video = original.streams.video[0]
        stream = bare.add_stream_from_template(video)
        stream.metadata.clear()
        for packet in original.demux(video):
            if packet.dts is not None:
                packet.stream = stream
                bare.mux(packet)


def encode(pictures: list[Path], target: Path, rate: int, crf: int) -> None:
    """Encodes pictures as H.264; grain of a rendered sensor is worth few bytes."""
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = Image.open(pictures[0]).size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryslow"}
        for path in pictures:
            frame = av.VideoFrame.from_image(Image.open(path))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_truth(folder: Path, target: Path) -> None:
    """Poses of all frames, and every `TRUTH_EVERY`th depth map at half size, in millimetres."""
    numbers = np.arange(0, len(list((folder / "depth").iterdir())), TRUTH_EVERY)
    depth = [np.asarray(Image.open(folder / f"depth/{n:05}.png"))[::2, ::2] for n in numbers]
    np.savez_compressed(
        target,
        world_from_cam=np.loadtxt(folder / "poses.txt").reshape(-1, 4, 4),
        intrinsics=np.loadtxt(folder / "K.txt"),
        depth_mm=np.stack(depth).astype(np.uint16),
        depth_frames=numbers,
    )


def picture(clip: Path, number: int) -> None:
    """One frame of a clip, 320 pixels wide, for the gallery."""
    with av.open(str(clip)) as container:
        frame = next(f for i, f in enumerate(container.decode(video=0)) if i == number)
    size = (320, round(320 * frame.height / frame.width))
    smaller = frame.to_image().resize(size, Image.Resampling.LANCZOS)
    smaller.save(clip.with_suffix(".jpg"), quality=82)


def main(source: Path) -> None:
    """Makes all files from a folder with the sources."""
    CLIPS.mkdir(exist_ok=True)
    for name, crf in FOLDERS.items():
        encode(sorted((source / name / "images").iterdir()), CLIPS / f"{name}.mp4", RATE, crf)
        write_truth(source / name, CLIPS / f"{name}_truth.npz")
    strip(source / "drive.mp4", CLIPS / "drive.mp4")
    strip(source / "alley.mov", CLIPS / "alley.mp4")
    for name, number in (("office", 44), ("room", 0), ("drive", 60), ("alley", 20)):
        picture(CLIPS / f"{name}.mp4", number)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
