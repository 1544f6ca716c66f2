// Median over a large square window, of images.
//
// A block of THREADS threads computes a tile of COLUMNS x ROWS pixels. The pixels under it, borders
// clamped, are its patch. A *node* stands for the keys with the same first bits; every pixel of the
// tile knows the node that its median is in, and its rank among the node's keys in the window.
// To split a node, the keys of its lower half are marked, a bit each, and counted in all windows:
// these overlap, so that one limit serves many. A node of at most LIST keys is sorted instead, and
// the windows go through it. A pass costs the same whatever the radius, and only nodes that hold a
// median are split.

enum : int {
  THREADS = 512,
  COLUMNS = 64,
  ROWS = 64,
  GROUPS = THREADS / COLUMNS,  // threads that share a column
  OWN = ROWS / GROUPS,         // pixels of a thread, below each other
  HALF = SIDE * SIDE / 2,
  PATCH_ROWS = ROWS + 2 * RADIUS,
  BEFORE = ceil_div(+RADIUS, +WARP),  // words of a row of marks before the tile, and after it
  WORDS = 2 * BEFORE + COLUMNS / WARP,
  FIRST = BEFORE * WARP - RADIUS,  // bit of the patch's first column
  LIST = 256,
  DEPTH = 33,  // nodes that wait: one for each bit, and the root
};

struct Node {
  uint32 low;  // its first key
  int bits;    // those that differ
  int count;   // of keys

  __device__ bool holds(uint32 key) const { return ((uint64)(key ^ low) >> bits) == 0; }
};

// Where the block is: the patch begins RADIUS pixels above and left of (y, x).
struct Place {
  const PIXEL* image;
  int y, x, h, w;

  __device__ int rows() const { return min(+ROWS, h - y) + 2 * RADIUS; }
  __device__ int columns() const { return min(+COLUMNS, w - x) + 2 * RADIUS; }
  __device__ uint32 key(int j, int i) const {
    const int row = clamp_index(y - RADIUS + j, h), column = clamp_index(x - RADIUS + i, w);
    return key_of(image[(uint64)row * w + column]);
  }
};

struct Shared {
  uint32 marks[PATCH_ROWS][WORDS + 1];  // bit FIRST + i of row j: that of the key in column i
  uint16 sums[PATCH_ROWS + 1][COLUMNS];  // marks in the window's columns, from the top to above j
  uint16 totals[GROUPS][COLUMNS];
  uint32 keys[LIST], sorted_keys[LIST];
  uint16 places[LIST], sorted_places[LIST];  // row << 8 | column
  Node waiting[DEPTH];
  int filled;
  uint32 scratch[THREADS / WARP];
};

// Calls visit(row j, column i, key, whether it is in the patch) for all of it, a warp a row, in steps
// of 32 columns from the tile's first: aligned where the image's rows are.
template <typename Visit> __device__ void for_each_key(const Place& place, Visit visit) {
  const int lane = threadIdx.x % WARP, rows = place.rows(), columns = place.columns();
  for (int j = threadIdx.x / WARP; j < rows; j += THREADS / WARP)
#pragma unroll 2
    for (int i = lane - FIRST; i < WORDS * WARP - FIRST; i += WARP)
      visit(j, i, place.key(j, i), 0 <= i && i < columns);
}

// How many of the SIDE marks from column x of a row are set.
__device__ int marks_from(const uint32 (&marks)[WORDS + 1], int x) {
  int count = 0;
#pragma unroll
  for (int k = 0; k * WARP < SIDE; k++) {
    const int word = (FIRST + x) / WARP + k;
    uint32 bits = __funnelshift_r(marks[word], marks[word + 1], (FIRST + x) % WARP);
    if (SIDE - k * WARP < WARP) bits &= (1u << (SIDE - k * WARP) % WARP) - 1;
    count += __popc(bits);
  }
  return count;
}

// Marks the keys of a node, counts them, and sums the marks of every window's columns downwards.
__device__ int mark(const Place& place, const Node& node, Shared& shared) {
  int count = 0;
  for_each_key(place, [&](int j, int i, uint32 key, bool there) {
    const uint32 marks = __ballot_sync(FULL_WARP, there && node.holds(key));
    if (threadIdx.x % WARP == 0) shared.marks[j][(FIRST + i) / WARP] = marks;
    count += __popc(marks);
  });
  if (threadIdx.x % WARP == 0) atomicAdd(&shared.filled, count);
  __syncthreads();
  const int x = threadIdx.x % COLUMNS, group = threadIdx.x / COLUMNS;
  const int share = ceil_div(place.rows(), +GROUPS);
  const int top = group * share, end = min(top + share, place.rows());
  int sum = 0;
  for (int j = top; j < end; j++) {
    sum += marks_from(shared.marks[j], x);
    shared.sums[j + 1][x] = sum;
  }
  shared.totals[group][x] = sum;
  __syncthreads();
  int above = 0;
  for (int other = 0; other < group; other++) above += shared.totals[other][x];
  for (int j = top; j < end; j++) shared.sums[j + 1][x] += above;
  if (group == 0) shared.sums[0][x] = 0;
  __syncthreads();
  return shared.filled;
}

