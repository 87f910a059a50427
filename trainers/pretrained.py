"""ImageNet weights: from a local file into the stock network, from there into ours.

`imagenet` is resolved to a file (given, or in Keras's cache, or downloaded where there is a
network), checked against Keras's own hash, loaded into `keras.applications`' network and copied.
"""

import os
from collections.abc import Callable
from pathlib import Path

import keras

from cells.errors import WeightsError
from cells.files import sha256
from trainers.convnext import copy_stock_weights
from trainers.networks import HEAD_PREFIX

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
    """Where Keras keeps that file once it has been downloaded; its rule, which it does not tell."""
    home = os.path.expanduser("~")
    own = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.environ.get("KERAS_HOME", own)) / "models" / file_name(name)


def resolve(name: str, given: Path | None) -> Path:
    """The local file of ImageNet weights of a member.

    given: the user's --weights. Raises WeightsError when nothing is published for `name`, and when
    there is neither file nor network.
    """
    if name not in STOCK:
        raise WeightsError(
            f"{name}: weights: expected none, since Keras publishes ImageNet weights only for "
            f"{', '.join(STOCK)}, got imagenet."
        )
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
    if not path.is_file():
        raise WeightsError(
            f"{name}: Keras downloaded its ImageNet weights, but not to {path}. "
            f"Pass --weights FILE, its {file_name(name)}."
        )
    return path


def load_pretrained(network: keras.Model, name: str, path: Path) -> int:
    """Load a file (legacy .h5 or .weights.h5) into `network` by way of the stock network.

    Returns the number of arrays copied. Raises WeightsError when the file does not fit, or when
    the stock network does not fit `network`.
    """
    stock = stock_network(name)
    try:
        stock.load_weights(path)
    except Exception as error:
        raise WeightsError(
            f"{path}: does not fit {name} without its top ({_first_line(error)}). Expected Keras's "
            f"{file_name(name)} or a .weights.h5 of the same network."
        ) from None
    backbone = [
        layer
        for layer in network.layers
        if not layer.name.startswith(HEAD_PREFIX)
        and not isinstance(layer, keras.layers.Normalization)
    ]
    try:
        copied = copy_stock_weights(stock, network)
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
    found = sha256(path)
    return "" if found == _published_sha256(name) else found


def _published_sha256(name: str) -> str:
    """What Keras itself checks after a download."""
    from keras.src.applications.convnext import WEIGHTS_HASHES

    return WEIGHTS_HASHES[name.replace("-", "_")][1]


def _check_hash(path: Path, name: str) -> None:
    expected, found = _published_sha256(name), sha256(path)
    if found != expected:
        raise WeightsError(
            f"{path}: SHA-256 is {found[:12]}..., Keras publishes {expected[:12]}.... "
            "Delete the file and download it again."
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
