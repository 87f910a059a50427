import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import submission.model
from cells.competition import Platform
from cells.errors import EnsembleError
from cells.files import new_h5
from ensemble.bundle import shares, write_bundle
from ensemble.members import VIEW_NAMES
from ensemble.runs import find_members


@pytest.fixture
def members(root):
    """atto-cpu with one fold, cnn-cpu with two; every network has other numbers."""
    root.run("cnn-cpu", 0, seed=1)
    root.run("cnn-cpu", 1, seed=2)
    root.run("atto-cpu", 0, seed=3)
    return find_members(
        root.path / "runs", root.dataset, remake=lambda *_: None, report=lambda line: None
    )


def bundle(root, members, weights, views=("identity",)):
    out = root.path / "submission"
    return write_bundle(out, members, np.array(weights), views, root.dataset)


def test_a_members_weight_is_shared_by_its_folds(members):
    found = [(model.fingerprint, weight) for model, weight in shares(members, np.array([0.4, 0.6]))]
    assert found == [("atto-cpu/0", 0.4), ("cnn-cpu/0", 0.3), ("cnn-cpu/1", 0.3)]
    assert len(shares(members, np.array([1.0, 0.0]))) == 1


def test_contents(root, members):
    made = bundle(root, members, [0.4, 0.6], ("identity", "flip"))
    assert made.weights == root.path / "submission" / "weights.h5"
    with h5py.File(made.weights) as file:
        assert file.attrs["kind"] == "bundle"
        assert file.attrs["format"] == submission.model.FORMAT
        assert json.loads(file.attrs["classes"]) == ["round", "lobed", "flat"]
        assert json.loads(file.attrs["views"]) == ["identity", "flip"]
        assert file.attrs["image_px"] == 16
        assert file.attrs["fingerprint"] == made.fingerprint
        assert file.attrs["data_fingerprint"] == "data-one"
        assert sorted(file["members"]) == ["00", "01", "02"]
        first = file["members/00"]
        assert (first.attrs["name"], first.attrs["weight"]) == ("atto-cpu", 0.4)
        with h5py.File(members[0].models[0].folder / "member.h5") as member:
            assert first["program"][()] == member["program"][()]
            np.testing.assert_array_equal(first["arrays/kernel"], member["arrays/kernel"])


def test_the_bundle_answers_as_the_members_blended_by_hand(root, members):
    made = bundle(root, members, [0.25, 0.75], ("identity", "rot90", "flip"))
    images = root.dataset.images(np.arange(20))
    # a random dense layer on pixels: another answer for every view and every network
    by_hand = np.zeros((20, 3))
    for member, weight in zip(members, (0.25, 0.75), strict=True):
        for model in member.models:
            network = submission.model.read_member(model.folder / "member.h5")
            for view in ("identity", "rot90", "flip"):
                by_hand += weight / len(member.models) / 3 * network.probs(images, view)
    found = submission.model.Model(made.weights.parent).predict_proba(images)
    np.testing.assert_allclose(found, by_hand, atol=1e-6)
    plain = submission.model.read_member(members[0].models[0].folder / "member.h5").probs(images)
    assert np.abs(found - plain).max() > 0.05


def test_model_py_comes_along(root, members):
    bundle(root, members, [1.0, 0.0])
    script = root.path / "submission" / "model.py"
    assert script.read_bytes() == Path(submission.model.__file__).read_bytes()
    script.write_text("# mine\n")
    made = bundle(root, members, [1.0, 0.0])
    assert script.read_bytes() == Path(submission.model.__file__).read_bytes()
    (kept,) = made.kept
    assert kept.name.startswith("model-")
    assert kept.read_text() == "# mine\n"


def test_the_bundle_that_was_there_is_kept(root, members):
    first = bundle(root, members, [1.0, 0.0])
    content = first.weights.read_bytes()
    second = bundle(root, members, [0.5, 0.5])
    kept = root.path / "submission" / f"weights-{first.fingerprint[:8]}.h5"
    assert second.kept == (kept,)
    assert kept.read_bytes() == content
    assert bundle(root, members, [0.5, 0.5]).kept == ()
    assert not list(kept.parent.glob(".*"))


def test_a_foreign_file_is_kept_too(root, members):
    target = root.path / "submission" / "weights.h5"
    target.parent.mkdir()
    target.write_bytes(b"theirs")
    (kept,) = bundle(root, members, [1.0, 0.0]).kept
    assert kept.read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("weights", "views"), [([0.6, 0.4], ("identity",)), ([0.5, 0.5], VIEW_NAMES)]
)
def test_fingerprint_changes_with_weights_and_views(root, members, weights, views):
    plain = bundle(root, members, [0.5, 0.5]).fingerprint
    assert bundle(root, members, weights, views).fingerprint != plain
    assert bundle(root, members, [0.5, 0.5]).fingerprint == plain


def test_a_member_that_changed_meanwhile_leaves_the_old_bundle(root, members):
    before = bundle(root, members, [1.0, 0.0])
    with h5py.File(members[1].models[0].folder / "member.h5", "r+") as file:
        file.attrs["member_fingerprint"] = "newer"
    with pytest.raises(EnsembleError, match="changed meanwhile"):
        bundle(root, members, [0.0, 1.0])
    with h5py.File(before.weights) as file:
        assert file.attrs["fingerprint"] == before.fingerprint


def test_passes_and_what_the_competition_asks_for_go_in(root, members):
    made = bundle(root, members, [0.5, 0.5], ("identity", "flip"))
    with h5py.File(made.weights) as file:
        passes = json.loads(file.attrs["passes"])
        assert sorted(passes) == [[m, v] for m in range(3) for v in ("flip", "identity")]
        assert file.attrs["answer"] == "labels"
        assert "deadline_s" not in file.attrs
    assert submission.model.check_seal(str(made.weights))
    assert len(made.order) == 6
    assert "cnn-cpu/fold-1 flip" in made.order
    assert submission.model.Model(made.weights.parent).passes == passes

    platform = Platform(answer="one-hot", deadline_s=300)
    competition = root.dataset.competition.model_copy(update={"platform": platform})
    root.dataset = replace(root.dataset, competition=competition)
    asked = bundle(root, members, [0.5, 0.5], ("identity", "flip"))
    assert asked.fingerprint != made.fingerprint
    loaded = submission.model.Model(asked.weights.parent)
    assert loaded.deadline_s == 300
    assert loaded.predict(root.dataset.images(np.arange(5))).shape == (5, 3)


def test_a_member_that_was_damaged_is_not_bundled(root, members):
    path = members[1].models[0].folder / "member.h5"
    with (
        h5py.File(path) as old,
        new_h5(path.with_name("new.h5"), seal=submission.model.SEAL) as new,
    ):
        for key in old:
            old.copy(key, new)
        new.attrs.update(old.attrs)
    path.with_name("new.h5").replace(path)
    assert bundle(root, members, [0.5, 0.5]).size_mb > 0
    with h5py.File(path, "r+") as file:
        file["arrays/kernel"][0] = 7
    with pytest.raises(EnsembleError, match=r"member.h5: changed since it was written. Delete"):
        bundle(root, members, [0.5, 0.5])
