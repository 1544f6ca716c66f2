"""Compiled prediction of classical models: rows of features in, votes or decisions out.

trees   forests and boosted trees
rbf     support vector machines with the Gaussian kernel

Both standardise rows as the models were fitted, z = (x - mean) / scale in float64, and treat NaN,
infinite values and values beyond float32 as gaps. A model is packed once (`Trees.pack`,
`Machines.pack`) from arrays that the caller has checked, then takes any number of rows; the rows
decide where the work is done: NumPy -> CPU, CuPy -> GPU.
"""

from .._cuda import empty as empty
from ._rows import beside as beside, move as move
from .rbf import Machines as Machines, rbf as rbf
from .trees import Trees as Trees, trees as trees
