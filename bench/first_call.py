"""The first call of a kernel in a fresh process: `python -m medkern.bench.first_call '{...}'`.

Takes {"kernel", "shape", "dtype", "parameters"}, prints {"first", "first_cpu", "steady", "check"}.
The time starts after the imports: it is what the kernel adds, compiled or read from the cache of
`MEDKERN_CACHE`. `first_cpu` is processor time, which a busy machine does not stretch.
"""

from __future__ import annotations

import json
import sys
from statistics import median
from time import perf_counter, process_time
from typing import Any

from medkern import kernels as mk

from .check import check_reference
from .contest import runner
from .shapes import SHAPES
from .timing import interleaved


def first_call(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the first call and, median, of the following ones; the answer is checked after."""
    kernel, shape = mk.catalogue()[job["kernel"]], SHAPES[job["shape"]]
    images, where = shape.images(dtype=job["dtype"]), shape.where()
    chosen = kernel.resolve(job["parameters"])
    run = runner(kernel, images, where, chosen)
    start, busy = perf_counter(), process_time()
    result = run()
    first, busy = perf_counter() - start, process_time() - busy
    (steady,) = interleaved(run, warmup=0)
    check = check_reference(kernel, result, images, where, **chosen)
    return {"first": first, "first_cpu": busy, "steady": median(steady), "check": check}


if __name__ == "__main__":
    print(json.dumps(first_call(json.loads(sys.argv[1]))))
