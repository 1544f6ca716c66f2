"""The memories of a launch: global buffers, and each block's shared and each thread's local bytes.

An address is a uint64. Global buffers lie 2^36 bytes apart, so an access outside its buffer is
found and never lands in another one; shared and local memory begin at 2^60 and 2^61 in the
generic address space and at 0 in their own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .fault import Fault

if TYPE_CHECKING:
    from .races import Shadow

SHARED_BASE, LOCAL_BASE = 1 << 60, 1 << 61
_BUFFER_BITS = 36
_MIDDLE = 1 << 35  # where a buffer begins in its range: small negative offsets stay in the range
_ALLOCATION_ALIGN = 512  # of device memory; a view keeps its offset from it


class Region:
    """The bytes of one memory, seen as any element type; `address` is that of the first byte."""

    def __init__(self, data: np.ndarray, address: int = 0):
        self.data, self.address = data, address
        self.shadow: Shadow | None = None  # of memories that are checked for races
        self._views: dict[np.dtype, tuple[np.ndarray, int]] = {}

    def typed(self, dtype: np.dtype) -> tuple[np.ndarray, int]:
        """(elements, offset of the first): elements lie at multiples of their size."""
        if dtype not in self._views:
            lead = -self.address % dtype.itemsize
            count = max(0, self.data.size - lead) // dtype.itemsize
            self._views[dtype] = (self.data[lead:][: count * dtype.itemsize].view(dtype), lead)
        return self._views[dtype]


class Part(NamedTuple):
    """The share of one access that falls into one region: byte `offsets` of `threads`.

    `select` picks these threads' values out of those of the whole access.
    """

    space: str
    region: Region
    offsets: np.ndarray
    threads: np.ndarray
    select: slice | np.ndarray


class Memory:
    """All memory that the threads of the blocks now running can reach."""

    def __init__(self, blocks: int, threads: int, shared: int, local: int):
        self.shared_size, self.local_size = shared, local  # bytes a block, bytes a thread
        self._shared_stride, self._local_stride = -(-shared // 16) * 16, -(-local // 16) * 16
        self.block_of = np.arange(blocks * threads) // threads
        self.shared = Region(np.zeros(blocks * self._shared_stride, np.uint8))
        self.local = Region(np.zeros(blocks * threads * self._local_stride, np.uint8))
        self.buffers: list[Region] = []

    def map(self, array: np.ndarray) -> Region:
        """Make an array a global buffer; one that is mapped already keeps its address."""
        data = array.reshape(-1).view(np.uint8)
        for region in self.buffers:
            if region.data.ctypes.data == data.ctypes.data and region.data.size == data.size:
                if data.flags.writeable:
                    region.data = data
                return region
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        shift = (array.ctypes.data - root.ctypes.data) % _ALLOCATION_ALIGN
        address = (len(self.buffers) + 1 << _BUFFER_BITS) + _MIDDLE + shift
        self.buffers.append(Region(data, address))
        return self.buffers[-1]

    def parts(
        self, space: str, addresses: np.ndarray, threads: np.ndarray, size: int
    ) -> Iterator[Part]:
        """Check bounds and alignment of one `size`-byte access a thread, and resolve it."""
        if not len(threads):
            return
        crooked = addresses & np.uint64(size - 1)
        if crooked.any():
            raise Fault(f"misaligned {size}-byte access", threads[crooked != 0])
        if space == "generic":
            yield from self._generic(addresses, threads, size)
        elif space == "global":
            yield from self._global(addresses, threads, size)
        else:
            yield self._private(space, addresses, threads, size)

    def _generic(self, addresses: np.ndarray, threads: np.ndarray, size: int) -> Iterator[Part]:
        kinds = addresses >> np.uint64(60)
        for kind, space in ((0, "global"), (1, "shared"), (2, "local")):
            chosen = np.flatnonzero(kinds == kind)
            base = np.uint64(kind << 60)
            for part in self.parts(space, addresses[chosen] - base, threads[chosen], size):
                yield part._replace(select=chosen[part.select])

    def _private(self, space: str, addresses: np.ndarray, threads: np.ndarray, size: int) -> Part:
        if space == "shared":
            region, limit = self.shared, self.shared_size
            start = self.block_of[threads] * self._shared_stride
        else:
            region, limit = self.local, self.local_size
            start = threads * self._local_stride
        outside = addresses + np.uint64(size) > limit
        if outside.any():
            at = int(addresses[outside][0])
            raise Fault(f"{space} access out of bounds (byte {at} of {limit})", threads[outside])
        return Part(space, region, addresses.view(np.int64) + start, threads, slice(None))

    def _global(self, addresses: np.ndarray, threads: np.ndarray, size: int) -> Iterator[Part]:
        number = int(addresses[0]) >> _BUFFER_BITS
        if 0 < number <= len(self.buffers):
            region = self.buffers[number - 1]
            last = region.address + region.data.size - size
            if addresses.min() >= region.address and int(addresses.max()) <= last:
                offsets = (addresses - np.uint64(region.address)).view(np.int64)
                yield Part("global", region, offsets, threads, slice(None))
                return
        numbers = addresses >> np.uint64(_BUFFER_BITS)
        for number in np.unique(numbers):
            chosen = np.flatnonzero(numbers == number)
            if not 0 < number <= len(self.buffers):
                raise Fault(
                    f"global access to no buffer (address {int(addresses[chosen[0]]):#x})",
                    threads[chosen],
                )
            region = self.buffers[int(number) - 1]
            offsets = addresses[chosen].view(np.int64) - region.address
            outside = (offsets < 0) | (offsets + size > region.data.size)
            if outside.any():
                raise Fault(
                    f"global access out of bounds (byte {int(offsets[outside][0])} "
                    f"of a {region.data.size}-byte array)",
                    threads[chosen][outside],
                )
            yield Part("global", region, offsets, threads[chosen], chosen)
