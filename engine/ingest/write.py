"""Write a grey slice as a DICOM CT image: for demonstrations, tests and benchmarks."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

INTERCEPT = -1024  # HU of stored value 0, as CT scanners have it


def write_ct(
    path: Path, hu: np.ndarray, patient: str, spacing: float, window: tuple[float, float]
) -> None:
    """Write `hu` (h, w) int16, -1024 to 3071 HU, as one CT Image Storage object (PS3.3 A.3).

    `spacing` is the pixel spacing in mm, `window` the centre and width offered to a viewer (HU).
    UIDs follow from patient and file name, so the same call writes the same bytes.
    """
    if hu.ndim != 2 or hu.min() < INTERCEPT or hu.max() > INTERCEPT + 4095:
        raise ValueError(f"{path.name}: one slice (h, w) of -1024 to 3071 HU is needed")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[patient, path.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = generate_uid(entropy_srcs=[patient, "study"])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[patient, "series"])
    data.Modality = "CT"
    data.PatientID = patient
    data.PatientName = patient
    data.Rows, data.Columns = hu.shape
    data.PixelSpacing = [spacing, spacing]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelRepresentation = 0
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = INTERCEPT, 1, "HU"
    data.WindowCenter, data.WindowWidth = window
    data.PixelData = (hu.astype(np.int32) - INTERCEPT).astype("<u2").tobytes()
    data.save_as(path, enforce_file_format=True)


def bundled_dicom() -> list[Path]:
    """The DICOM files that come with pydicom: real, of many kinds, some of them broken."""
    folder = Path(str(pydicom.__file__)).parent / "data" / "test_files"
    return sorted(path for path in folder.glob("*.dcm") if path.is_file())
