"""One side of `compare.py`: a process that runs one commit's kernels when it is told to.

It imports nothing but NumPy and the kernels of its own commit. One JSON line in, one JSON line out:

    {"kernel": ..., "images": file, "masks": file or null, "window": 0, "parameters": {...}}
                                  -> {"digest": of the answer} or {"error": sentence}
    {}                            -> {"seconds": of one more run}
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from typing import Any

import numpy as np

from medkern import kernels


def prepare(job: dict[str, Any]) -> Any:
    """The call to be timed."""
    kernel: Any = kernels.catalogue()[job["kernel"]]
    images = np.load(job["images"])
    arrays = [images]
    if job["window"]:
        arrays.append(kernels.windows(images.shape[:3], job["window"]))
    elif job["masks"]:
        masks = np.load(job["masks"])
        arrays.append(kernels.regions(masks) if masks.dtype == np.int32 else masks)
    parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in job["parameters"].items()}
    return lambda: kernel(*arrays, **parameters)


def digest(result: Any) -> str:
    values = np.asarray(result[0] if isinstance(result, tuple) else result)
    return hashlib.sha256(values.tobytes()).hexdigest()


def main() -> None:
    run: Any = None
    for line in sys.stdin:
        job = json.loads(line)
        if job:
            try:
                run = prepare(job)
                reply = {"digest": digest(run())}
            except (KeyError, TypeError, ValueError) as error:  # a commit without this kernel
                reply = {"error": f"{type(error).__name__}: {error}"}
        else:
            time.sleep(0.003)  # see timing.rest
            start = time.perf_counter()
            run()
            reply = {"seconds": time.perf_counter() - start}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
