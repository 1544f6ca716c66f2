"""PNG, JPEG, TIFF, NIfTI and NPZ: values, orientation, scaling, bounds and refusals."""

import gzip
import os
import struct
import zlib

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile

from medkern.engine.ingest.colour import luminance
from medkern.engine.ingest.formats import open_source
from medkern.engine.ingest.limits import Limits
from medkern.engine.ingest.reason import Reason, Unreadable

RNG = np.random.default_rng(3)
GREY8 = RNG.integers(0, 256, (20, 30)).astype(np.uint8)
GREY16 = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
RGB = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def saved(folder, content, name="file.dat"):
    path = folder / name
    path.write_bytes(content)
    return path


def code(path, limits=None):
    with pytest.raises(Unreadable) as refused:
        open_source(path, limits or Limits()).frame(0)
    return refused.value.code


def frame(path, index=0):
    return open_source(path, Limits()).frame(index)


# raster


@pytest.mark.parametrize("image", [GREY8, GREY16], ids=["8 bit", "16 bit"])
def test_png_values_are_exact(tmp_path, image):
    stored = frame(saved(tmp_path, imagecodecs.png_encode(image))).stored
    np.testing.assert_array_equal(stored, image)
    assert stored.dtype == image.dtype


def test_colour_becomes_luminance_and_alpha_is_left_out(tmp_path):
    clear = np.dstack([RGB, np.zeros((20, 30), np.uint8)])
    for k, image in enumerate((RGB, clear)):
        stored = frame(saved(tmp_path, imagecodecs.png_encode(image), f"{k}")).stored
        np.testing.assert_allclose(stored, luminance(RGB), rtol=1e-6)


def test_jpeg_luminance_is_that_of_its_colours(tmp_path):
    smooth = np.dstack([np.linspace(0, 255, 48)[None].repeat(48, 0)] * 3) * [1.0, 0.5, 0.2]
    content = imagecodecs.jpeg8_encode(smooth.astype(np.uint8), level=95)
    stored = frame(saved(tmp_path, content)).stored
    assert np.abs(stored - luminance(imagecodecs.jpeg8_decode(content))).max() < 2.5


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "jpeg2000"])
def test_tiff_values_are_exact(tmp_path, compression):
    path = tmp_path / "image"
    tifffile.imwrite(path, GREY16, compression=compression)
    np.testing.assert_array_equal(frame(path).stored, GREY16)


