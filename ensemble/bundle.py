"""submission/weights.h5: the chosen members in one file, and model.py beside it.

What lay there before stays beside it under its fingerprint; the new file is written beside its
place first, so a crash leaves either the old bundle or the new one, never half of one or none.
"""

import json
import os
import shutil
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import h5py
import numpy as np

import submission.model
from cells.dataset import Dataset
from cells.errors import EnsembleError
from cells.files import fingerprint, new_h5, replacing, sha256
from ensemble.members import FoldModel, Member
from ensemble.order import order_passes
from submission.model import check_seal


@dataclass(frozen=True)
class Bundle:
    """Where the bundle lies, the order of its passes, and what was kept.

    order: run, fold and view of every pass. kept: files that lay there before.
    """

    weights: Path
    fingerprint: str
    size_mb: float
    order: tuple[str, ...]
    kept: tuple[Path, ...]


def shares(members: list[Member], weights: np.ndarray) -> list[tuple[FoldModel, float]]:
    """Each network with its weight, heaviest first.

    A member's weight is split evenly over its fold models.
    weights: (members,), sum 1; members of weight 0 are left out. The result's weights sum to 1.
    """
    pairs = [
        (model, float(weight) / len(member.models))
        for member, weight in zip(members, weights, strict=True)
        for model in member.models
        if weight > 0
    ]
    return sorted(pairs, key=lambda pair: -pair[1])


def write_bundle(
    out: Path,
    members: list[Member],
    weights: np.ndarray,
    views: tuple[str, ...],
    dataset: Dataset,
) -> Bundle:
    """Write weights.h5 and model.py into the folder `out`.

    weights: (members,), >= 0, sum 1, as `ensemble.choose` gives them. views: names of VIEWS.
    The passes' order is measured on the rows that all members held out; what the competition asks
    of the uploaded model, its answer and its deadline, goes in too.
    Raises EnsembleError when a member.h5 changed since it was written or its predictions were read.
    """
    parts = shares(members, weights)
    networks, part_weights = [model for model, _ in parts], np.array([w for _, w in parts])
    rows = reduce(np.intersect1d, [member.rows for member in members])
    passes = order_passes(networks, part_weights, views, rows, dataset)
    platform = dataset.competition.platform
    doubtful = [
        f"{member.run}: {member.not_honest}"
        for member, weight in zip(members, weights, strict=True)
        if member.not_honest and weight > 0
    ]
    identity = fingerprint(
        [[model.fingerprint, round(weight, 9)] for model, weight in parts],
        list(views),
        [passes, platform.answer, platform.deadline_s, platform.bfloat16],
    )
    target = out / "weights.h5"
    with replacing(target) as temporary:
        with new_h5(temporary, seal=submission.model.SEAL) as file:
            file.attrs["kind"] = "bundle"
            file.attrs["format"] = submission.model.FORMAT
            file.attrs["classes"] = json.dumps(dataset.classes)
            file.attrs["image_px"] = dataset.competition.image_px
            file.attrs["views"] = json.dumps(views)
            file.attrs["passes"] = json.dumps(passes)
            file.attrs["answer"] = platform.answer
            file.attrs["bfloat16"] = platform.bfloat16
            if platform.deadline_s is not None:
                file.attrs["deadline_s"] = platform.deadline_s
            file.attrs["not_honest"] = json.dumps(doubtful)
            file.attrs["fingerprint"] = identity
            file.attrs["data_fingerprint"] = dataset.fingerprint
            digits = max(2, len(str(len(parts) - 1)))
            for number, (model, weight) in enumerate(parts):
                _copy_member(model, file, f"members/{number:0{digits}}", weight)
        kept = [_keep(target, _bundle_fingerprint(target), identity)]
    source = Path(submission.model.__file__).resolve()
    script = out / "model.py"
    if not (script.exists() and script.samefile(source)):
        kept.append(_write_script(script, source.read_bytes()))
    size_mb = target.stat().st_size / 1e6
    order = tuple(
        f"{networks[index].folder.parent.name}/{networks[index].folder.name} {view}"
        for index, view in passes
    )
    return Bundle(target, identity, size_mb, order, tuple(path for path in kept if path))


def _copy_member(model: FoldModel, bundle: h5py.File, name: str, weight: float) -> None:
    path = model.folder / "member.h5"
    try:
        check_seal(str(path))
    except ValueError:
        raise EnsembleError(
            f"{path}: changed since it was written. Delete the folder and train it again."
        ) from None
    with h5py.File(path) as source:
        if source.attrs["member_fingerprint"] != model.fingerprint:
            raise EnsembleError(f"{path}: changed meanwhile. Run it again.")
        group = bundle.create_group(name)
        for key, value in source.attrs.items():
            group.attrs[key] = value
        for key in source:
            source.copy(key, group)
        group.attrs["weight"] = weight


def _write_script(script: Path, text: bytes) -> Path | None:
    if script.is_file() and script.read_bytes() == text:
        return None
    with replacing(script) as temporary:
        temporary.write_bytes(text)
        return _keep(script, sha256(script)[:16] if script.is_file() else "", "")


def _keep(path: Path, old: str, new: str) -> Path | None:
    """Let what lies at `path` stay under its name and 8 digits of `old`, unless it is the new one.

    It stays at `path` too, until the new file replaces it there.
    """
    if not path.exists() or old == new:
        return None
    kept = path.with_name(f"{path.stem}-{old[:8]}{path.suffix}")
    with replacing(kept) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copy2(path, temporary)
    return kept


def _bundle_fingerprint(path: Path) -> str:
    """What the bundle says it is; of any other file, its SHA-256."""
    if not path.is_file():
        return ""
    try:
        with h5py.File(path) as file:
            return str(file.attrs["fingerprint"])
    except (OSError, KeyError):
        return sha256(path)
