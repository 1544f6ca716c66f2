"""DICOM that is refused: impossible attributes, cut files, bombs; and nothing quoted from them."""

import warnings

import imagecodecs
import numpy as np
import pytest
from making_dicom import compressed, dataset, item, opened, written

from medkern.engine.ingest.dicom import DicomFile
from medkern.engine.ingest.limits import Limits
from medkern.engine.ingest.reason import Reason, Unreadable

J2K = "1.2.840.10008.1.2.4.90"


def code(data, limits=None):
    with pytest.raises(Unreadable) as refused:
        opened(data, limits).frame(0)
    return refused.value.code


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Rows": 0}, Reason.BAD_GEOMETRY),
        ({"Rows": 65535, "Columns": 65535}, Reason.IMAGE_TOO_LARGE),
        ({"NumberOfFrames": 2**31 - 1}, Reason.IMAGE_TOO_LARGE),
        ({"NumberOfFrames": 0}, Reason.BAD_GEOMETRY),
        ({"NumberOfFrames": 70_000}, Reason.IMAGE_TOO_LARGE),
        ({"NumberOfFrames": 3}, Reason.LENGTH_MISMATCH),
        ({"Columns": 9}, Reason.LENGTH_MISMATCH),
        ({"BitsAllocated": 7}, Reason.BAD_BITS),
        ({"BitsStored": 17}, Reason.BAD_BITS),
        ({"HighBit": 16}, Reason.BAD_BITS),
        ({"SamplesPerPixel": 2}, Reason.BAD_BITS),
        ({"PhotometricInterpretation": "RGB"}, Reason.BAD_COLOUR),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.BAD_COLOUR),
        ({"RescaleSlope": "0", "RescaleIntercept": "0"}, Reason.BAD_RESCALE),
    ],
)
def test_impossible_attributes_are_refused(changes, expected):
    assert code(dataset(np.zeros((8, 8), np.uint16), **changes)) is expected


def test_pixels_and_a_known_syntax_are_needed():
    data = dataset(np.zeros((8, 8), np.uint16))
    del data.PixelData
    assert code(data) is Reason.NO_PIXELS
    mpeg2 = compressed(np.zeros((8, 8), np.uint16), "1.2.840.10008.1.2.4.100", [b"0000"])
    assert code(mpeg2) is Reason.UNSUPPORTED_SYNTAX


def test_a_frame_that_is_not_there():
    with pytest.raises(Unreadable, match="frame 1 of 1"):
        opened(dataset(np.zeros((8, 8), np.uint16))).frame(1)


def test_every_truncation_of_a_file_is_refused_and_none_crashes():
    content = written(dataset(np.ones((4, 4), np.uint16), WindowCenter="1", WindowWidth="4"))
    for length in range(len(content)):
        cut = content[:length]
        with pytest.raises(Unreadable):
            DicomFile(cut, length, Limits()).frame(0)


def test_a_codestream_may_not_be_larger_than_its_header():
    big = np.zeros((512, 512), np.uint16)
    streams = {
        J2K: imagecodecs.jpeg2k_encode(big, level=0, reversible=True, codecformat="J2K"),
        "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode(big),
        "1.2.840.10008.1.2.4.70": imagecodecs.ljpeg_encode(big, bitspersample=16),
        "1.2.840.10008.1.2.4.50": imagecodecs.jpeg8_encode(big.astype(np.uint8)),
    }
    for syntax, stream in streams.items():
        data = compressed(np.zeros((8, 8), np.uint16), syntax, [stream])
        assert code(data) is Reason.CODESTREAM_MISMATCH, syntax


def test_a_deflate_bomb_stops_at_the_limit():
    data = dataset(np.zeros((8, 8), np.uint16), "1.2.840.10008.1.2.1.99")
    data.add_new(0x00091001, "OB", bytes(4 * 2**20))
    assert code(data, Limits(inflate_bytes=2**20)) is Reason.INFLATE_LIMIT
    assert opened(data).frame(0).stored.shape == (8, 8)


def test_nesting_and_elements_are_bounded():
    data = dataset(np.zeros((8, 8), np.uint16))
    inner = item(PatientID="x")
    for _ in range(20):
        inner = item(ReferencedSeriesSequence=inner)
    data.ReferencedSeriesSequence = inner
    for element in data.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = True
            element.value[0].is_undefined_length_sequence_item = True
    content = written(data)
    assert opened(content, Limits(depth=64)).frame(0).stored.shape == (8, 8)
    assert code(content) is Reason.TOO_COMPLEX
    assert code(content, Limits(depth=64, elements=10)) is Reason.TOO_COMPLEX


def test_no_value_of_a_file_is_ever_shown():
    """Neither warnings nor reasons quote what a file holds."""
    data = dataset(np.zeros((8, 8), np.uint16), PatientName="DOE^JANE", RescaleSlope="1")
    data.RescaleIntercept = "0"
    content = written(data).replace(b"DS\x02\x001 ", b"DS\x02\x00ZZ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Unreadable) as refused:
            opened(content).frame(0)
    assert refused.value.code is Reason.BAD_RESCALE
    assert "ZZ" not in str(refused.value)