def test_tiff_pages_are_frames(tmp_path):
    path = tmp_path / "stack"
    tifffile.imwrite(path, np.stack([GREY16, GREY16 // 2, GREY16 // 3]), photometric="minisblack")
    source = open_source(path, Limits())
    assert source.frames == 3
    np.testing.assert_array_equal(source.frame(2).stored, GREY16 // 3)


def test_tiff_kinds(tmp_path):
    path = tmp_path / "image"
    tifffile.imwrite(path, GREY8, photometric="miniswhite")
    assert frame(path).inverted
    tifffile.imwrite(path, RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    np.testing.assert_allclose(frame(path).stored, luminance(RGB), rtol=1e-6)


def test_pictures_that_lie_about_their_size(tmp_path):
    png = bytearray(imagecodecs.png_encode(GREY8))
    struct.pack_into(">II", png, 16, 60_000, 60_000)
    assert code(saved(tmp_path, png)) is Reason.IMAGE_TOO_LARGE
    jpeg = bytearray(imagecodecs.jpeg8_encode(GREY8))
    at = jpeg.find(b"\xff\xc0") + 5
    struct.pack_into(">HH", jpeg, at, 65_000, 65_000)
    assert code(saved(tmp_path, jpeg)) is Reason.IMAGE_TOO_LARGE
    tifffile.imwrite(tmp_path / "t", GREY8)
    with tifffile.TiffFile(tmp_path / "t") as tiff:
        tag = tiff.pages.first.tags["ImageLength"]
    content = bytearray((tmp_path / "t").read_bytes())
    struct.pack_into("<H" if tag.dtype == 3 else "<I", content, tag.valueoffset, 60_000)
    assert code(saved(tmp_path, content)) in (Reason.DECODE_FAILED, Reason.CORRUPT)


@pytest.mark.parametrize("kind", ["png", "jpeg8", "jpegls"])
def test_a_cut_picture_is_refused_at_once(tmp_path, kind):
    """A JPEG-LS decoder may spin for seconds in a cut stream: the cut is seen before it runs."""
    content = getattr(imagecodecs, f"{kind}_encode")(GREY8)
    for length in range(1, len(content) - 4, 7):
        path = saved(tmp_path, content[:length])
        assert code(path) in (Reason.TRUNCATED, Reason.DECODE_FAILED, Reason.NOT_AN_IMAGE)


# what is none


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Reason.EMPTY_FILE),
        (b"hello, world\n" * 100, Reason.NOT_AN_IMAGE),
        (bytes(4096), Reason.NOT_AN_IMAGE),
        (b"path,label\na.png,x\n", Reason.NOT_AN_IMAGE),
        (b"NRRD0005\n", Reason.UNSUPPORTED_FORMAT),
        (gzip.compress(b"text", mtime=0), Reason.UNSUPPORTED_FORMAT),
        (b"PK\x03\x04 no archive", Reason.CORRUPT),
        (b"\x89PNG\r\n\x1a\n", Reason.TRUNCATED),
        (b"II*\0\xff\xff\xff\x7f", Reason.CORRUPT),
    ],
)
def test_the_contents_tell_not_the_name(tmp_path, content, expected):
    assert code(saved(tmp_path, content, "scan.dcm")) is expected


def test_files_that_are_none(tmp_path):
    assert code(tmp_path / "absent") is Reason.NOT_FOUND
    assert code(tmp_path) is Reason.NOT_A_FILE
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert code(tmp_path / "pipe") is Reason.NOT_A_FILE
    path = saved(tmp_path, imagecodecs.png_encode(GREY8))
    assert code(path, Limits(file_bytes=100)) is Reason.FILE_TOO_LARGE
    assert code(path, Limits(pixels=599)) is Reason.IMAGE_TOO_LARGE


# NIfTI


def nifti(folder, volume, affine=None, name="v.nii", **header):
    image = nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, folder / name)
    return folder / name


def test_slices_are_axial_whatever_the_axes(tmp_path):
    """The same volume stored along six different axes gives the same slices, in LPS order."""
    ras = RNG.integers(0, 1000, (4, 5, 6)).astype(
        np.int16
    )  # x to the right, y anterior, z superior
    base = nibabel.Nifti1Image(ras, np.diag([0.5, 0.75, 2.0, 1.0]))
    for k, axes in enumerate(("RAS", "LPS", "ASL", "SRP", "IPR", "PIL")):
        turn = nibabel.orientations.axcodes2ornt(axes)
        path = tmp_path / f"{k}.nii.gz"
        nibabel.save(base.as_reoriented(turn.tolist()), path)
        source = open_source(path, Limits())
        assert source.frames == 6
        for z in range(6):
            shown = source.frame(z)
            # rows to posterior, columns to left: the transpose of x, y, both reversed
            np.testing.assert_array_equal(shown.stored, ras[::-1, ::-1, z].T, err_msg=axes)
            assert shown.spacing == pytest.approx((0.75, 0.5))


def test_the_dicom_and_the_nifti_of_one_ct_are_the_same_slices(data):
    folder = data("ibsi_phantoms") / "ibsi_1_ct_radiomics_phantom"
    volume = open_source(next((folder / "nifti" / "image").glob("*.nii*")), Limits())
    slices = sorted(
        (folder / "dicom" / "image").iterdir(),
        key=lambda path: pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2],
    )
    assert volume.frames == len(slices) == 60
    for z in (0, 31, 59):
        dicom, voxels = frame(slices[z]), volume.frame(z)
        np.testing.assert_allclose(
            voxels.stored * voxels.slope + voxels.intercept,
            dicom.stored * dicom.slope + dicom.intercept,
            atol=0.51,
        )
        assert voxels.spacing == pytest.approx(dicom.spacing, rel=1e-4)


