// Median over a large square window, of images.
//
// A block of THREADS threads computes a tile of COLUMNS x ROWS pixels. The pixels under it, borders
// clamped, are its patch. A *node* stands for the keys with the same first bits; every pixel of the
// tile knows the node that its median is in, and its rank among the node's keys in the window.
// To split a node, the keys of its lower half are marked, a bit each, and counted in all windows:
// these overlap, so that one limit serves many. A node of at most LIST keys is sorted instead; which
// of them are in the rows and in the columns of each window is marked, and the medians are looked up.
// A pass costs the same whatever the radius, and only nodes that hold a median are treated.

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
  LIST_WORDS = LIST / WARP,
  DEPTH = 33,  // nodes that wait: one for each bit, and the root
};

struct Node {
  uint32 low;  // its first key
  int bits;    // those that differ
  int count;   // of keys

  __device__ uint32 same() const { return bits < 32 ? ~0u << bits : 0; }  // bits that do not differ
};

// Where the block is: the patch begins RADIUS pixels above and left of (y, x).
struct Place {
  const PIXEL* image;
  int y, x, h, w;

  __device__ int rows() const { return min(+ROWS, h - y) + 2 * RADIUS; }
  __device__ int columns() const { return min(+COLUMNS, w - x) + 2 * RADIUS; }
  __device__ const PIXEL* row(int j) const {
    return image + (uint64)clamp_index(y - RADIUS + j, h) * w;
  }
};

struct Shared {
  uint32 marks[PATCH_ROWS][WORDS + 1];  // bit FIRST + i of row j: that of the key in column i
  uint16 sums[PATCH_ROWS + 1][COLUMNS];  // marks in the window's columns, from the top to above j
  uint16 totals[GROUPS][COLUMNS];
  uint32 keys[LIST], sorted_keys[LIST];
  uint16 places[LIST], sorted_places[LIST];  // row << 8 | column
  uint32 in_columns[LIST_WORDS][COLUMNS];    // bit k % 32 of word k / 32: sorted key k is in the
  uint32 in_rows[LIST_WORDS][ROWS];          // columns of the windows at x, in the rows of those at y
  Node waiting[DEPTH];
  int filled;
  uint32 scratch[THREADS / WARP];
};

// Calls visit(row j, column i, key, whether it is in the patch) for all of it, a warp a row, in steps
// of 32 columns from the tile's first: aligned where the image's rows are.
template <typename Visit> __device__ void for_each_key(const Place& place, Visit visit) {
  const int lane = threadIdx.x % WARP, rows = place.rows(), columns = place.columns();
  for (int j = threadIdx.x / WARP; j < rows; j += THREADS / WARP) {
    const PIXEL* row = place.row(j);
#pragma unroll 2
    for (int i = lane - FIRST; i < WORDS * WARP - FIRST; i += WARP) {
      const uint32 key = key_of(row[clamp_index(place.x - RADIUS + i, place.w)]);
      visit(j, i, key, (uint32)i < columns);
    }
  }
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
  const uint32 low = node.low, same = node.same();
  int count = 0;
  for_each_key(place, [&](int j, int i, uint32 key, bool there) {
    const uint32 marks = __ballot_sync(FULL_WARP, there && (key & same) == low);
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
  const uint32 low = node.low, same = node.same();
  for_each_key(place, [&](int j, int i, uint32 key, bool there) {
    if (!there || (key & same) != low) return;
    const int free = atomicAdd(&shared.filled, 1);
    shared.keys[free] = key;
    shared.places[free] = j << 8 | i;
  });
  __syncthreads();
  const int own = threadIdx.x;
  if (own < node.count) {
    const uint32 key = shared.keys[own];
    int rank = 0;  // equal keys keep their order
    for (int other = 0; other < own; other++) rank += shared.keys[other] <= key;
    for (int other = own + 1; other < node.count; other++) rank += shared.keys[other] < key;
    shared.sorted_keys[rank] = key;
    shared.sorted_places[rank] = shared.places[own];
  }
  __syncthreads();
}

// For every column and row of the tile, which sorted keys its windows reach. A warp takes a word.
__device__ void mark_list(int count, Shared& shared) {
  const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, word = warp % LIST_WORDS;
  const bool columns = warp < LIST_WORDS;
  const bool there = word * WARP + lane < count;
  const int place = there ? shared.sorted_places[word * WARP + lane] : 0;
  const int at = columns ? place & 255 : place >> 8;
  for (int start = 0; start < COLUMNS; start += WARP) {
    uint32 own = 0;
#pragma unroll 4
    for (int i = 0; i < WARP; i++) {
      const bool inside = there && (uint32)(at - start - i) < SIDE;
      const uint32 marks = __ballot_sync(FULL_WARP, inside);
      if (lane == i) own = marks;
    }
    (columns ? shared.in_columns : shared.in_rows)[word][start + lane] = own;
  }
  __syncthreads();
}

// The key in the window at (row, x) that has `rank` of the sorted keys in the window below it.
__device__ uint32 key_of_rank(const Shared& shared, int row, int x, int rank) {
  uint32 marks = 0;
  int word = -1, count = 0;
  do {
    rank -= count;
    word++;
    marks = shared.in_rows[word][row] & shared.in_columns[word][x];
    count = __popc(marks);
  } while (rank >= count);
  for (; rank > 0; rank--) marks &= marks - 1;
  return shared.sorted_keys[word * WARP + __ffs(marks) - 1];
}

// The node of all keys of the patch.
__device__ Node root(const Place& place, Shared& shared) {
  const uint32 first = key_of(place.row(0)[clamp_index(place.x - RADIUS, place.w)]);
  uint32 differing = 0;
  for_each_key(place, [&](int, int, uint32 key, bool there) {
    if (there) differing |= key ^ first;
  });
  if (threadIdx.x < PATCH_ROWS) shared.marks[threadIdx.x][WORDS] = 0;
  if (threadIdx.x == 0) shared.filled = 0;
  const int bits = WARP - __clz(block_reduce(differing, shared.scratch, Or()));
  Node all = {first, bits, place.rows() * place.columns()};
  all.low &= all.same();
  return all;
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
      if (node.bits > 0) {
        sort(place, node, shared);
        mark_list(node.count, shared);
      }
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
