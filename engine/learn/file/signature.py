"""Who stands for a model file: an Ed25519 signature (RFC 8032) in the file itself.

    signed message   "medkern model\\n" + the SHA-256 over JSON text and all arrays
    in the file      "ed25519 PUBLIC SIGNATURE", both base64
    trust file       a line "ed25519 PUBLIC" for each key, then perhaps a comment; # starts a
                     comment line; the .pub file of `new_key` is one
    private key      PKCS #8 PEM, as `openssl genpkey -algorithm ed25519` writes it too; a file
                     that others may read is refused

The SHA-256 covers all that a model is made of, so nothing can be changed under a signature. A
wrong signature is refused always; one by an unknown key only where trusted keys are asked for.
`cryptography` (the extra `sign`) is imported only where there is a signature or a key.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .container import Content

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KIND = "ed25519"
_LARGEST = 1 << 20  # bytes of a key or trust file


def new_key(path: Path) -> tuple[Path, str]:
    """Make a key pair: PATH holds the private key, for its owner's eyes alone (mode 0600), PATH.pub
    the public one, in one line, which is returned. ModelError where PATH exists already."""
    _need_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    public = path.with_name(f"{path.name}.pub")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ModelError(f"{path}: exists already; a key is never overwritten") from None
    with os.fdopen(handle, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_text(f"{public_line(key)}\n")
    return public, public_line(key)


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file."""
    _need_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    raw = _content(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ModelError(f"{path}: others may read this private key; run chmod 600 on it")
    try:
        key = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ModelError(f"{path}: is not a private Ed25519 key in PEM without a password")
    return key


def public_line(key: Ed25519PrivateKey) -> str:
    """The line of a trust file that trusts this key."""
    return f"{KIND} {base64.b64encode(key.public_key().public_bytes_raw()).decode()}"


def of(content: Content, key: Ed25519PrivateKey) -> str:
    """The signature of a file's content."""
    signed = base64.b64encode(key.sign(_message(content))).decode()
    return f"{public_line(key)} {signed}"


def trusted(path: Path) -> frozenset[bytes]:
    """The public keys of a trust file; ModelError where there is none, or a line is no key."""
    keys = set()
    lines = _content(path).decode(errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        kind, *rest = line.split() or ["#"]
        if kind.startswith("#"):
            continue
        key = _decoded(rest[0], 32) if rest and kind == KIND else None
        if key is None:
            raise ModelError(f"{path}, line {number}: is not 'ed25519 PUBLIC-KEY'")
        keys.add(key)
    if not keys:
        raise ModelError(f"{path}: holds no public key")
    return frozenset(keys)


def verify(content: Content, trusted: frozenset[bytes] | None = None) -> None:
    """ModelError for a wrong signature, and with `trusted` for none or one by another key."""
    if not content.signature:
        if trusted is not None:
            raise ModelError("is not signed, but a signature by a trusted key is required")
        return
    _need_library()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    kind, *rest = content.signature.split(" ")
    public = _decoded(rest[0], 32) if len(rest) == 2 else None
    signed = _decoded(rest[1], 64) if len(rest) == 2 else None
    if kind != KIND or public is None or signed is None:
        raise ModelError("its signature is not one: it must be 'ed25519 PUBLIC-KEY SIGNATURE'")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, _message(content))
    except (InvalidSignature, ValueError):
        raise ModelError("its signature is wrong: it was changed after it was signed") from None
    if trusted is not None and public not in trusted:
        raise ModelError(f"is signed by {KIND} {rest[0]}, which is not among the trusted keys")


def _message(content: Content) -> bytes:
    return f"medkern model\n{content.digest}".encode()


def _decoded(text: str, length: int) -> bytes | None:
    """The bytes of a base64 text if there are `length` of them."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == length else None


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelError(f"{path}: there is no such key file")
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None


def _need_library() -> None:
    try:
        import cryptography
    except ImportError:
        raise ModelError("signatures need cryptography: pip install 'medkern[sign]'") from None
    assert cryptography
