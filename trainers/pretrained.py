"""ImageNet weights: from a local file into the stock network, from there into ours.

`imagenet` is resolved to a file (given, or in Keras's cache, or downloaded where there is a
network), checked against Keras's own hash, loaded into `keras.applications`' network and copied.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import keras

from cells.errors import WeightsError
from trainers.convnext import copy_stock_weights

STOCK: dict[str, Callable[..., keras.Model]] = {
    "convnext-small": keras.applications.ConvNeXtSmall,
    "convnext-base": keras.applications.ConvNeXtBase,
    "convnext-large": keras.applications.ConvNeXtLarge,
}


def stock_network(name: str) -> keras.Model:
    """`keras.applications`' network of a member, without its top, pooled, with random weights."""
    # Keras names a network convnext_small, and its published file after that.
    return STOCK[name](include_top=False, weights=None, pooling="avg", input_shape=(96, 96, 3))


def file_name(name: str) -> str:
    """What Keras calls the published file of a member."""
    return f"{name.replace('-', '_')}_notop.h5"


def cached_file(name: str) -> Path:
    """Where Keras keeps that file once it has been downloaded."""
    home = os.environ.get("KERAS_HOME", os.path.join(os.path.expanduser("~"), ".keras"))
    return Path(home) / "models" / file_name(name)


def resolve(name: str, given: Path | None) -> Path:
    """The local file of ImageNet weights of a member.

    given: the user's --weights. Raises WeightsError when there is neither file nor network.
    """
    if given is not None:
        if not given.is_file():
            raise WeightsError(f"--weights: no such file {given}.")
        return given
    path = cached_file(name)
    if path.is_file():
        _check_hash(path, name)
        return path
    try:
        # The stock constructor downloads into the cache and checks the hash itself.
        STOCK[name](include_top=False, weights="imagenet", pooling="avg", input_shape=(96, 96, 3))
    except Exception as error:
        raise WeightsError(
            f"{name}: ImageNet weights are not on this machine and could not be downloaded "
            f"({type(error).__name__}). Put Keras's {file_name(name)} into {path.parent}, or pass "
            "--weights FILE, or train from scratch with --set weights=none."
        ) from None
    return path


def load_pretrained(network: keras.Model, name: str, path: Path) -> int:
    """Load a file (legacy .h5 or .weights.h5) into `network` by way of the stock network.

    Returns the number of arrays copied. Raises WeightsError when the file does not fit.
    """
    stock = stock_network(name)
    try:
        stock.load_weights(path)
    except Exception as error:
        raise WeightsError(
            f"{path}: does not fit {name} without its top ({_first_line(error)}). Expected Keras's "
            f"{file_name(name)} or a .weights.h5 of the same network."
        ) from None
    return copy_stock_weights(stock, network)


def _check_hash(path: Path, name: str) -> None:
    """Compare with the hash that Keras itself checks after a download."""
    from keras.src.applications.convnext import WEIGHTS_HASHES

    expected = WEIGHTS_HASHES[name.replace("-", "_")][1]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise WeightsError(
            f"{path}: SHA-256 is {found[:12]}..., Keras publishes {expected[:12]}.... "
            "Delete the file and download it again."
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
