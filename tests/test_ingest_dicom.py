"""DICOM: values, rescale, window, polarity, frames, spacing and colour against pydicom."""

import csv
import hashlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from making_dicom import compressed, dataset, item, lut, opened, written
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_rescale, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medkern.engine.ingest.colour import luminance
from medkern.engine.ingest.dicom import significant
from medkern.engine.ingest.formats import open_source
from medkern.engine.ingest.layout import Layout
from medkern.engine.ingest.limits import Limits

J2K = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
RNG = np.random.default_rng(5)


# decoding


def matrix(folder):
    """All encodings of the one CT slice, and those that lose nothing."""
    files = sorted(folder.glob("CTImage.dcm*"))
    lossy = ("4.50", "4.51", "4.53", "4.55", "4.81", "4.91")
    return files, [f for f in files if not f.name.removesuffix(".dcm").endswith(lossy)]


def test_all_lossless_encodings_of_one_slice_give_equal_pixels(data):
    _, lossless = matrix(data("dicom_syntaxes") / "ctimage_matrix")
    truth = pydicom.dcmread(lossless[0]).pixel_array
    assert (
        len(lossless) == 10
    )  # native, implicit, explicit, big endian, deflated, RLE, 57, 70, 80, 90
    for path in lossless:
        stored = open_source(path, Limits()).frame(0).stored
        np.testing.assert_array_equal(stored, truth, err_msg=path.name)


def test_lossy_encodings_of_that_slice_are_close(data):
    files, lossless = matrix(data("dicom_syntaxes") / "ctimage_matrix")
    layout = Layout((512, 512), window="full")
    truth = layout.fit(open_source(lossless[0], Limits()).frame(0)).pixels.astype(float)
    lossy = set(files) - set(lossless)
    assert len(lossy) == 6
    for path in lossy:
        grey = layout.fit(open_source(path, Limits()).frame(0)).pixels.astype(float)
        assert np.corrcoef(grey.ravel(), truth.ravel())[0, 1] > 0.99, path.name


def test_stored_values_are_those_pydicom_and_its_decoders_found(data):
    """manifest.csv holds the SHA-1 of little-endian pixels of every file that pydicom decodes."""
    folder = data("dicom_syntaxes")
    with (folder / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["decode"] == "ok"]
    compared = 0
    for row in rows:
        lossy_12_bit = row["tsuid"].endswith("4.51")  # decoders differ in the last bit
        if row["samples"] != "1" or row["photometric"] == "PALETTE COLOR" or lossy_12_bit:
            continue
        source = open_source(folder / row["file"], Limits())
        stored = np.stack([source.frame(k).stored for k in range(source.frames)])
        dtype = np.dtype(row["shape"].split()[1]).newbyteorder("<")
        digest = hashlib.sha1(stored.astype(dtype).tobytes()).hexdigest()
        assert digest == row["sha1"], row["file"]
        compared += 1
    assert compared > 70


def test_htj2k_decodes(data):
    image = RNG.integers(0, 4096, (40, 48)).astype(np.uint16)
    stream = imagecodecs.htj2k_encode(image, reversible=True)
    source = opened(compressed(image, HTJ2K, [stream]))
    np.testing.assert_array_equal(source.frame(0).stored, image)


def test_one_frame_in_many_fragments():
    image = RNG.integers(0, 4096, (64, 64)).astype(np.uint16)
    stream = imagecodecs.jpeg2k_encode(image, level=0, reversible=True, codecformat="J2K")
    data = dataset(image, J2K)
    data.PixelData = encapsulate([bytes(stream)], fragments_per_frame=5)
    data["PixelData"].VR = "OB"
    np.testing.assert_array_equal(opened(data).frame(0).stored, image)


@pytest.mark.parametrize("table", [True, False])
def test_fragments_find_their_frames_with_and_without_an_offset_table(table):
    images = RNG.integers(0, 4096, (3, 32, 32)).astype(np.uint16)
    streams = [
        bytes(imagecodecs.jpeg2k_encode(image, level=0, reversible=True, codecformat="J2K"))
        for image in images
    ]
    data = dataset(images, J2K)
    data.PixelData = encapsulate(streams, fragments_per_frame=2, has_bot=table)
    data["PixelData"].VR = "OB"
    source = opened(data)
    assert source.frames == 3
    for k in (2, 0, 1):
        np.testing.assert_array_equal(source.frame(k).stored, images[k])


