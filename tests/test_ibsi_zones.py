"""Proof against the Image Biomarker Standardisation Initiative's digital phantom.

Run lengths, size zones and distance zones: the published matrices are met cell by cell by the
definition and by the compiled code, every consensus value within its tolerance by the CPU and the
GPU code.
"""

import ibsi
import numpy as np
import pytest

from medkern.kernels.texture import gldzm as distance, glrlm as run, glszm as size
from medkern.kernels.texture._aggregation import EVERY, PLANE
from medkern.kernels.texture._levels import DEPTH, ROW, SLAB, START, cpu_crops, scale
from medkern.kernels.texture._zone_features import (
    REMOVED,
    count_sizes,
    count_steps,
    measure_steps,
    scratch_of,
)
from medkern.kernels.texture._zones import find_zones, links, no_zones
from medkern.kernels.texture.gldzm import gldzm
from medkern.kernels.texture.glrlm import glrlm
from medkern.kernels.texture.glszm import glszm

LEVELS = {"binning": "none", "levels": 6}
SIDE = 7  # levels 1 to 6
MOST = 75  # sizes 0 to 74, the voxels of the region
TAGS = {  # of the consensus table, in the order of FEATURES
    "glrlm": [
        "rlm_sre", "rlm_lre", "rlm_lgre", "rlm_hgre",
        "rlm_srlge", "rlm_srhge", "rlm_lrlge", "rlm_lrhge",
        "rlm_glnu", "rlm_glnu_norm", "rlm_rlnu", "rlm_rlnu_norm",
        "rlm_r_perc", "rlm_gl_var", "rlm_rl_var", "rlm_rl_entr",
    ],
    "glszm": [
        "szm_sze", "szm_lze", "szm_lgze", "szm_hgze",
        "szm_szlge", "szm_szhge", "szm_lzlge", "szm_lzhge",
        "szm_glnu", "szm_glnu_norm", "szm_zsnu", "szm_zsnu_norm",
        "szm_z_perc", "szm_gl_var", "szm_zs_var", "szm_zs_entr",
    ],
    "gldzm": [
        "dzm_sde", "dzm_lde", "dzm_lgze", "dzm_hgze",
        "dzm_sdlge", "dzm_sdhge", "dzm_ldlge", "dzm_ldhge",
        "dzm_glnu", "dzm_glnu_norm", "dzm_zdnu", "dzm_zdnu_norm",
        "dzm_z_perc", "dzm_gl_var", "dzm_zd_var", "dzm_zd_entr",
    ],
}  # fmt: skip
SLICES = {"averaged": "2D", "merged": "2_5D", "volume": "3D"}
DIRECTIONS = {"averaged": "avg", "merged": "comb"}
CASES = [(glrlm, {"slices": s, "directions": d}) for s in SLICES for d in DIRECTIONS]
CASES += [(kernel, {"slices": s}) for kernel in (glszm, gldzm) for s in SLICES]


@pytest.fixture(scope="module")
def published(data):
    """{section: [counts (6, 74)]} of the manual's tables."""
    tables: dict[str, list[np.ndarray]] = {}
    for table in ibsi.published_tables(data("ibsi_phantoms")):
        if table["columns"][1] in ("r", "s", "d") and table["columns"][2] == "n":
            counts = np.zeros((6, MOST - 1), int)
            i, j, n = np.array(table["rows"]).T
            if (i % 1 == 0).all() and (j % 1 == 0).all():
                counts[i.astype(int) - 1, j.astype(int) - 1] = n
                tables.setdefault(table["section"], []).append(counts)
    return tables


def greys(phantom, what):
    """Levels of the four slices (h, w), or of the volume (d, h, w)."""
    image, mask = phantom
    grey = (image * mask)[0].astype(int)
    return [grey] if what == "3D" else list(grey)


def crops_of(phantom, what, removed=0):
    """(levels, crop) of the same, as the compiled code gets them; slices are images."""
    image, mask = phantom if what == "3D" else (phantom[0][0], phantom[1][0])
    where = glrlm.place(image, mask)
    levels, crops = cpu_crops(image, where, scale(6, "none", 1.0, 1.0), 1, removed)
    return [(levels, crop) for crop in crops]


def widened(counts):
    return np.pad(counts, ((0, 0), (0, MOST - 1 - counts.shape[1])))


def counted(counts):
    """Compiled tables (size, level) as counts (6, 74)."""
    return widened(counts.reshape(-1, SIDE)[1:, 1:].T)


# ---- matrices


def defined_runs(phantom, what):
    """(pieces, directions, 6, 74) by the definition."""
    steps = EVERY if what == "3D" else PLANE
    pieces = [g if g.ndim == 3 else g[None] for g in greys(phantom, what)]
    return np.array([[widened(run.run_lengths(g, m, 6)) for m in steps] for g in pieces])


