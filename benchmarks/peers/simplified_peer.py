"""Runs graphs by comfy-api-simplified, as its README shows, a few at a time; prints which were done, as JSON.

simplified_peer.py URL GRAPHS_FILE DEADLINE_SECONDS
"""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

THREADS = 8

url, graphs_file, deadline_seconds = sys.argv[1:4]
with open(graphs_file, encoding="utf-8") as file:
    graphs = json.load(file)
is_done = [False] * len(graphs)
lock = threading.Lock()


def run(place):
    try:
        api = ComfyApiWrapper(url)
        images = api.queue_and_wait_images(ComfyWorkflowWrapper(graphs[place]), "Save Image")
        if images and all(len(image) > 0 for image in images.values()):
            with lock:
                is_done[place] = True
    except Exception:  # pylint: disable=broad-except
        # Not done: that is the result.
        pass


executor = ThreadPoolExecutor(THREADS)
futures = [executor.submit(run, place) for place in range(len(graphs))]
until = time.monotonic() + float(deadline_seconds)
for future in futures:
    try:
        future.result(max(0.0, until - time.monotonic()))
    except Exception:  # pylint: disable=broad-except
        pass
with lock:
    print(json.dumps(is_done), flush=True)
# A call that waits for a server that has forgotten its prompt never ends.
os._exit(0)
