"""Stages: the kernels in the recipe's order, padding left out, columns that say what they are."""

import json

import numpy as np
import pytest

from medkern import kernels
from medkern.engine.batch import Batch
from medkern.engine.recipe import load_recipe, parse, shipped
from medkern.engine.stages import DeviceError, Stages, choose_device, feature_metadata, regions
from medkern.kernels import _cuda

RECIPE = """
[ingest]
size = [24, 20]
batch = 4
[[denoise]]
kernel = "median"
radius = 1
[[enhance]]
kernel = "clahe"
tiles = [2, 2]
[[texture]]
kernel = "glcm"
levels = 8
grid = [2, 3]
[[texture]]
kernel = "glcm"
levels = 8
distance = 2
"""


def a_batch(valid=4, seed=0, masks=None, shape=(24, 20)):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, *shape), np.uint8)
    return Batch(
        pixels=pixels,
        bits=8,
        ids=tuple(f"image {seed}.{k}" if k < valid else "" for k in range(4)),
        masks=masks,
        spacing=np.full((4, 2), np.nan, np.float32),
        modality=("",) * 4,
        window=np.full((4, 2), np.nan, np.float32),
        valid=np.arange(4) < valid,
    )


def test_pixels_pass_through_the_kernels_in_order():
    batch = a_batch()
    done = Stages(parse(RECIPE)).run(batch)
    expected = kernels.clahe(kernels.median(batch.pixels, radius=1), tiles=(2, 2), bits=8)
    np.testing.assert_array_equal(done.pixels, expected)
    assert done.batch is batch
    assert list(done.seconds) == ["denoise", "enhance", "texture"]


def test_features_are_those_of_each_region_of_the_grid():
    recipe = parse(RECIPE)
    done = Stages(recipe).run(a_batch())
    values, names = kernels.glcm(np.ascontiguousarray(done.pixels[:, 12:, 13:]), levels=8)
    columns = [done.features.names.index(f"{name}.r1c2") for name in names]
    np.testing.assert_array_equal(done.features.values[:, columns], values)
    whole, plain = kernels.glcm(done.pixels, levels=8, distance=2)
    columns = [done.features.names.index(name) for name in plain]
    np.testing.assert_array_equal(done.features.values[:, columns], whole)
    assert len(done.features.names) == 7 * len(names)


def test_padding_rows_reach_no_feature():
    stages = Stages(parse(RECIPE))
    full, short = stages.run(a_batch(4)), stages.run(a_batch(3))
    assert short.features.ids == ("image 0.0", "image 0.1", "image 0.2")
    np.testing.assert_array_equal(short.features.values, full.features.values[:3])
    assert short.pixels.shape == (4, 24, 20)


def test_masks_limit_what_is_measured():
    masks = np.zeros((4, 24, 20), np.uint8)
    masks[:, 4:9, 5:15] = 1
    recipe = parse('[ingest]\nsize = [24, 20]\n[[texture]]\nkernel = "glcm"\nlevels = 8\n')
    batch = a_batch(3, masks=masks)
    measured = Stages(recipe).run(batch).features.values
    inside = np.ascontiguousarray(batch.pixels[:3, 4:9, 5:15])
    np.testing.assert_array_equal(measured, kernels.glcm(inside, levels=8)[0])


def test_a_recipe_without_texture_gives_rows_without_columns():
    done = Stages(parse("[ingest]\nsize = [24, 20]")).run(a_batch(2))
    assert done.features.values.shape == (2, 0)
    np.testing.assert_array_equal(done.pixels, done.batch.pixels)


@pytest.mark.parametrize("name", shipped())
def test_columns_are_known_before_the_first_image(name):
    recipe = load_recipe(name)
    columns = feature_metadata(recipe)
    warm = Stages(recipe).warm()
    assert tuple(columns) == warm.features.names
    contrast = next(about for column, about in columns.items() if ".contrast." in column)
    assert contrast["family"] == "glcm"
    assert contrast["tag"] == "ACUI"
    assert json.loads(contrast["parameters"])["levels"] == recipe.texture[0].parameters["levels"]


def test_a_whole_set_is_put_together_in_order():
    stages = Stages(parse(RECIPE))
    seen = []
    batches = [a_batch(4, 0), a_batch(2, 1)]
    measured = stages.measure_all(batches, seen.append)
    assert measured.ids == (
        "image 0.0",
        "image 0.1",
        "image 0.2",
        "image 0.3",
        "image 1.0",
        "image 1.1",
    )
    assert measured.pixels.shape == (6, 24, 20)
    np.testing.assert_array_equal(measured.pixels[4:], stages.run(batches[1]).pixels[:2])
    assert seen == [4, 2]
    assert set(measured.seconds) == {"read", "denoise", "enhance", "texture"}


def test_an_empty_set_has_the_columns_too():
    stages = Stages(parse(RECIPE))
    measured = stages.measure_all([])
    assert measured.pixels.shape == (0, 24, 20)
    assert measured.features.names == tuple(stages.columns)


@pytest.mark.parametrize("grid", [(1, 1), (3, 4), (7, 5)])
def test_regions_cover_every_pixel_once(grid):
    times = np.zeros((1, 23, 19), int)
    suffixes = []
    for suffix, area in regions((23, 19), grid):
        times[area] += 1
        suffixes.append(suffix)
    assert (times == 1).all()
    assert len(set(suffixes)) == grid[0] * grid[1]
    assert (suffixes == [""]) == (grid == (1, 1))


def test_the_gpu_asked_for_by_name_is_there_or_the_reason_is_given(monkeypatch):
    monkeypatch.setattr(_cuda, "available", lambda: "There is no CUDA device.")
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match=r"device gpu: There is no CUDA device\."):
        Stages(parse(""), "gpu")
    with pytest.raises(DeviceError, match="must be auto, cpu or gpu, not 'tpu'"):
        choose_device("tpu")
    monkeypatch.setattr(_cuda, "available", lambda: None)
    assert choose_device("auto") == "gpu"


@pytest.mark.gpu
def test_the_gpu_gives_the_same_features():
    if reason := _cuda.available():
        pytest.skip(reason)
    recipe = parse(RECIPE)
    cpu, gpu = (Stages(recipe, device).run(a_batch(3)) for device in ("cpu", "gpu"))
    np.testing.assert_array_equal(cpu.pixels, gpu.pixels.get())
    np.testing.assert_allclose(cpu.features.values, gpu.features.values, rtol=1e-5)
    assert "upload" in gpu.seconds
