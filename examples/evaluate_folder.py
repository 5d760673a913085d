"""Camera errors on a folder with poses: `python examples/evaluate_folder.py FOLDER [FRAMES]`."""

import sys
from pathlib import Path

from svggt.data.layouts import open_sequence
from svggt.engine.checkpoints import load_model
from svggt.engine.devices import choose_device
from svggt.eval.cameras import refined_figures
from svggt.eval.posed_clip import PosedClip

model = load_model("embedded", choose_device())
clip = PosedClip.of(open_sequence(Path(sys.argv[1])))
frames = clip.frames(model.input_width)[: int(sys.argv[2]) if len(sys.argv) > 2 else None]
assert clip.truth is not None  # of a folder with poses
figures = refined_figures(model, frames, clip.truth)
assert figures.cameras is not None
for (
    num_frames,
    errors,
) in figures.cameras.windows.items():  # quotients: 1 is a camera that never moves
    print(num_frames, f"rotation {errors['rotation']:.3f}", f"ATE {errors['ate']:.3f}")
