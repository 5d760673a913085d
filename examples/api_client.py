"""Drives a page that runs: `python examples/api_client.py my_clip.mp4 [http://127.0.0.1:7860]`."""

import sys

from gradio_client import Client, handle_file

client = Client(sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:7860", verbose=False)
run = client.predict(
    source="upload", files=[handle_file(sys.argv[1])], max_frames=5, api_name="/start"
)
for progress in client.submit(run["token"], api_name="/follow"):
    print(progress["frames_done"], progress["message"], progress["milliseconds"][-1:])
print(client.predict(run["token"], "glb", api_name="/export")["address"])
