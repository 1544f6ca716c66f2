"""index: folders, classes, manifests, archives."""

import os
import sys

import numpy as np
import pytest
import tifffile

from medkern.engine.ingest import Item, SourceError, index

IMAGE = np.zeros((4, 4), np.uint8)


def picture(path, pages=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.stack([IMAGE] * pages), photometric="minisblack")
    return path


def test_a_folder_in_order_of_names_with_every_file(tmp_path):
    for name in ("b/2.tif", "b/10.tif", "a.tif", "c/d/e.tif"):
        picture(tmp_path / name)
    (tmp_path / "README").write_text("hello")
    (tmp_path / ".DS_Store").write_text("not data")
    (tmp_path / ".git").mkdir()
    picture(tmp_path / ".git" / "x.tif")
    items = index(tmp_path)
    assert [item.id for item in items] == ["README", "a.tif", "b/10.tif", "b/2.tif", "c/d/e.tif"]
    assert all((item.label, item.group, item.split) == (None, None, None) for item in items)


def test_labels_are_the_first_folders(tmp_path):
    for name in ("cat/1.tif", "dog/more/2.tif", "loose.tif"):
        picture(tmp_path / name)
    labels = {item.id: item.label for item in index(tmp_path, labels="folder")}
    assert labels == {"cat/1.tif": "cat", "dog/more/2.tif": "dog", "loose.tif": None}


def test_each_frame_is_an_item(tmp_path):
    path = picture(tmp_path / "stack.tif", pages=3)
    assert index(tmp_path) == [Item(f"stack.tif#{k}", path, k) for k in range(3)]
    assert [item.id for item in index(path)] == ["stack.tif#0", "stack.tif#1", "stack.tif#2"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_utf8_become_text(tmp_path):
    with open(os.fsencode(tmp_path) + b"/a\xff.tif", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    (item,) = index(tmp_path)
    assert item.id == "a\\xff.tif"
    assert item.path.exists()


def test_an_archive_brings_labels_and_splits(tmp_path):
    images = np.zeros((2, 4, 4), np.uint8)
    np.savez(
        tmp_path / "set.npz",
        train_images=images,
        train_labels=np.array([[1], [0]], np.uint8),
        val_images=images,
        val_labels=np.array([1, 1]),
        test_images=images[:1],
    )
    items = index(tmp_path / "set.npz")
    assert [item.id for item in items] == [f"set.npz#{k}" for k in range(5)]
    assert [item.label for item in items] == ["1", "0", "1", "1", None]
    assert [item.split for item in items] == ["train", "train", "val", "val", "test"]


def test_the_real_archive(data):
    items = index(data("pneumoniamnist") / "pneumoniamnist.npz")
    assert len(items) == 4708 + 524 + 624
    test = [item for item in items if item.split == "test"]
    assert sum(item.label == "1" for item in test) == 390


def manifest(folder, text, name="list.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest(tmp_path):
    picture(tmp_path / "scans" / "one.tif")
    picture(tmp_path / "two.tif", pages=2)
    path = manifest(
        tmp_path,
        "\ufeffPath, label,split,group\n"
        'scans/one.tif,"well, perhaps",train,p1\n'
        "\n"
        "two.tif,,,\n"
        "absent.tif,x,test,p2\n",
    )
    assert index(path) == [
        Item("scans/one.tif", tmp_path / "scans/one.tif", 0, "well, perhaps", "p1", "train"),
        Item("two.tif#0", tmp_path / "two.tif", 0),
        Item("two.tif#1", tmp_path / "two.tif", 1),
        Item("absent.tif", tmp_path / "absent.tif", 0, "x", "p2", "test"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: columns are missing"),
        ("label\nx\n", "line 1: columns are label; path is needed"),
        ("path,lable\na,b\n", "line 1: .*allowed are path, label, group, split"),
        ("path,path\na,b\n", "line 1: .*each once"),
        ("path,label\na.tif,x\nb.tif\n", "line 3: 1 values for 2 columns"),
        ("path,label\na.tif,x\n ,y\n", "line 3: path is empty"),
        ("path,split\na.tif,train\nb.tif,trian\n", "line 3: split is 'trian'; allowed: train"),
        ("path\na.tif\nb.tif\na.tif\n", "line 4: the path stands in line 2"),
        ('path\n"a.tif" b\n', "line 2: not valid CSV"),
        ("path\n", "holds no files"),
    ],
)
def test_bad_manifest_rows_are_named_by_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        index(manifest(tmp_path, text))


def test_a_manifest_that_is_no_text(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        index(path)


def test_bad_sources(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        index(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no files"):
        index(tmp_path)
    path = picture(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="allowed: None, 'folder'"):
        index(tmp_path, labels="patient")
    with pytest.raises(ValueError, match="needs a folder"):
        index(path, labels="folder")
