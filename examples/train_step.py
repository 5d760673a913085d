"""One step of training on rendered clips: `python examples/train_step.py`."""

import torch

from svggt.files import EMBEDDED_WEIGHTS
from svggt.train.options import WAYS
from svggt.train.runs import read_network
from svggt.train.source import Shape, rendered
from svggt.train.trainer import Trainer

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
clips = rendered((Shape(1, 2, (56, 84)),), 0, device)  # one clip of two small frames a step
trainer = Trainer(read_network(EMBEDDED_WEIGHTS, device), WAYS["mixed"], clips)
print(trainer.take_step())
