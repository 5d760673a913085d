"""Streams a clip through the network: `python examples/stream_clip.py my_clip.mp4`."""

import sys
from pathlib import Path

from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.engine.stream import Stream
from svggt.media.clips import open_clip
from svggt.media.frames import InputLimits
from svggt.model.policies import window

model = load_model("embedded", choose_device())
clip = open_clip([Path(sys.argv[1])], model.input_width, 5.0, InputLimits(max_frames=5))
stream = Stream(model, window(8))
for frame in clip.frames():
    print(frame.number, stream.step(frame).world_from_cam[:, 3])  # also: depth, depth_conf, ...