def test_high_bits_are_no_pixel_values():
    word = np.array([[0x8FFF, 0x7001]], np.uint16)  # overlays of old files stand in the top bits
    assert opened(dataset(word, stored=12)).frame(0).stored.tolist() == [[0xFFF, 0x001]]
    assert significant(word, 12, 11, signed=True).tolist() == [[-1, 1]]
    assert significant(word, 12, 15, signed=False).tolist() == [[0x8FF, 0x700]]


# what the values mean


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_rescale_and_voi_are_pydicoms(function, bits):
    hu = RNG.integers(-1024, 3072, (64, 64)).astype(np.int16)
    data = dataset(
        hu,
        Modality="CT",
        RescaleSlope="0.5",
        RescaleIntercept="-100",
        WindowCenter=["40", "400"],
        WindowWidth=["350", "2000"],
        VOILUTFunction=function,
    )
    grey = Layout((64, 64), bits=bits).fit(opened(data).frame(0))
    shown = apply_voi_lut(apply_rescale(hu, data), data)
    # pydicom's output range is that of the stored values after rescale
    low, high = -(2**15) * 0.5 - 100, (2**15 - 1) * 0.5 - 100
    expected = (shown - low) / (high - low) * (2**bits - 1)
    assert np.abs(grey.pixels - expected).max() <= 0.51
    assert grey.window == (40, 350)


def test_linear_window_of_width_one_is_a_step():
    hu = np.array([[9, 10, 11]], np.int16)
    data = dataset(hu, WindowCenter="10.5", WindowWidth="1")
    assert Layout((1, 3)).fit(opened(data).frame(0)).pixels.tolist() == [[0, 0, 255]]


def test_monochrome1_is_inverted():
    # No value here lies halfway between two grey levels, where both would round to the even one.
    image = np.arange(0, 4096, 16).astype(np.uint16).reshape(16, 16)
    one = opened(dataset(image, PhotometricInterpretation="MONOCHROME1")).frame(0)
    two = opened(dataset(image)).frame(0)
    fit = Layout((16, 16)).fit
    np.testing.assert_array_equal(fit(one).pixels, 255 - fit(two).pixels)


def test_ct_without_a_window_gets_soft_tissue():
    hu = np.array([[-161, -160, 40, 240, 1000]], np.int16)
    grey = Layout((1, 5)).fit(opened(dataset(hu, Modality="CT")).frame(0))
    assert grey.window == (40, 400)
    assert grey.pixels[0, [0, 1, 3, 4]].tolist() == [0, 0, 255, 255]
    assert abs(int(grey.pixels[0, 2]) - 128) <= 1


def test_eight_bit_pictures_keep_their_values():
    image = RNG.integers(0, 200, (8, 8)).astype(np.uint8)
    np.testing.assert_array_equal(
        Layout((8, 8)).fit(opened(dataset(image, Modality="US")).frame(0)).pixels, image
    )


@pytest.mark.parametrize("width", ["0", "-5", "nan", "abc", ""])
def test_an_unusable_window_is_no_window(width):
    image = np.array([[0, 100]], np.uint16)
    data = written(dataset(image, WindowCenter="50", WindowWidth="100"))
    data = data.replace(b"DS\x04\x00100 ", b"DS\x04\x00" + width.encode().ljust(4))
    assert opened(data).frame(0).window is None


def test_voi_lut_is_used_where_there_is_no_window():
    image = np.array([[0, 1, 2, 3, 9]], np.uint16)
    table = lut([3, 1, 8], [10, 200, 30])
    frame = opened(dataset(image, VOILUTSequence=table)).frame(0)
    assert Layout((1, 5)).fit(frame).pixels.tolist() == [[10, 10, 200, 30, 30]]


def test_modality_lut_replaces_the_stored_values():
    image = np.array([[0, 1, 2, 3]], np.uint16)
    table = lut([4, 0, 16], [1000, 900, 800, 500])
    assert opened(dataset(image, ModalityLUTSequence=table)).frame(0).stored.tolist() == [
        [1000, 900, 800, 500]
    ]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_functional_groups_of_an_enhanced_image(syntax):
    """Per-frame attributes win over shared ones."""
    images = RNG.integers(0, 1000, (2, 8, 8)).astype(np.uint16)
    data = dataset(images, syntax, Modality="MR")
    data.SharedFunctionalGroupsSequence = item(
        PixelMeasuresSequence=item(PixelSpacing=["0.7", "0.6"]),
        PixelValueTransformationSequence=item(RescaleSlope="2", RescaleIntercept="1"),
    )
    frames = []
    for k in range(2):
        groups = Dataset()
        groups.FrameVOILUTSequence = item(WindowCenter=str(100 + k), WindowWidth="50")
        groups.is_undefined_length_sequence_item = k == 1
        frames.append(groups)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    source = opened(data)
    for k in range(2):
        frame = source.frame(k)
        np.testing.assert_array_equal(frame.stored, images[k])
        assert frame.spacing == (0.7, 0.6)
        assert (frame.slope, frame.intercept) == (2, 1)
        assert frame.window == (100 + k, 50)
        assert frame.modality == "MR"


