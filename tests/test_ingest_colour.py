"""Colour pictures come out as the 8-bit red, green and blue that other readers find."""

import warnings

import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
from making_dicom import compressed, dataset, opened
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from medkern.engine.ingest import Reason, Unreadable, read_colours
from medkern.engine.ingest.colour import LUMINANCE, rgb_of_ycc

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), np.uint8)
GREY = RGB[..., 0].copy()


def saved(tmp_path, content):
    path = tmp_path / "picture"
    path.write_bytes(content)
    return path


def refusal(path):
    with pytest.raises(Unreadable) as refused:
        read_colours(path)
    return refused.value.code


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_colours_keep_their_highest_eight_bits(tmp_path, alpha, bits):
    picture = RGB.astype(f"u{bits // 8}") << (bits - 8)
    if alpha:
        picture = np.dstack([picture, np.full_like(picture[..., :1], 7)])
    found = read_colours(saved(tmp_path, imagecodecs.png_encode(picture)))
    np.testing.assert_array_equal(found, RGB[None])
    assert found.dtype == np.uint8


def test_jpeg_colours_are_the_codecs(tmp_path):
    content = imagecodecs.jpeg8_encode(RGB, level=90)
    found = read_colours(saved(tmp_path, content))
    np.testing.assert_array_equal(found[0], imagecodecs.jpeg8_decode(content))


@pytest.mark.parametrize("kind", ["chunky", "planar", "palette", "pages"])
def test_tiff_colours_in_every_layout(tmp_path, kind):
    path, want = tmp_path / "picture", RGB[None]
    if kind == "chunky":
        tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib")
    elif kind == "planar":
        planes = RGB.transpose(2, 0, 1)
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    elif kind == "palette":
        table = RNG.integers(0, 2**16, (3, 256), np.uint16)
        tifffile.imwrite(path, GREY, photometric="palette", colormap=table)
        want = np.moveaxis(table, 0, -1)[GREY][None] >> 8
    else:
        want = np.stack([RGB, RGB[::-1]])
        tifffile.imwrite(path, want, photometric="rgb")
    np.testing.assert_array_equal(read_colours(path), want)


def test_npz_colours(tmp_path):
    np.savez(tmp_path / "set.npz", train_images=np.stack([RGB, RGB[:, ::-1]]))
    np.testing.assert_array_equal(read_colours(tmp_path / "set.npz")[1], RGB[:, ::-1])


def test_grey_has_no_colours(tmp_path):
    assert refusal(saved(tmp_path, imagecodecs.png_encode(GREY))) is Reason.BAD_COLOUR
    assert refusal(saved(tmp_path, imagecodecs.jpeg8_encode(GREY))) is Reason.BAD_COLOUR
    with pytest.raises(Unreadable, match="the picture is grey"):
        opened(dataset(GREY)).colours(0)


def test_pages_of_different_sizes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "t") as tiff:
        tiff.write(RGB, photometric="rgb")
        tiff.write(RGB[:5], photometric="rgb")
    assert refusal(tmp_path / "t") is Reason.BAD_GEOMETRY


def test_luminance_and_differences_are_undone():
    y = RGB @ LUMINANCE.astype(float)
    cb = 128 + (RGB[..., 2] - y) / 1.772
    cr = 128 + (RGB[..., 0] - y) / 1.402
    ycc = np.rint(np.stack([y, cb, cr], axis=-1)).clip(0, 255).astype(np.uint8)
    assert np.abs(rgb_of_ycc(ycc, 8).astype(int) - RGB).max() <= 2  # as far as rounding allows


def test_dicom_colours_whatever_the_layout():
    np.testing.assert_array_equal(opened(dataset(RGB)).colours(0), RGB)
    planar = dataset(RGB, PlanarConfiguration=1, PixelData=RGB.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(opened(planar).colours(0), RGB)
    deep = opened(dataset(RGB.astype(np.uint16) << 4, stored=12))
    np.testing.assert_array_equal(deep.colours(0), RGB)
    stream = imagecodecs.jpeg2k_encode(RGB, reversible=True)
    lossless = compressed(RGB, "1.2.840.10008.1.2.4.90", [stream])
    np.testing.assert_array_equal(opened(lossless).colours(0), RGB)


def coloured(folder):
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".md", ".csv", ".txt"):
            continue
        with warnings.catch_warnings(action="ignore"):
            try:
                header = pydicom.dcmread(path)
            except Exception:  # no DICOM file, or one that only hostile readers open
                continue
        if header.get("PhotometricInterpretation", "MONO")[:4] != "MONO":
            yield path, header


def pydicoms(header):
    with warnings.catch_warnings(action="ignore"):
        if header.PhotometricInterpretation != "PALETTE COLOR":
            found = pixel_array(header)
        else:
            found = apply_color_lut(header.pixel_array, header)
    found = found >> (8 * found.dtype.itemsize - 8)
    return found if found.ndim == 4 else found[None]


def test_real_dicom_colours_are_pydicoms(data):
    met = set()
    for path, header in coloured(data("dicom_syntaxes")):
        try:
            want = pydicoms(header)
        except (RuntimeError, AttributeError):  # no decoder of pydicom's reads it
            continue
        apart = np.abs(read_colours(path).astype(int) - want)
        assert apart.max() <= 1, path.name  # two roundings
        met.add((header.PhotometricInterpretation, header.file_meta.TransferSyntaxUID))
    assert len(met) >= 10
