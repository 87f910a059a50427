"""Bundles that hold every operation, and what the TensorFlow of today answers with them.

Run:    python -m tests.matrix.write_bundles FOLDER
Then, in an environment of another TensorFlow: cd FOLDER && python -m pytest test_bundles.py

FOLDER gets test_bundles.py, images.npz and for each network a folder with model.py, weights.h5 and
answers.npz: all that the other environment sees of us.
"""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

import submission.model
from cells.files import new_h5
from submission.model import VIEWS, Model
from tests.submission.conftest import shake, smooth_pictures
from tests.submission.test_parity import NETWORKS
from trainers.export import write_member


def write_bundles(folder: Path) -> None:
    """Fill `folder`, which may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("bundle_checks.py"), folder / "test_bundles.py")
    rng = np.random.default_rng(0)
    images = smooth_pictures(rng)
    np.savez(folder / "images.npz", images=images)
    bundles = {name: (build, "float16") for name, build in NETWORKS.items()}
    bundles |= {
        f"{name}-int8": (NETWORKS[name], "int8") for name in ("custom-cnn", "convnext-atto")
    }
    for name, (build, storage) in bundles.items():
        network = build()
        shake(network, images, rng)
        classes = [f"class {index}" for index in range(network.output_shape[-1])]
        about = {"name": name, "classes": classes, "image_px": images.shape[1]}
        place = folder / name
        place.mkdir(exist_ok=True)
        write_member(place / "member.h5", network, about, storage)
        _as_bundle(place)
        shutil.copy(submission.model.__file__, place / "model.py")
        np.savez(place / "answers.npz", probs=Model(place).predict_proba(images))


def _as_bundle(place: Path) -> None:
    """member.h5 becomes weights.h5, a bundle of that one member in two views."""
    with (
        h5py.File(place / "member.h5") as member,
        new_h5(place / "weights.h5", seal=submission.model.SEAL) as bundle,
    ):
        bundle.attrs.update(kind="bundle", format=member.attrs["format"])
        bundle.attrs.update({key: member.attrs[key] for key in ("classes", "image_px")})
        bundle.attrs["views"] = f'["identity", "{list(VIEWS)[-1]}"]'
        member.copy(member, bundle, "members/00")
        bundle["members/00"].attrs["weight"] = 1.0
    (place / "member.h5").unlink()


if __name__ == "__main__":
    write_bundles(Path(sys.argv[1]))
