from dataclasses import replace

import keras
import pytest
from keras.src.applications.convnext import ConvNeXt
from typer import Typer
from typer.testing import CliRunner

from trainers import bench_training, convnext_small, custom_cnn
from trainers.recipe import overridden

SHAPE = {"depths": [1, 1, 1, 1], "projection_dims": [4, 6, 8, 10]}
SMALL = {
    "convnext-small": ["network_px=none", "drop_path=0", "dropout=0", "widths=4,6,8,10"],
    "custom-cnn": ["dropout=0", "widths=4,4,4,4"],
}


@pytest.fixture
def small(monkeypatch) -> None:
    """Tiny networks in both members' places, and in the stock one's."""

    def small_stock(**options):
        return ConvNeXt(**SHAPE, **options, name="convnext_small")

    def bare(name, batch):
        recipe = {"convnext-small": convnext_small, "custom-cnn": custom_cnn}[name].RECIPE
        return overridden(recipe, [*SMALL[name], "depths=1,1,1,1", f"batch={batch or 4}"])

    stock = replace(convnext_small.STOCK, constructor=small_stock)
    monkeypatch.setattr(convnext_small, "STOCK", stock)
    monkeypatch.setattr(bench_training, "bare", bare)


def test_nothing_but_the_body_is_another(small):
    stock, ours = bench_training.networks(
        "convnext-small", bench_training.bare("convnext-small", 4)
    )
    kinds = [[type(layer) for layer in network.layers][-1] for network in (stock, ours)]
    assert kinds == [keras.layers.Dense] * 2
    assert stock.count_params() == ours.count_params()


def test_stock_and_member_side_by_side(small):
    app = Typer()
    app.command()(bench_training.table)
    command = ["convnext-small", "custom-cnn", "--batch", "2", "--steps", "2", "--repeats", "3"]
    printed = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    rows = {row[0]: row[1:] for row in cells if row and row[0] in SMALL}
    batch, precision, stock, ours, ratio, ready = rows["convnext-small"]
    assert (batch, precision) == ("2", "float32")
    assert float(ratio.removesuffix("x")) == pytest.approx(float(ours) / float(stock), abs=0.05)
    assert len(ready.split(",")) == 2
    batch, _, stock, ours, ratio, ready = rows["custom-cnn"]
    assert (batch, stock, ratio) == ("2", "none", "")
    assert float(ours) > 0
    assert len(ready.split(",")) == 1


def test_without_stochastic_layers_at_its_own_batch_or_another():
    recipe = bench_training.bare("convnext-base", None)
    assert (recipe.batch, recipe.network_px, recipe.drop_path, recipe.dropout) == (128, None, 0, 0)
    assert bench_training.bare("convnext-base", 64).batch == 64
