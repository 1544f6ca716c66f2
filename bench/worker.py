"""One side of `compare.py`: a process that runs one commit's kernels when it is told to.

It imports nothing but NumPy and the kernels of its own commit. One JSON line in, one JSON line out:

    {"kernel": ..., "images": file, "masks": file or null, "parameters": {...}}
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
    arrays = [np.load(job[name]) for name in ("images", "masks") if job[name]]
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
