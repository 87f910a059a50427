import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from cells.errors import EnsembleError
from ensemble.make import make_ensemble
from ensemble.members import VIEW_NAMES


def complementary(root, half: int):
    """Sure of one half of the images, undecided between all classes on the other."""

    def probs(labels):
        p = np.where(np.arange(len(labels)) % 2 == half, 0.9, 0.32)
        return root.sure(labels, p)

    return probs


def make(root, **options):
    return make_ensemble(root.path, remake=lambda *_: None, report=lambda line: None, **options)


def test_complementary_members_are_shipped_together(root):
    root.run("even-cpu", probs=complementary(root, 0), test_probs=lambda y: root.sure(y, 0.2))
    root.run("odd-cpu", probs=complementary(root, 1), test_probs=lambda y: root.sure(y, 0.9))
    result = make(root)
    # alone .5, together 1; two passes, since eight views say the same
    assert result["members"] == ["even-cpu", "odd-cpu"]
    assert result["weights"] == {"even-cpu": 0.5, "odd-cpu": 0.5}
    assert result["views"] == ["identity"]
    assert (result["clean_accuracy"], result["shifted_accuracy"]) == (1.0, 1.0)
    assert result["passes"] == 2
    assert [row["what"] for row in result["candidates"]] == [
        *["even-cpu, no views", "odd-cpu, no views", "even-cpu, 8 views", "odd-cpu, 8 views"],
        *["uniform, no views", "uniform, 8 views", "greedy, no views", "greedy, 8 views"],
        *["simplex, no views", "simplex, 8 views"],
    ]
    alone, uniform = result["candidates"][0], result["candidates"][4]
    assert (alone["shifted_accuracy"], alone["difference"]) == (0.5, -0.5)
    assert (alone["test_shifted_accuracy"], uniform["test_shifted_accuracy"]) == (0.0, 1.0)
    assert alone["shifted_log_loss"] == pytest.approx(-(np.log(0.9) + np.log(0.32)) / 2, abs=1e-6)
    assert uniform["shipped"]


def test_a_member_that_may_have_seen_its_rows_makes_the_score_not_honest(root):
    root.run("cnn-cpu", probs=lambda y: root.sure(y, 0.6))
    assert make(root)["not_honest"] == []
    folder = root.run("brought-adopted", probs=lambda y: root.sure(y, 0.9))
    about = json.loads((folder / "recipe.json").read_text())
    about |= {"held_out": "seen", "held_out_said": "learnt from 9 of the 72 rows"}
    (folder / "recipe.json").write_text(json.dumps(about))
    lines: list[str] = []
    result = make_ensemble(root.path, remake=lambda *_: None, report=lines.append)
    line = (
        "brought-adopted: learnt from 9 of the 72 rows. Every score with it is not honest: it may "
        "be too high, and so may its weight"
    )
    assert result["not_honest"] == [line]
    assert f"warning: {line}" in lines
    assert line in Path(result["report"]).read_text()
    assert [each["not_honest"] for each in result["considered"]] == [
        *("learnt from 9 of the 72 rows", "")
    ]


def test_views_are_shipped_when_they_help(root):
    def only_turned(labels):
        probs = root.sure(labels, 0.9)
        probs[:, 0] = root.sure(labels, 0.1)[:, 0]
        return probs

    root.run("cnn-cpu", probs=only_turned)
    result = make(root)
    assert result["views"] == list(VIEW_NAMES)
    assert result["shifted_accuracy"] == 1.0
    assert make(root, views="none")["shifted_accuracy"] == 0.0


def test_everything_is_written(root):
    root.run("even-cpu", probs=complementary(root, 0))
    root.run("odd-cpu", probs=complementary(root, 1))
    result = make(root, weights="simplex", out=root.path / "elsewhere")
    stored = json.loads((root.path / "runs" / "ensemble" / "ensemble.json").read_text())
    assert stored == result
    assert sum(stored["weights"].values()) == pytest.approx(1)
    assert stored["per_family"]["families"] == ["blur", "noise"]
    assert np.shape(stored["per_family"]["accuracy"]) == (3, 2)
    assert stored["reason"].startswith("simplex, no views")
    page = (root.path / "runs" / "ensemble" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    for text in ("even-cpu", "simplex, 8 views", "mean ± sd", "lobed", "bcsub pack"):
        assert text in page
    assert "http" not in page
    with h5py.File(root.path / "elsewhere" / "weights.h5") as file:
        assert file.attrs["fingerprint"] == result["fingerprint"]
        assert sum(m.attrs["weight"] for m in file["members"].values()) == pytest.approx(1)
    assert not (root.path / "submission").exists()


def test_the_same_seed_gives_the_same_numbers(root):
    rng = np.random.default_rng(0)
    for run in ("a-cpu", "b-cpu", "c-cpu"):
        root.run(run, probs=lambda y: rng.dirichlet([1, 1, 1], (len(y), 8)).astype(np.float32))
    first, again, other = make(root), make(root), make(root, seed=1)
    assert first["candidates"] == again["candidates"]
    assert first["candidates"] != other["candidates"]


def test_the_headline_is_of_rows_that_neither_weights_nor_choice_saw(root):
    """Members that know nothing: the best of them is above chance on what chose it, and only there.

    Clean predictions are right throughout, so the two scores cannot be taken for each other.
    """
    rng = np.random.default_rng(3)
    for number in range(8):
        folder = root.run(
            f"m{number}-cpu", probs=lambda y: rng.dirichlet([1, 1, 1], (len(y), 8)).astype("f4")
        )
        with h5py.File(folder / "predictions.h5", "a") as file:
            file["clean"][:] = root.sure(root.dataset.labels[file["rows"][:]], 0.9)
    result = make(root)
    assert result["clean_accuracy"] == 1.0
    (shipped,) = (row for row in result["candidates"] if row["shipped"])
    assert shipped["clean_accuracy"] == 1.0
    assert shipped["shifted_accuracy"] > result["shifted_accuracy"] + 0.02


def test_a_damaged_done_is_one_line_and_the_bundle_stays(root):
    folder = root.run("a-cpu")
    bundle = Path(make(root)["bundle"])
    before = bundle.read_bytes()
    root.run("b-cpu", probs=lambda y: root.sure(y, 0.9))
    (folder / "DONE").write_text("{")
    with pytest.raises(EnsembleError, match=r"DONE: missing or damaged"):
        make(root)
    assert bundle.read_bytes() == before
