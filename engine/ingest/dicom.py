"""DICOM files as a source of frames."""

import math
import re
from functools import cached_property

import numpy as np

from .codecs import DECODERS, NATIVE, Decoded, Pixels, native_values
from .colour import eight_bits, luminance, rgb_of_ycc
from .dataset import (
    DOUBLE_PIXELS,
    FLOAT_PIXELS,
    PIXELS,
    Dataset,
    Element,
    read_dataset,
)
from .encapsulation import fragments, frames_of
from .frame import UNKNOWN_SPACING, Frame
from .limits import Limits
from .lut import Lut, palette, palette_luminance, read_lut
from .reason import Reason, Unreadable

MODALITY = 0x00080060
SAMPLES, PHOTOMETRIC, PLANAR = 0x00280002, 0x00280004, 0x00280006
FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
ALLOCATED, STORED, HIGH_BIT, SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
CENTRE, WIDTH, VOI_FUNCTION = 0x00281050, 0x00281051, 0x00281056
INTERCEPT, SLOPE = 0x00281052, 0x00281053
MODALITY_LUT, VOI_LUT = 0x00283000, 0x00283010
SPACINGS = (0x00280030, 0x00181164, 0x00182010)  # Pixel, Imager Pixel, Nominal Scanned Pixel
SHARED_GROUPS, FRAME_GROUPS = 0x52009229, 0x52009230
MEASURES, TRANSFORMATION, FRAME_VOI = 0x00289110, 0x00289145, 0x00289132

_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


