"""The layer that masks, and the sheet that shows it."""

import keras
import numpy as np

from cells.drawn_cells import draw_cells
from trainers import masks
from trainers.cell_mask import cell_mask
from trainers.layers import CellMask
from trainers.recipe import Phase, Recipe
from trainers.runs import Run
from trainers.train import _draw_masks, training_data


def test_the_layer_is_the_runtimes_operation(rng):
    images = draw_cells(np.arange(5), 48, rng).astype(np.float32)
    network = keras.Sequential([keras.Input((48, 48, 3)), CellMask()])
    assert network.weights == []
    for batch in (5, 1, 3):
        masked = network.predict(images[:batch], batch_size=2, verbose=0)
        np.testing.assert_allclose(masked, cell_mask(images[:batch]), atol=0.02)


def test_the_layer_computes_in_float32_under_mixed_precision(rng):
    image = draw_cells(np.arange(1), 48, rng).astype(np.float32)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = CellMask()
    finally:
        keras.config.set_dtype_policy("float32")
    masked = np.asarray(layer(image))
    assert masked.dtype == np.float32
    np.testing.assert_allclose(masked, cell_mask(image), atol=0.02)


def test_the_layer_is_rebuilt_from_what_it_says_of_itself():
    layer = CellMask(name="alone")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, CellMask)
    assert again.name == "alone"


def test_the_sheet_shows_images_beside_what_is_left_of_them(rng, tmp_path, monkeypatch):
    labels = np.array([1, 0, 1, 1, 1])  # of class 0 one, of class 2 none
    clean = draw_cells(labels, 48, rng)
    shifted = 255 - clean
    drawn = {}
    monkeypatch.setattr(
        masks, "contact_sheet", lambda path, images, **how: drawn.update(how, images=images)
    )
    masks.draw_masks(tmp_path / "masks.png", clean, shifted, labels, ("a", "b", "c"), "heading")
    assert drawn["row_names"] == ("a", "b", "c")
    assert drawn["column_names"] == ["clean", "masked"] * 3 + ["shifted", "masked"] * 3
    rows = drawn["images"].reshape(3, 12, 48, 48, 3)
    np.testing.assert_array_equal(rows[0, 0], clean[1])
    np.testing.assert_array_equal(rows[0, 1], masks.masked(clean[1:2])[0])
    assert (rows[0, 2:6] == 255).all()
    np.testing.assert_array_equal(rows[0, 6], shifted[1])
    np.testing.assert_array_equal(rows[1, [0, 2, 4]], clean[[0, 2, 3]])
    np.testing.assert_array_equal(rows[1, [7, 9, 11]], masks.masked(shifted[[0, 2, 3]]))
    assert (rows[2] == 255).all()
    assert (rows[1, 1] != clean[0]).any()


def test_a_run_draws_the_sheet_of_its_inner_images(dataset, tmp_path, monkeypatch):
    recipe = Recipe(name="custom-cnn", mask=True, whole=Phase(epochs=1, peak_lr=1))
    run = Run(tmp_path, "custom-cnn", "demo", recipe, 7, "", 1, dataset.fingerprint)
    data, drawn = training_data(dataset, 1, recipe, 7), []
    monkeypatch.setattr("trainers.train.draw_masks", lambda *given: drawn.extend(given))
    _draw_masks(run, data, dataset)
    path, *arrays, classes, _ = drawn
    assert path == run.folder / "masks.png"
    expected = (data.inner_clean, data.inner_shifted, data.inner_labels)
    assert all(found is given for found, given in zip(arrays, expected, strict=True))
    assert classes == dataset.classes
