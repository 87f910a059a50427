import keras
import pytest
from typer import Typer
from typer.testing import CliRunner

from trainers import bench_depthwise

app = Typer()
app.command()(bench_depthwise.table)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX computes there")
def test_every_map_is_timed_four_ways(monkeypatch):
    monkeypatch.setattr(bench_depthwise, "MAPS", ((3, 4), (2, 8)))
    printed = CliRunner().invoke(app, ["--batch", "2"], catch_exceptions=False).stdout
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    rows = {row[0]: row[1:] for row in cells if row}
    assert set(rows) == {"3x3x4", "2x2x8"}
    for times in rows.values():
        assert len(times) == 4
        assert all(float(ms) > 0 for ms in times)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX computes here")
def test_another_backend_is_refused():
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "expected KERAS_BACKEND=jax, got tensorflow" in " ".join(result.output.split())