class DicomFile:
    """One DICOM file. `data` holds it all, or its head when only `frames` is wanted."""

    def __init__(self, data: bytes, size: int, limits: Limits):
        self.dataset, self.syntax = read_dataset(data, size, limits)
        self.limits = limits
        self.tag, self.element = _pixel_element(self.dataset)
        self.pixels = _pixels(self.dataset, self.tag)
        image = self.pixels
        limits.check_image(image.rows, image.columns, image.frames, image.frame_bits // 8)
        if self.syntax not in NATIVE and self.syntax not in DECODERS:
            raise Unreadable(Reason.UNSUPPORTED_SYNTAX, "transfer syntax is not read")
        if (self.element.stop < 0) == (self.syntax in NATIVE):
            raise Unreadable(Reason.CORRUPT, "transfer syntax and pixel data encoding disagree")
        self._check_length()

    @property
    def frames(self) -> int:
        return self.pixels.frames

    def frame(self, index: int) -> Frame:
        """Frame `index` (0 ..) with its rescale, window, spacing and polarity."""
        image = self.pixels
        decoded = self._decoded(index, image)
        stored, shown = self._grey(decoded)
        slope, intercept = self._rescale(index)
        if (table := self._lut(MODALITY_LUT)) is not None:
            stored, slope, intercept, shown = table.apply(stored), 1.0, 0.0, None
        modality = self.dataset.text(MODALITY)
        window, function = self._window(index)
        display_ready = image.stored <= 8 and (slope, intercept) == (1, 0) and not image.signed
        if shown is None and display_ready and modality != "CT" and image.photometric in _GREY:
            shown = (0.0, float(2**image.stored - 1))
        return Frame(
            stored=stored,
            slope=slope,
            intercept=intercept,
            window=window,
            function=function,
            voi_lut=self._lut(VOI_LUT) if window is None else None,
            shown=shown,
            inverted=image.photometric == "MONOCHROME1",
            spacing=self._spacing(index),
            modality=modality if re.fullmatch("[A-Z0-9]{1,16}", modality) else "",
        )

    def colours(self, index: int) -> np.ndarray:
        """Frame `index` (0 ..) in red, green and blue, (h, w, 3) uint8."""
        image = self.pixels._replace(colour=True)
        decoded = self._decoded(index, image)
        values, bits = decoded.values, min(image.stored, decoded.bits)
        if image.photometric == "PALETTE COLOR":
            table = palette(self.dataset)
            values, bits = table.apply(values), int(table.top).bit_length()
        elif image.photometric in ("YBR_FULL", "YBR_FULL_422") and not decoded.rgb:
            values = rgb_of_ycc(values, bits)
        return eight_bits(values, bits)

    # pixels

    def _decoded(self, index: int, image: Pixels) -> Decoded:
        if not 0 <= index < self.frames:
            raise Unreadable(Reason.NO_SUCH_FRAME, f"frame {index} of {self.frames}")
        if self.element.stop >= 0:
            return self._native(index, image)
        return self._encapsulated(index, image)

    def _check_length(self) -> None:
        """Pixel data must be long enough for all frames: known before any is touched."""
        start, stop = self.element.start, self.element.stop
        if stop < 0:
            if self.frames * 8 > self.dataset.size - start:  # each frame is a fragment at least
                raise Unreadable(Reason.BAD_FRAGMENTS, f"no room for {self.frames} frames")
            return
        needed = (self.frames * self.pixels.frame_bits + 7) // 8
        if stop == start:
            raise Unreadable(Reason.NO_PIXELS, "pixel data are empty")
        if stop - start < needed:
            raise Unreadable(
                Reason.LENGTH_MISMATCH, f"pixel data have {stop - start} bytes, {needed} needed"
            )

    def _native(self, index: int, image: Pixels) -> Decoded:
        values = native_values(
            self.dataset.data,
            self.element.start * 8 + index * image.frame_bits,
            image,
            self.dataset.order,
            swap=self.dataset.order == ">" and image.allocated == 8 and self.element.vr == b"OW",
            kind="u" if self.tag == PIXELS else "f",
        )
        return Decoded(values, image.stored, grey=image.photometric == "YBR_FULL_422")

    @cached_property
    def _fragments(self) -> list[list[tuple[int, int]]]:
        data = self.dataset.data
        table, spans = fragments(data, self.element.start, self.frames, self.limits)
        return frames_of(data, table, spans, self.frames)

    def _encapsulated(self, index: int, image: Pixels) -> Decoded:
        data = self.dataset.data
        stream = b"".join(data[start:stop] for start, stop in self._fragments[index])
        decoded = DECODERS[self.syntax](stream, image, self.limits)
        shape = (image.rows, image.columns)
        grey = decoded.grey or image.samples == 1
        if decoded.values.shape != (shape if grey else (*shape, image.samples)):
            raise Unreadable(Reason.DECODE_FAILED, "codec returned another shape")
        return decoded

    def _grey(self, decoded: Decoded) -> tuple[np.ndarray, tuple[float, float] | None]:
        """Stored grey values, and the range they are meant to be shown in (colour has one)."""
        image = self.pixels
        if self.tag != PIXELS:
            return decoded.values, None
        if image.photometric == "PALETTE COLOR":
            table = palette_luminance(self.dataset)
            return table.apply(decoded.values), (0.0, table.top)
        if image.samples == 1:
            bits = min(image.stored, decoded.bits)
            high = image.high if self.element.stop >= 0 else bits - 1
            values = significant(decoded.values, bits, high, image.signed)
            return values, (0.0, 1.0) if image.allocated == 1 else None
        top = (0.0, float(2 ** min(image.stored, decoded.bits) - 1))
        if decoded.grey:
            return decoded.values, top
        if image.photometric == "YBR_FULL":  # Y is the luminance
            return decoded.values[..., 0], top
        return luminance(decoded.values), top

    # what the values mean

    def _groups(self, index: int, sequence: int) -> list[Dataset]:
        """Where an attribute of a functional group may stand: this frame's, the shared, the top."""
        frame = self._frame_groups[index : index + 1]
        return [
            item for group in (*frame, *self._shared_groups) for item in group.items(sequence)
        ] + [self.dataset]

    @cached_property
    def _frame_groups(self) -> list[Dataset]:
        return self.dataset.items(FRAME_GROUPS)

    @cached_property
    def _shared_groups(self) -> list[Dataset]:
        return self.dataset.items(SHARED_GROUPS)

    def _rescale(self, index: int) -> tuple[float, float]:
        for group in self._groups(index, TRANSFORMATION):
            if SLOPE in group.elements or INTERCEPT in group.elements:
                slope = _number(group, SLOPE, 1.0)
                if slope == 0:
                    raise Unreadable(Reason.BAD_RESCALE, "rescale slope is 0")
                return slope, _number(group, INTERCEPT, 0.0)
        return 1.0, 0.0

    def _window(self, index: int) -> tuple[tuple[float, float] | None, str]:
        """The first usable window; the standard wants width >= 1 for LINEAR, > 0 otherwise."""
        for group in self._groups(index, FRAME_VOI):
            centre, width = group.numbers(CENTRE), group.numbers(WIDTH)
            if not centre or not width:
                continue
            function = group.text(VOI_FUNCTION) or "LINEAR"
            if function not in _FUNCTIONS:
                continue
            least = 1.0 if function == "LINEAR" else math.ulp(0.0)
            if math.isfinite(centre[0]) and math.isfinite(width[0]) and width[0] >= least:
                return (centre[0], width[0]), function
        return None, "LINEAR"

    def _lut(self, sequence: int) -> Lut | None:
        items = self.dataset.items(sequence) if sequence in self.dataset.elements else []
        return read_lut(items[0], self.pixels.signed) if items else None

    def _spacing(self, index: int) -> tuple[float, float]:
        for group in self._groups(index, MEASURES):
            for tag in SPACINGS:
                pair = group.numbers(tag) if tag in group.elements else None
                if pair and len(pair) == 2 and all(0 < step < math.inf for step in pair):
                    return pair[0], pair[1]
        return UNKNOWN_SPACING


def significant(values: np.ndarray, bits: int, high: int, signed: bool) -> np.ndarray:
    """The `bits` bits below and including bit `high` of each integer, with their sign.

    What lies outside (overlays of old files, sign extension) is no pixel value (PS3.5 8.1.1).
    """
    width = values.dtype.itemsize * 8
    unsigned = values.dtype.str.replace("i", "u")
    values = values.view(unsigned)
    if bits == width:
        return values.view(unsigned.replace("u", "i")) if signed else values
    if signed:
        return (values << (width - 1 - high)).view(unsigned.replace("u", "i")) >> (width - bits)
    return (values >> (high + 1 - bits) if high >= bits else values) & (2**bits - 1)


def _pixel_element(dataset: Dataset) -> tuple[int, Element]:
    for tag in (PIXELS, FLOAT_PIXELS, DOUBLE_PIXELS):
        if (element := dataset.elements.get(tag)) is not None:
            return tag, element
    raise Unreadable(Reason.NO_PIXELS, "DICOM file without pixel data")


def _pixels(dataset: Dataset, tag: int) -> Pixels:
    """Image pixel attributes; Unreadable where one is missing or impossible."""
    rows, columns = dataset.short(ROWS), dataset.short(COLUMNS)
    frames = [1.0] if not dataset.text(FRAMES) else dataset.numbers(FRAMES)
    if rows is None or columns is None or not frames or not 1 <= frames[0] < 2**31:
        raise Unreadable(Reason.BAD_GEOMETRY, "rows, columns or frames are missing or no number")
    samples, allocated = dataset.short(SAMPLES), dataset.short(ALLOCATED)
    stored = dataset.short(STORED) if tag == PIXELS else allocated
    if samples not in (1, 3) or allocated is None or stored is None:
        raise Unreadable(Reason.BAD_BITS, "samples, bits allocated or bits stored are missing")
    allowed = {PIXELS: (1, 8, 16, 32, 64), FLOAT_PIXELS: (32,), DOUBLE_PIXELS: (64,)}[tag]
    if allocated not in allowed or not 1 <= stored <= allocated:
        raise Unreadable(Reason.BAD_BITS, f"{stored} bits stored in {allocated} allocated")
    high = dataset.short(HIGH_BIT) if tag == PIXELS else None
    high = stored - 1 if high is None else high
    if not stored - 1 <= high < allocated:
        raise Unreadable(
            Reason.BAD_BITS, f"high bit {high} of {stored} stored, {allocated} allocated"
        )
    photometric = dataset.text(PHOTOMETRIC)
    if photometric not in (_GREY if samples == 1 else _COLOUR):
        raise Unreadable(
            Reason.BAD_COLOUR, f"photometric interpretation does not fit {samples} samples"
        )
    if samples == 3 and (allocated == 1 or (photometric == "YBR_FULL_422" and columns % 2)):
        raise Unreadable(Reason.BAD_COLOUR, f"colour of {columns} columns, {allocated} bits")
    return Pixels(
        rows,
        columns,
        int(frames[0]),
        samples,
        allocated,
        stored,
        high,
        dataset.short(SIGNED) == 1,
        photometric,
        dataset.short(PLANAR) == 1,
    )


def _number(dataset: Dataset, tag: int, default: float) -> float:
    if not dataset.text(tag):
        return default
    numbers = dataset.numbers(tag)
    if not numbers or not math.isfinite(numbers[0]):
        raise Unreadable(Reason.BAD_RESCALE, "rescale slope or intercept is no finite number")
    return numbers[0]
