"""Arrays in, arrays out: the table of contents of medkern's kernels.

from medkern import kernels as mk
clean = mk.median(images, radius=2)                  images (n, h, w), the result likewise
values, names = mk.glcm(images, masks, levels=32)    values (n, features)
"""

from ._kernel import (
    Cost as Cost,
    Feature as Feature,
    Filter as Filter,
    Kernel as Kernel,
    Measure as Measure,
    Parameter as Parameter,
    Quality as Quality,
)
from .denoise.median import median as median
from .enhance.clahe import clahe as clahe
from .texture.glcm import glcm as glcm


def catalogue() -> dict[str, Kernel]:
    """Every kernel by name, in reading order."""
    return {name: item for name, item in globals().items() if isinstance(item, Kernel)}
