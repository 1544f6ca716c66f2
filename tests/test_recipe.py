"""Recipes: what ships works, what is wrong is named with its line, what is equal has one hash."""

import dataclasses
import re

import pytest
from hypothesis import given, strategies as st

from medkern import kernels
from medkern.engine.recipe import RecipeError, load_recipe, parse, shipped

GLCM = '[[texture]]\nkernel = "glcm"\nlevels = 16\n'


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_loads_and_survives_the_way_through_a_model_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.texture, "every shipped recipe measures something"
    again = parse(recipe.text)
    assert again == recipe
    assert again.hash == recipe.hash


def test_five_recipes_ship():
    assert shipped() == ("chest-xray", "ct", "microscopy", "mr", "ultrasound")


def test_steps_carry_all_parameters_with_the_depth_of_the_images():
    recipe = parse('[ingest]\nbits = 12\n[[enhance]]\nkernel = "clahe"\nclip = 3\n')
    (step,) = recipe.enhance
    assert step.parameters["bits"] == 12
    assert step.parameters["clip"] == 3.0
    assert set(step.parameters) == set(kernels.catalogue()["clahe"].parameters)


def test_an_empty_recipe_is_a_network_on_plain_images():
    recipe = parse("")
    assert (recipe.denoise, recipe.enhance, recipe.texture) == ((), (), ())
    assert recipe.training.models == ("cnn",)


WRONG = [
    ('nam = "x"', 1, "nam is unknown (did you mean 'name'?); known are name, modality, ingest"),
    ("\n[ingest]\nsize = [3, 28]", 3, "[ingest] size must be two whole numbers, 4 to 8192 pixels"),
    ("[ingest]\nsize = [\n 64, # [[denoise]]\n 64]\nbits = 9", 5, "bits must be one of 8, 12, 16"),
    ("[ingest]\nbits = true", 2, "bits must be one of 8, 12, 16"),
    ("[ingest]\nwindow = [40, 0]", 2, "window must be"),
    ("[ingest]\nbatch = 0", 2, "batch must be a whole number, 1 to 4096 images, got 0"),
    ("ingest = 3", 1, "ingest must be a table, written [ingest]"),
    ("[denoise]\nradius = 1", 1, "must be a list of tables, each written [[denoise]]"),
    ("\n[[denoise]]\nradius = 1", 2, "[[denoise]] needs a kernel: gaussian, dog, median"),
    ('[[denoise]]\nkernel = "medain"', 2, "'medain' is unknown (did you mean 'median'?)"),
    ('[[enhance]]\nkernel = "median"', 2, "'median' is unknown; known are clahe"),
    ('[[denoise]]\nkernel = "median"\nradus = 1', 3, "radus is unknown (did you mean 'radius'?)"),
    (
        '[[denoise]]\nkernel = "median"\nradius = 99',
        3,
        "[[denoise]] radius must be 1 to 50, got 99",
    ),
    (
        '[[denoise]]\nkernel = "median"\n[[denoise]]\nkernel = "median"\nradius = 0',
        5,
        "radius must",
    ),
    ('[ingest]\nbits = 12\n[[enhance]]\nkernel = "clahe"\nbits = 8', 5, "bits must be 12, as in"),
    ('[[texture]]\nkernel = "glcm"', 1, "levels must be given"),
    ("[ingest]\nsize = [28, 28]\n" + GLCM + "grid = [20, 1]", 6, "too small for a distance of 1"),
    (GLCM + "grid = [0, 1]", 4, "grid must be two whole numbers, 1 to 64 regions"),
    (GLCM + GLCM, 4, "number 2 gives the columns of number 1"),
    (GLCM + "[train]\nepochs = 0", 5, "[train] epochs is 0; allowed: 1 .. 10000"),
    (GLCM + '[train]\nmodels = ["svm", "svn"]', 5, "allowed: cnn, svm, linear, tree, forest"),
    ("[train]\nfractions = [0.5, 0.5]", 2, "fractions must be three shares"),
    ('[train]\nmodels = ["svm"]', 2, "models can only be"),
    ("[train]\nlearning = 1", 1, "is unknown"),
    ("name = [1,", 1, "is not TOML"),
    ("a = 1\nb = \n", 2, "is not TOML"),
    ('name = "a\\nb"', 1, "name must be a text of one line"),
    ("denoise = [{kernel = 'median', radius = 70}]", 1, "radius must be 1 to 50, got 70"),
    ("ingest.bits = 9", 1, "[ingest] bits must be one of"),
    ("modality = '''\n[ingest]\nbits = 9\n'''", 1, "modality must be a text of one line"),
    ("x = " + "[" * 3000, 1, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "line", "sentence"), WRONG)
def test_what_is_wrong_is_named_in_one_line_with_its_place(text, line, sentence):
    with pytest.raises(RecipeError) as caught:
        parse(text, "mine.toml")
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message
    assert message.startswith("mine.toml, line ")
    if "unknown" not in message or line != 1:
        assert message.startswith(f"mine.toml, line {line}: "), message


@given(st.text(max_size=200))
def test_no_text_leads_to_anything_but_a_recipe_or_its_error(text):
    try:
        parse(text)
    except RecipeError as error:
        assert re.match(r"recipe(, line \d+)?: ", str(error))


@given(
    blank=st.integers(0, 4),
    before=st.sampled_from(["", "# [ingest]\n", 'name = "x # y"\n', "modality = '[[denoise]]'\n"]),
    array=st.sampled_from(["[64, 64]", "[\n64,\n\n64 # ]\n]"]),
)
def test_the_line_is_right_wherever_the_key_stands(blank, before, array):
    text = before + "\n" * blank + f"[ingest]\nsize = {array}\nbits = 7\n"
    line = text[: text.index("bits")].count("\n") + 1
    with pytest.raises(RecipeError, match=rf"line {line}: \[ingest\] bits "):
        parse(text)


def test_the_hash_is_of_the_meaning():
    plain = parse('name = "a"\n[ingest]\nbits = 8\nsize = [64, 64]\n')
    same = parse("# a comment\n[ingest]\nsize = [64,64]\n\nbits = 8\n", "other").hash
    assert parse("[ingest]\nsize = [64, 64]").hash == same
    assert plain.hash != same
    assert dataclasses.replace(plain, text="").hash == plain.hash
    changed = parse('name = "a"\n[ingest]\nbits = 8\nsize = [64, 65]\n')
    assert changed.hash != plain.hash


def test_a_recipe_that_is_nowhere_is_told_with_what_there_is(tmp_path):
    with pytest.raises(RecipeError, match=r"did you mean 'chest-xray'.*chest-xray, ct, microscopy"):
        load_recipe("chest-xry")
    with pytest.raises(RecipeError, match=r"gone\.toml: cannot be read: No such file"):
        load_recipe(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(RecipeError, match="is not UTF-8 text"):
        load_recipe(tmp_path / "latin.toml")
    (tmp_path / "good.toml").write_text('name = "good"\n')
    assert load_recipe(tmp_path / "good.toml").name == "good"


def test_a_recipe_from_a_model_file_cannot_be_endless():
    with pytest.raises(RecipeError, match="longer than"):
        parse("#" * 70_000)
