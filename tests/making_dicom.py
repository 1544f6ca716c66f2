"""Small DICOM images for tests, made with pydicom."""

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from medkern.engine.ingest.dicom import DicomFile
from medkern.engine.ingest.limits import Limits


def dataset(
    pixels: Any, syntax: str = ExplicitVRLittleEndian, stored: Any = None, **attributes: Any
):
    """A minimal image: `pixels` (h, w), (n, h, w) or (h, w, 3) integers."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    data.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    data.Rows, data.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    if pixels.ndim == 3 and not colour:
        data.NumberOfFrames = len(pixels)
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated, data.BitsStored = bits, stored or bits
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in attributes.items():
        setattr(data, name, value)
    return data


def compressed(pixels, syntax, fragments):
    data = dataset(pixels, syntax)
    data.PixelData = encapsulate(fragments)
    data["PixelData"].VR = "OB"
    return data


def written(data):
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def opened(data, limits=None):
    content = data if isinstance(data, bytes) else written(data)
    return DicomFile(content, len(content), limits or Limits())


def item(**attributes):
    data = Dataset()
    for name, value in attributes.items():
        setattr(data, name, value)
    return Sequence([data])


def lut(descriptor, values):
    table = Dataset()
    table.add_new(0x00283002, "US", descriptor)
    table.add_new(0x00283006, "OW", np.array(values, "<u2").tobytes())
    return Sequence([table])