def compiled_runs(phantom, what):
    """The same, by the compiled code."""
    steps, found = np.array(EVERY if what == "3D" else PLANE), []
    for levels, crop in crops_of(phantom, what):
        first, stop = crop[START], crop[START] + crop[DEPTH] * crop[SLAB]
        for offset in steps @ (crop[SLAB], crop[ROW], 1):
            lengths, cells = np.empty(stop - first + offset, np.uint16), np.empty(9, np.uint32)
            counts, beyond = np.zeros(65 * SIDE + 8, np.uint32), np.empty(0, int)
            last, listed = run.count_runs(
                levels, first, stop, offset, lengths, cells, counts, SIDE, beyond, 0
            )
            assert counts[SIDE * (last + 1) : 65 * SIDE].sum() == listed == 0
            found.append(counted(counts[: 65 * SIDE]))
    return np.array(found).reshape(-1, len(steps), 6, MOST - 1)


@pytest.mark.parametrize("runs", [defined_runs, compiled_runs])
def test_run_lengths_are_the_published_matrices(phantom, published, runs):
    counts = runs(phantom, "2D")
    order = [EVERY.index((0, *d)) for d in ((1, 0), (1, -1), (0, 1), (1, 1))]  # that of the manual
    directional = published["Grey level run length matrix (2D)"]
    np.testing.assert_array_equal(counts[:, order].swapaxes(0, 1).reshape(16, 6, -1), directional)
    merged = published["Grey level run length matrix (2D, merged)"]
    np.testing.assert_array_equal(counts.sum(axis=1), merged)
    counts = runs(phantom, "3D")[0]  # the manual's order of directions is another
    want = published["Grey level run length matrix (3D)"]
    assert sorted(m.tolist() for m in counts) == sorted(m.tolist() for m in want)
    (merged,) = published["Grey level run length matrix (3D, merged)"]
    np.testing.assert_array_equal(counts.sum(axis=0), merged)


def compiled_zones(phantom, what):
    """(sizes, distances) of each crop: the zones as the compiled code finds and counts them."""
    touching, deep = links(np.array(EVERY if what == "3D" else PLANE)), what == "3D"
    for levels, crop in crops_of(phantom, what, REMOVED):
        steps, codes, numbers, counts, beyond = scratch_of(crop[None], 6, deep, True)
        piece = levels, crop, crop[START], crop[DEPTH]
        measure_steps(*piece, deep, steps)
        zones = find_zones(*piece, touching, steps[crop[SLAB] :], codes, numbers, no_zones(1))
        _, listed = count_sizes(*zones, SIDE, counts, beyond)
        assert listed == 0
        sizes = counted(counts)
        counts[:] = 0
        count_steps(*zones, SIDE, counts)
        yield sizes, counted(counts)


@pytest.mark.parametrize("what", ["2D", "3D"])
def test_size_zones_are_the_published_matrices(phantom, published, what):
    want = published[f"Grey level size zone matrix ({what})"]
    defined = [size.zone_sizes(grey, 6, MOST - 1) for grey in greys(phantom, what)]
    np.testing.assert_array_equal(defined, want)
    np.testing.assert_array_equal([sizes for sizes, _ in compiled_zones(phantom, what)], want)


@pytest.mark.parametrize("what", ["2D", "3D"])
def test_distance_zones_are_the_published_matrices(phantom, published, what):
    want = published[f"Grey level distance zone matrix ({what})"]
    defined = [
        distance.zone_distances(grey, grey > 0, 6, MOST - 1) for grey in greys(phantom, what)
    ]
    np.testing.assert_array_equal(defined, want)
    np.testing.assert_array_equal([steps for _, steps in compiled_zones(phantom, what)], want)


# ---- values


def table(slices, directions=None):
    """The end of the consensus table's tags."""
    return f"{SLICES[slices]}_{DIRECTIONS[directions]}" if directions else SLICES[slices]


@pytest.mark.parametrize("measure", [ibsi.on_the_cpu, ibsi.on_the_gpu])
@pytest.mark.parametrize(("kernel", "how"), CASES)
def test_all_features_meet_the_consensus(phantom, consensus, kernel, how, measure):
    values, names = measure(kernel, *phantom, **how, **LEVELS)
    wrong = []
    for value, name, tag in zip(values[0].tolist(), names, TAGS[kernel.name], strict=True):
        wanted = consensus[f"{tag}_{table(**how)}"]
        if ibsi.misses(value, wanted):
            wrong.append(f"{name}: {value}, consensus {wanted}")
    assert not wrong, wrong


def test_every_consensus_value_is_asked_for(consensus):
    asked = {f"{tag}_{table(**how)}" for kernel, how in CASES for tag in TAGS[kernel.name]}
    assert asked == {tag for tag in consensus if tag.startswith(("rlm_", "szm_", "dzm_"))}
    assert len(asked) == 192


@pytest.mark.parametrize("kernel", [glrlm, glszm, gldzm])
def test_the_names_carry_the_standard_s_tags(kernel):
    assert len({feature.tag for feature in kernel.features}) == len(kernel.features) == 16