def test_scaling_units_window_and_time(tmp_path):
    volume = RNG.integers(-500, 500, (4, 4, 3, 2)).astype(">i2")
    path = nifti(tmp_path, volume, xyzt_units=3, cal_min=-100, cal_max=100)
    content = bytearray(path.read_bytes())
    struct.pack_into(">ff" if content[:4] == b"\0\0\1\x5c" else "<ff", content, 112, 2.0, -10.0)
    path.write_bytes(content)
    source = open_source(path, Limits())
    assert source.frames == 6
    last = source.frame(5)
    assert (last.slope, last.intercept) == (2, -10)
    assert last.window == (0, 200)
    assert last.spacing == pytest.approx((0.001, 0.001))  # micrometres
    np.testing.assert_array_equal(last.stored, volume[::-1, ::-1, 2, 1].T)


def test_nifti_refusals(tmp_path):
    voxels = RNG.random((4, 4, 4)).astype(np.float32)
    good = nifti(tmp_path, voxels).read_bytes()

    def changed(at, form, *values):
        content = bytearray(good)
        struct.pack_into("<" + form, content, at, *values)
        return saved(tmp_path, content)

    assert frame(saved(tmp_path, good)).stored.shape == (4, 4)
    assert code(changed(42, "3h", 4000, 4000, 1000)) is Reason.IMAGE_TOO_LARGE
    assert code(changed(42, "3h", 40, 40, 40)) is Reason.LENGTH_MISMATCH
    assert code(changed(42, "3h", -4, 4, 4)) is Reason.BAD_GEOMETRY
    assert code(changed(112, "f", np.nan)) is Reason.BAD_RESCALE
    assert code(changed(80, "f", np.nan)) is Reason.BAD_GEOMETRY
    assert code(changed(108, "f", 1e30)) is Reason.CORRUPT
    assert code(changed(70, "h", 32)) is Reason.UNSUPPORTED_FORMAT  # complex voxels
    assert code(changed(352, "64f", *[np.nan] * 64)) is Reason.NOT_FINITE
    assert code(changed(344, "4s", b"ni1\0")) is Reason.UNSUPPORTED_FORMAT
    assert code(saved(tmp_path, gzip.compress(good)[:-40])) in (Reason.TRUNCATED, Reason.CORRUPT)


def test_a_gzip_bomb_is_not_inflated(tmp_path):
    header = bytearray(nifti(tmp_path, np.ones((1, 1, 1), np.uint8)).read_bytes()[:352])
    struct.pack_into("<3h", header, 42, 1024, 1024, 256)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = packer.compress(bytes(header) + bytes(2**24)) + packer.flush()
    assert code(saved(tmp_path, content)) is Reason.INFLATE_LIMIT


# NPZ


def archive(folder, **arrays):
    np.savez_compressed(folder / "set.npz", **arrays)
    return folder / "set.npz"


def test_npz_frames_run_through_the_splits(tmp_path):
    train = RNG.integers(0, 256, (5, 8, 9)).astype(np.uint8)
    test = RNG.integers(0, 256, (2, 8, 9, 3)).astype(np.uint8)
    source = open_source(archive(tmp_path, train_images=train, test_images=test), Limits())
    assert source.frames == 7
    np.testing.assert_array_equal(source.frame(4).stored, train[4])
    np.testing.assert_allclose(source.frame(5).stored, luminance(test[0]))
    with pytest.raises(Unreadable, match="frame 7 of 7"):
        source.frame(7)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"images": GREY8[None]}, Reason.UNSUPPORTED_FORMAT),
        ({"train_images": GREY8}, Reason.UNSUPPORTED_FORMAT),
        ({"train_images": GREY8[None].astype(float)}, Reason.UNSUPPORTED_FORMAT),
        ({"train_images": np.array([print], object)}, Reason.UNSUPPORTED_FORMAT),
        ({"train_images": np.zeros((3000, 100, 100), np.uint8)}, Reason.INFLATE_LIMIT),
    ],
)
def test_npz_refusals(tmp_path, arrays, expected):
    assert code(archive(tmp_path, **arrays)) is expected
