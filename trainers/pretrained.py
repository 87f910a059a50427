"""ImageNet weights: from a local file into the stock network, from there into ours.

`imagenet` is resolved to a file (given, or in Keras's cache, or downloaded where there is a
network), checked against Keras's own hash, loaded into `keras.applications`' network and copied.
"""

import hashlib
import os
from pathlib import Path

import keras

from cells.errors import WeightsError
from cells.files import sha256
from trainers.catalog import MEMBERS, member
from trainers.networks import HEAD_PREFIX
from trainers.stock import Stock


def published() -> dict[str, Stock]:
    """The members that Keras publishes ImageNet weights for, each with its stock network."""
    return {name: module.STOCK for name, module in MEMBERS.items() if module.STOCK}


def stock_of(name: str) -> Stock:
    """A member's stock network. Raises WeightsError when nothing is published for it."""
    stock: Stock | None = member(name).STOCK
    if stock is None:
        raise WeightsError(
            f"{name}: weights: expected none, since Keras publishes ImageNet weights only for "
            f"{', '.join(published())}, got imagenet."
        )
    return stock


def cached_file(stock: Stock) -> Path:
    """Where Keras keeps the file once it has been downloaded; its rule, which it does not tell."""
    home = os.path.expanduser("~")
    own = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.environ.get("KERAS_HOME", own)) / "models" / stock.file


def resolve(name: str, given: Path | None) -> Path:
    """The local file of ImageNet weights of a member.

    given: the user's --weights. Raises WeightsError when nothing is published for `name`, and when
    there is neither file nor network.
    """
    stock = stock_of(name)
    if given is not None:
        if not given.is_file():
            raise WeightsError(f"--weights: no such file {given}.")
        return given
    path = cached_file(stock)
    if path.is_file():
        _check_hash(path, stock)
        return path
    try:
        stock.network("imagenet")  # downloads into the cache and checks the hash itself
    except Exception as error:
        raise WeightsError(
            f"{name}: ImageNet weights are not on this machine and could not be downloaded "
            f"({_first_line(error)}). Put Keras's {stock.file} into {path.parent}, or pass "
            "--weights FILE, or train from scratch with --set weights=none."
        ) from None
    if not path.is_file():
        raise WeightsError(
            f"{name}: Keras downloaded its ImageNet weights, but not to {path}. "
            f"Pass --weights FILE, its {stock.file}."
        )
    return path


def load_pretrained(network: keras.Model, name: str, path: Path) -> int:
    """Load a file (legacy .h5 or .weights.h5) into `network` by way of the stock network.

    Returns the number of arrays copied. Raises WeightsError when the file does not fit, or when
    the stock network does not fit `network`.
    """
    stock = stock_of(name)
    theirs = stock.network()
    try:
        theirs.load_weights(path)
    except Exception as error:
        raise WeightsError(
            f"{path}: does not fit {name} without its top ({_first_line(error)}). Expected Keras's "
            f"{stock.file} or a .weights.h5 of the same network."
        ) from None
    backbone = [
        layer
        for layer in network.layers
        if not layer.name.startswith(HEAD_PREFIX)
        and not isinstance(layer, keras.layers.Normalization)
    ]
    try:
        copied = stock.copy(theirs, network)
    except (KeyError, ValueError):
        copied = 0
    if copied != sum(len(layer.weights) for layer in backbone):
        raise WeightsError(
            f"{name}: this Keras builds another network than ours, so that its weights cannot be "
            "copied. Install the Keras of the lock, or train from scratch with --set weights=none."
        )
    return copied


def own_sha256(name: str, path: Path) -> str:
    """SHA-256 of a file of weights, or "" when it is the very file that Keras publishes."""
    stock = stock_of(name)
    return "" if _digest(path, stock) == stock.digest else sha256(path)


def _digest(path: Path, stock: Stock) -> str:
    """A file's hash, of the kind that Keras publishes for this network."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _kind(stock)).hexdigest()


def _kind(stock: Stock) -> str:
    return "md5" if len(stock.digest) == 32 else "sha256"


def _check_hash(path: Path, stock: Stock) -> None:
    found = _digest(path, stock)
    if found != stock.digest:
        kind = {"md5": "MD5", "sha256": "SHA-256"}[_kind(stock)]
        raise WeightsError(
            f"{path}: {kind} is {found[:12]}..., Keras publishes {stock.digest[:12]}.... "
            "Delete the file and download it again."
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
