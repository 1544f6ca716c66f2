"""Files -> frozen Batches: `index` lists what there is, `read` decodes it.

    items = index("scans/")
    for batch in read(items, Layout(size=(256, 256)), on_reject=print):
        ...

Formats are told by their contents: DICOM, PNG, JPEG, TIFF, NIfTI and NPZ (MedMNIST layout).
"""

from .codecs import codecs
from .index import Item, SourceError, index
from .layout import Layout
from .limits import Limits
from .picture import read_colours
from .reader import read
from .reason import Reason, Reject, Unreadable
from .volume import Volume, read_volume

__all__ = [
    "Item",
    "Layout",
    "Limits",
    "Reason",
    "Reject",
    "SourceError",
    "Unreadable",
    "Volume",
    "codecs",
    "index",
    "read",
    "read_colours",
    "read_volume",
]