// The keys of a node with their places, sorted.
__device__ void sort(const Place& place, const Node& node, Shared& shared) {
  const int lane = threadIdx.x % WARP;
  for_each_key(place, [&](int j, int i, uint32 key, bool there) {
    const bool here = there && node.holds(key);
    const uint32 marks = __ballot_sync(FULL_WARP, here);
    int first = 0;
    if (lane == 0 && marks) first = atomicAdd(&shared.filled, __popc(marks));
    first = __shfl_sync(FULL_WARP, first, 0) + __popc(marks & ((1u << lane) - 1));
    if (here) {
      shared.keys[first] = key;
      shared.places[first] = j << 8 | i;
    }
  });
  __syncthreads();
  const int own = threadIdx.x;
  if (own < node.count) {
    const uint32 key = shared.keys[own];
    int rank = 0;  // equal keys in any order: whichever is the median, it is the same
    for (int other = 0; other < node.count; other++)
      rank += shared.keys[other] < key || (shared.keys[other] == key && other < own);
    shared.sorted_keys[rank] = key;
    shared.sorted_places[rank] = shared.places[own];
  }
  __syncthreads();
}

// The key in the window at (row, x) that has `rank` of the node's keys in the window below it.
__device__ uint32 key_of_rank(const Shared& shared, int row, int x, int rank) {
  for (int k = 0;; k++) {
    const int place = shared.sorted_places[k];
    const bool inside = (uint32)((place >> 8) - row) < SIDE && (uint32)((place & 255) - x) < SIDE;
    if (inside && rank-- == 0) return shared.sorted_keys[k];
  }
}

// The node of all keys of the patch.
__device__ Node root(const Place& place, Shared& shared) {
  const uint32 first = place.key(0, 0);
  uint32 differing = 0;
  for_each_key(place, [&](int, int, uint32 key, bool there) {
    if (there) differing |= key ^ first;
  });
  if (threadIdx.x < PATCH_ROWS) shared.marks[threadIdx.x][WORDS] = 0;
  if (threadIdx.x == 0) shared.filled = 0;
  const int bits = WARP - __clz(block_reduce(differing, shared.scratch, Or()));
  return {(uint32)((uint64)first >> bits << bits), bits, place.rows() * place.columns()};
}

// The pixels of a thread, below each other.
struct Column {
  int x, top;
  uint32 open;      // those whose median is not found yet, a bit each
  uint32 low[OWN];  // first key of the node of the median; once found, its key
  int rank[OWN];    // of the median among the node's keys in the window

  __device__ bool in(const Node& node, int p) const {
    return open >> p & 1 && low[p] == node.low;
  }
  __device__ void start(const Node& root, int rows) {
    open = (1u << rows) - 1;
#pragma unroll
    for (int p = 0; p < OWN; p++) low[p] = root.low, rank[p] = HALF;
  }
  __device__ void find(const Node& node, const Shared& shared) {
#pragma unroll
    for (int p = 0; p < OWN; p++)
      if (in(node, p)) {
        if (node.bits > 0) low[p] = key_of_rank(shared, top + p, x, rank[p]);
        open &= ~(1u << p);
      }
  }
  // Bit 0: some pixel is in the lower half of the node, the marked one; bit 1: in the upper one.
  __device__ int descend(const Node& node, const Node& upper, const Shared& shared) {
    int halves = 0;
#pragma unroll
    for (int p = 0; p < OWN; p++)
      if (in(node, p)) {
        const int count = shared.sums[top + p + SIDE][x] - shared.sums[top + p][x];
        if (rank[p] < count) {
          halves |= 1;
        } else {
          halves |= 2;
          low[p] = upper.low;
          rank[p] -= count;
        }
      }
    return halves;
  }
};

__device__ void find_medians(const Place& place, Column& column, Shared& shared) {
  int waiting = 0;
  Node node = root(place, shared);
  const int rows = min(max(place.h - place.y - column.top, 0), +OWN);
  column.start(node, place.x + column.x < place.w ? rows : 0);
  while (true) {
    if (node.bits == 0 || node.count <= LIST) {
      if (node.bits > 0) sort(place, node, shared);
      column.find(node, shared);
    } else {
      Node lower = {node.low, node.bits - 1, 0};
      lower.count = mark(place, lower, shared);
      const Node upper = {node.low | 1u << lower.bits, lower.bits, node.count - lower.count};
      const int halves = column.descend(node, upper, shared);
      if (__syncthreads_or(halves & 2)) shared.waiting[waiting++] = upper;
      if (__syncthreads_or(halves & 1)) shared.waiting[waiting++] = lower;
    }
    if (waiting == 0) return;
    if (threadIdx.x == 0) shared.filled = 0;
    __syncthreads();
    node = shared.waiting[--waiting];
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    median_split(const PIXEL* __restrict__ images, PIXEL* __restrict__ out, int n, int h, int w) {
  __shared__ Shared shared;
  Column column;
  column.x = threadIdx.x % COLUMNS, column.top = threadIdx.x / COLUMNS * OWN;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int y = blockIdx.y * ROWS; y < h; y += gridDim.y * ROWS) {
      const uint64 first = (uint64)image * h * w;
      const Place place = {images + first, y, (int)blockIdx.x * COLUMNS, h, w};
      find_medians(place, column, shared);
      const int row = y + column.top, x = place.x + column.x;
      PIXEL* result = out + first + (uint64)row * w + x;
#pragma unroll
      for (int p = 0; p < OWN; p++)
        if (row + p < h && x < w) set_pixel(result[(uint64)p * w], column.low[p]);
      __syncthreads();
    }
}
