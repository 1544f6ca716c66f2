"""GPU kernels without a GPU: an interpreter for the compiled code (PTX), and a static report.

Interpreter   a runner for `medkern.kernels._cuda.running`: checks and counts every launch
PtxError      what it raises, with the kernel, instruction, source line, thread and block
Stats         instructions, memory sectors, bank conflicts, barriers of a function
report        registers, spills, shared memory and occupancy for several architectures
"""

from .fault import PtxError
from .interpreter import Interpreter
from .static import KernelReport, report
from .traffic import Access, Stats

__all__ = ["Interpreter", "PtxError", "Stats", "Access", "report", "KernelReport"]
