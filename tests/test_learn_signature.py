"""A signed model file is whose it says it is, or it is refused."""

import base64
import json
import sys
from pathlib import Path

import making_models
import numpy as np
import pytest

from medkern.engine.learn import ModelError, identity, load, save
from medkern.engine.learn.file import container, sign, signature

pytest.importorskip("cryptography")


@pytest.fixture
def signed(tmp_path):
    """A signed model file, its key's trust file and the private key."""
    path, key = tmp_path / "m.medkern", tmp_path / "key"
    save(making_models.model(("logistic",)), path)
    public, _ = signature.new_key(key)
    sign(path, key)
    return path, public, key


def change(path, edit):
    """The file with its content edited and its SHA-256 right again, as a forger would."""
    content = container.read(path)
    path.write_bytes(container.pack(edit(content)))


def test_a_signature_changes_nothing_but_who_stands_for_the_model(tmp_path, signed):
    path, public, _ = signed
    model = making_models.model(("logistic",))
    features = making_models.rows()
    for again in (load(path), load(path, keys=public)):
        assert identity(again) == identity(model)
        np.testing.assert_array_equal(
            again.predict(None, features)["logistic"], model.predict(None, features)["logistic"]
        )


def test_an_unsigned_file_loads_unless_a_signature_is_required(tmp_path, signed):
    _, public, _ = signed
    path = tmp_path / "unsigned.medkern"
    save(making_models.model(("logistic",)), path)
    assert load(path).names == ("logistic",)
    with pytest.raises(ModelError, match="is not signed, but a signature by a trusted key is req"):
        load(path, keys=public)


def test_a_stranger_s_signature_is_known_as_such(tmp_path, signed):
    path, public, _ = signed
    stranger, _ = signature.new_key(tmp_path / "stranger")
    with pytest.raises(
        ModelError, match=r"is signed by ed25519 .*, which is not among the trusted"
    ):
        load(path, keys=stranger)
    stranger.write_text(f"# both of us\n\n{stranger.read_text()}{public.read_text().strip()} we\n")
    assert load(path, keys=stranger).names == ("logistic",)


def bias(content):
    arrays = {name: array.copy() for name, array in content.arrays.items()}
    arrays["logistic/bias"][0] += 1e-9
    return container.Content(content.text, arrays, content.signature)


def recipe(content):
    text = content.text.replace("'none'", "'other'")
    return container.Content(text, content.arrays, content.signature)


def foreign(content):
    """The forger's own public key before the owner's signature."""
    kind, _, signed = content.signature.split()
    public = base64.b64encode(bytes(range(32))).decode()
    return container.Content(content.text, content.arrays, f"{kind} {public} {signed}")


@pytest.mark.parametrize("edit", [bias, recipe, foreign])
def test_nothing_can_be_changed_under_a_signature(signed, edit):
    path, public, _ = signed
    change(path, edit)
    for keys in (None, public):
        with pytest.raises(ModelError, match="its signature is wrong"):
            load(path, keys=keys)


@pytest.mark.parametrize(
    "text", ["rsa A B", "ed25519", "ed25519 AAAA BBBB", "ed25519 é ü", "x" * 99]
)
def test_what_is_no_signature_is_refused(signed, text):
    path, _, _ = signed
    change(path, lambda content: container.Content(content.text, content.arrays, text))
    with pytest.raises(ModelError, match="its signature is not one"):
        load(path)


def test_a_file_of_version_1_can_be_signed(tmp_path, signed):
    _, public, key = signed
    path = tmp_path / "old.medkern"
    path.write_bytes((Path(__file__).parent / "models" / "version1.safetensors").read_bytes())
    before = identity(load(path))
    sign(path, key)
    assert identity(load(path, keys=public)) == before


def test_a_new_signature_replaces_the_old_one(tmp_path, signed):
    path, public, _ = signed
    second, line = signature.new_key(tmp_path / "second")
    assert sign(path, tmp_path / "second") == line
    assert load(path, keys=second).names == ("logistic",)
    with pytest.raises(ModelError, match="not among the trusted keys"):
        load(path, keys=public)


def test_a_private_key_is_its_owner_s_alone(tmp_path, signed):
    path, public, key = signed
    assert key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in public.read_text()
    before = key.read_bytes()
    with pytest.raises(ModelError, match="exists already; a key is never overwritten"):
        signature.new_key(key)
    assert key.read_bytes() == before
    key.chmod(0o640)
    with pytest.raises(ModelError, match="others may read this private key; run chmod 600"):
        sign(path, key)


def test_files_that_are_no_keys_are_refused(tmp_path, signed):
    path, _, key = signed
    other = tmp_path / "other"
    with pytest.raises(ModelError, match="there is no such key file"):
        sign(path, other)
    other.write_text("not a key")
    other.chmod(0o600)
    with pytest.raises(ModelError, match="is not a private Ed25519 key in PEM"):
        sign(path, other)
    with pytest.raises(ModelError, match="line 1: is not 'ed25519 PUBLIC-KEY'"):
        load(path, keys=other)
    other.write_text("# nobody\n")
    with pytest.raises(ModelError, match="holds no public key"):
        load(path, keys=other)
    with pytest.raises(ModelError, match="line 1: is not"):
        load(path, keys=key)


def test_a_damaged_file_is_not_signed(signed):
    path, _, key = signed
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=r"m\.medkern: its content does not match its SHA-256"):
        sign(path, key)
    assert path.read_bytes() == raw


def test_without_the_library_signed_files_are_refused_and_others_load(
    tmp_path, signed, monkeypatch
):
    path, public, _ = signed
    plain = tmp_path / "plain.medkern"
    save(making_models.model(("logistic",)), plain)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert load(plain).names == ("logistic",)
    for keys in (None, public):
        with pytest.raises(ModelError, match=r"pip install 'medkern\[sign\]'"):
            load(path, keys=keys)


def test_the_command_makes_a_key_and_signs(medkern, tmp_path):
    path, key = tmp_path / "m.medkern", tmp_path / "key"
    save(making_models.model(("logistic",)), path)
    ended = medkern("sign", path, "--key", key)
    assert (ended.code, "no such key file" in ended.err) == (2, True)
    ended = medkern("sign", path, "--key", key, "--new", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["model"] == identity(load(path, keys=f"{key}.pub"))
    assert told["public"] in (tmp_path / "key.pub").read_text()
    assert "PRIVATE" not in ended.out + ended.err


@pytest.mark.parametrize("verb", ["evaluate", "export", "screen"])
def test_commands_refuse_an_unsigned_model_where_a_signature_is_required(medkern, tmp_path, verb):
    path = tmp_path / "m.medkern"
    save(making_models.model(("logistic",)), path)
    public, _ = signature.new_key(tmp_path / "key")
    arguments = {
        "evaluate": [tmp_path, "--model", path],
        "export": [path, "--onnx", tmp_path / "m.onnx"],
        "screen": [tmp_path, "--model", path, "--out", tmp_path / "run"],
    }[verb]
    ended = medkern(verb, *arguments, "--require-signature", public)
    assert ended.code == 2
    assert "m.medkern: is not signed, but a signature by a trusted key is required" in ended.err
