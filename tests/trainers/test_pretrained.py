"""Where ImageNet weights come from, and what is said when they do not come."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications.convnext import WEIGHTS_HASHES, ConvNeXt

from cells.errors import RecipeError, WeightsError
from trainers import convnext_small
from trainers.convnext import build_convnext
from trainers.pretrained import cached_file, load_pretrained, own_sha256, published, resolve
from trainers.recipe import overridden
from trainers.train import check_recipe

NAME = "convnext-small"
PUBLISHED = b"what Keras publishes"


@pytest.fixture
def change_stock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change fields of what the member says of its stock network."""

    def change(**fields: Any) -> None:
        monkeypatch.setattr(convnext_small, "STOCK", replace(convnext_small.STOCK, **fields))

    return change


@pytest.fixture
def cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change_stock: Callable[..., None]
) -> Path:
    """An empty Keras cache; the published file's hash is that of PUBLISHED. Returns its place."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    change_stock(digest=hashlib.sha256(PUBLISHED).hexdigest())
    path = cached_file(convnext_small.STOCK)
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def no_network(change_stock: Callable[..., None]) -> None:
    def download(**options: Any) -> None:
        raise OSError("no route to host")

    change_stock(constructor=download)


def small(*settings: str) -> keras.Model:
    """The published shape in a tenth of its width."""
    shape = ["network_px=none", "widths=8,16,24,32", "depths=1,1,2,1"]
    return build_convnext(overridden(convnext_small.RECIPE, [*shape, *settings]), 32, 3)


def test_a_file_that_is_given_is_taken(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.h5").write_bytes(b"anything")
    assert resolve(NAME, tmp_path / "mine.h5") == tmp_path / "mine.h5"
    with pytest.raises(WeightsError, match=r"--weights: no such file .*other\.h5"):
        resolve(NAME, tmp_path / "other.h5")


def test_a_file_in_the_cache_is_checked_and_taken(cache: Path, no_network: None) -> None:
    cache.write_bytes(PUBLISHED)
    assert resolve(NAME, None) == cache
    cache.write_bytes(b"half of it")
    with pytest.raises(WeightsError) as error:
        resolve(NAME, None)
    assert str(error.value).startswith(f"{cache}: SHA-256 is ")
    assert str(error.value).endswith("Delete the file and download it again.")


def test_keras_tables_of_md5_are_checked_too(
    cache: Path, no_network: None, change_stock: Callable[..., None], tmp_path: Path
) -> None:
    """Those of EfficientNetV2 are; a file is its own by SHA-256 all the same."""
    change_stock(digest=hashlib.md5(PUBLISHED).hexdigest())
    cache.write_bytes(PUBLISHED)
    assert resolve(NAME, None) == cache
    assert own_sha256(NAME, cache) == ""
    cache.write_bytes(b"half of it")
    with pytest.raises(WeightsError, match=r": MD5 is [0-9a-f]{12}\.\.\., Keras publishes "):
        resolve(NAME, None)
    assert own_sha256(NAME, cache) == hashlib.sha256(b"half of it").hexdigest()


def test_a_member_without_published_weights_says_who_has_them() -> None:
    with pytest.raises(WeightsError) as error:
        resolve("custom-cnn", None)
    assert str(error.value) == (
        "custom-cnn: weights: expected none, since Keras publishes ImageNet weights only for "
        "convnext-small, convnext-base, convnext-large, got imagenet."
    )


def test_without_file_and_network_it_says_what_to_do(cache: Path, no_network: None) -> None:
    with pytest.raises(WeightsError) as error:
        resolve(NAME, None)
    assert str(error.value) == (
        f"{NAME}: ImageNet weights are not on this machine and could not be downloaded "
        f"(no route to host). Put Keras's convnext_small_notop.h5 into {cache.parent}, or pass "
        "--weights FILE, or train from scratch with --set weights=none."
    )


def test_why_a_download_failed_is_said_in_one_line(cache: Path, change_stock: Callable) -> None:
    """Keras raises a bare Exception, whose text may go on for lines."""

    def download(**options: Any) -> None:
        raise Exception("URL fetch failure on https://here/w.h5: 403 -- Forbidden\nand a page")

    change_stock(constructor=download)
    with pytest.raises(WeightsError) as error:
        resolve(NAME, None)
    assert (
        "could not be downloaded (URL fetch failure on https://here/w.h5: 403 -- Forbidden). Put"
    ) in str(error.value)
    assert "\n" not in str(error.value)


def test_with_a_network_keras_downloads_it(cache: Path, change_stock: Callable[..., None]) -> None:
    asked = []

    def download(**options: Any) -> None:
        asked.append(options["weights"])
        cache.write_bytes(PUBLISHED)

    change_stock(constructor=download)
    assert resolve(NAME, None) == cache
    assert asked == ["imagenet"]


def test_only_another_file_than_the_published_one_is_ones_own(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(PUBLISHED)
    assert own_sha256(NAME, path) == ""
    path.write_bytes(b"mine")
    assert own_sha256(NAME, path) == hashlib.sha256(b"mine").hexdigest()


def test_files_and_hashes_are_those_of_keras_own_table() -> None:
    said = {name: (stock.file, stock.digest) for name, stock in published().items()}
    assert list(said) == ["convnext-small", "convnext-base", "convnext-large"]
    for name, (file, digest) in said.items():
        theirs = name.replace("-", "_")
        assert (file, digest) == (f"{theirs}_notop.h5", WEIGHTS_HASHES[theirs][1])


# ---- loading -------------------------------------------------------------------------------------


@pytest.fixture
def stock(change_stock: Callable[..., None]) -> keras.Model:
    """Keras's own builder at that size, in the stock network's place; here with drawn weights."""

    def build(**options: Any) -> keras.Model:
        shape = {"depths": [1, 1, 2, 1], "projection_dims": [8, 16, 24, 32]}
        return ConvNeXt(**{**options, "input_shape": (32, 32, 3)}, **shape, name="convnext_small")

    change_stock(constructor=build)
    made = convnext_small.STOCK.network()
    rng = np.random.default_rng(0)
    for variable in made.weights:
        if "prestem" not in variable.path:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return made


def test_keras_3s_own_format_is_read_too(
    stock: keras.Model, tmp_path: Path, rng: np.random.Generator
) -> None:
    stock.save_weights(tmp_path / "mine.weights.h5")
    network = small()
    copied = load_pretrained(network, NAME, tmp_path / "mine.weights.h5")
    assert copied == 5 * 9 + 4 + 3 * 4 + 2
    images = rng.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    norm = network.get_layer(f"{network.name}_head_layernorm")
    given = keras.Model(network.input, norm.output)(images, training=False)
    np.testing.assert_allclose(given, stock(images, training=False), rtol=1e-4, atol=1e-4)


def test_a_file_of_another_network_is_one_clear_line(stock: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    with pytest.raises(WeightsError) as error:
        load_pretrained(small(), NAME, path)
    text = str(error.value)
    assert text.startswith(f"{path}: does not fit {NAME} without its top (")
    assert text.endswith(
        "Expected Keras's convnext_small_notop.h5 or a .weights.h5 of the same network."
    )
    assert "\n" not in text


@pytest.mark.parametrize("change", ["depths=1,1,3,1", "depths=1,1,1,1", "widths=8,16,24,40"])
def test_no_layer_may_keep_the_weights_it_was_drawn_with(
    change: str, stock: keras.Model, tmp_path: Path
) -> None:
    """Ours deeper, shallower and wider than what Keras builds."""
    stock.save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(WeightsError, match="this Keras builds another network than ours"):
        load_pretrained(small(change), NAME, tmp_path / "mine.weights.h5")


def test_other_widths_or_depths_than_the_published_are_refused_before_anything_is_read() -> None:
    for setting in ("depths=3,3,9,3", "widths=96,192,384,512"):
        changed = overridden(convnext_small.RECIPE, [setting])
        with pytest.raises(
            RecipeError, match=r"convnext-small: pretrained weights: expected widths"
        ):
            check_recipe(changed, 96, 8)
    with pytest.raises(RecipeError) as error:
        check_recipe(
            overridden(convnext_small.RECIPE, ["weights=none", "widths=", "depths="]), 96, 8
        )
    assert str(error.value) == (
        "convnext-small: widths and depths: expected one of each per stage, got no stage."
    )
    tiny = ["weights=none", "widths=8,16", "depths=1,1", "network_px=none"]
    check_recipe(overridden(convnext_small.RECIPE, tiny), 96, 8)
