"""What a wrong kernel raises: the fault inside the interpreter, and the error its user sees."""

import numpy as np


class Fault(Exception):
    """Found while one instruction runs: `reason`, and the numbers of the threads at fault."""

    def __init__(self, reason: str, threads: np.ndarray):
        super().__init__(reason)
        self.reason, self.threads = reason, threads


class PtxError(RuntimeError):
    """A kernel did something wrong, or something the interpreter does not know.

    `reason`, `kernel`, `instruction` (PTX text), `line` ("median.cu:42" or ""), and `thread` and
    `block`, the (x, y, z) of the first thread at fault, or None when no thread ran yet.
    """

    def __init__(
        self,
        reason: str,
        kernel: str,
        instruction: str = "",
        line: str = "",
        thread: tuple[int, int, int] | None = None,
        block: tuple[int, int, int] | None = None,
        count: int = 0,
    ):
        self.reason, self.kernel, self.instruction, self.line = reason, kernel, instruction, line
        self.thread, self.block = thread, block
        where = f" at {line}" if line else ""
        who = f", thread {thread} of block {block}" if thread else ""
        others = f" and {count - 1} more threads" if count > 1 else ""
        what = f": `{instruction}`" if instruction else ""
        super().__init__(f"{kernel}: {reason}{where}{what}{who}{others}")