def test_spacing_falls_back_to_the_detectors_and_to_unknown():
    image = np.zeros((4, 4), np.uint8)
    assert opened(dataset(image, ImagerPixelSpacing=["0.2", "0.3"])).frame(0).spacing == (0.2, 0.3)
    both = dataset(image, ImagerPixelSpacing=["0.2", "0.3"], PixelSpacing=["0.1", "0.1"])
    assert opened(both).frame(0).spacing == (0.1, 0.1)
    assert np.isnan(opened(dataset(image)).frame(0).spacing).all()
    assert np.isnan(opened(dataset(image, PixelSpacing=["0", "0"])).frame(0).spacing).all()


def test_odd_modality_text_does_not_get_out():
    frame = opened(dataset(np.zeros((4, 4), np.uint8), Modality="DOE_JOHN")).frame(0)
    assert frame.modality == ""


# colour


def test_colour_becomes_luminance_in_every_layout():
    rgb = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    interleaved = dataset(rgb)
    planar = dataset(rgb, PlanarConfiguration=1, PixelData=rgb.transpose(2, 0, 1).tobytes())
    expected = luminance(rgb)
    for data in (interleaved, planar):
        np.testing.assert_array_equal(opened(data).frame(0).stored, expected)
    ycc = dataset(rgb, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(opened(ycc).frame(0).stored, rgb[..., 0])


def test_ybr_422_keeps_the_y_of_each_pixel():
    y = RNG.integers(0, 256, (4, 6)).astype(np.uint8)
    packed = np.zeros((12, 4), np.uint8)
    packed[:, :2] = y.reshape(12, 2)
    data = dataset(np.zeros((4, 6, 3), np.uint8), PhotometricInterpretation="YBR_FULL_422")
    data.PixelData = packed.tobytes()
    np.testing.assert_array_equal(opened(data).frame(0).stored, y)


def test_palette_becomes_luminance():
    index = np.array([[0, 1, 2, 9]], np.uint8)
    data = dataset(index, PhotometricInterpretation="PALETTE COLOR")
    for name, values in {"Red": [0, 65535, 0], "Green": [0, 0, 65535], "Blue": [0, 0, 0]}.items():
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(data, f"{name}PaletteColorLookupTableData", np.array(values, "<u2").tobytes())
    grey = Layout((1, 4)).fit(opened(data).frame(0)).pixels
    assert grey.tolist() == [[0, 76, 150, 150]]  # 255 * 0.299, 255 * 0.587


def test_colour_encodings_of_one_picture_agree(data):
    folder = data("dicom_syntaxes") / "nema_wg04_subset"
    fit = Layout((480, 640)).fit
    truth = fit(open_source(folder / "REF" / "US1_UNC", Limits()).frame(0)).pixels
    assert truth.std() > 20
    for name in ("RLE/US1_RLE", "J2KR/US1_J2KR"):
        grey = fit(open_source(folder / name, Limits()).frame(0)).pixels
        np.testing.assert_array_equal(grey, truth, err_msg=name)
    lossy = fit(open_source(folder / "J2KI" / "US1_J2KI", Limits()).frame(0)).pixels
    assert np.abs(lossy.astype(int) - truth).mean() < 4


def test_colour_space_of_a_jpeg_is_the_streams_own_or_the_headers(data):
    """Files whose streams carry no, or a contradicting, colour marker: all are one picture."""
    folder = data("dicom_syntaxes") / "pydicom_test_files"
    names = ("SC_rgb_jpeg_dcmd.dcm", "SC_rgb_jpeg.dcm", "SC_jpeg_no_color_transform.dcm")
    pictures = [open_source(folder / name, Limits()).frame(0).stored for name in names]
    for picture in pictures[1:]:
        assert np.abs(picture - pictures[0]).max() <= 1
