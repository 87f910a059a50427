"""The whole step: runs → members → candidates → choice → bundle and report."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cells.dataset import Dataset, open_dataset
from cells.files import write_json
from ensemble.blend import blend, mean_views
from ensemble.bundle import Bundle, write_bundle
from ensemble.choose import VIEW_SETS, Candidate, Choice, candidates, choose, choose_unseen, explain
from ensemble.members import VIEW_NAMES, Aligned, Member, align
from ensemble.report import write_report
from ensemble.runs import Remake, Report, find_members, read_json
from ensemble.scores import accuracy, class_table, family_accuracies, log_loss


def make_ensemble(
    root: Path,
    wanted: Iterable[str] = (),
    preset: str | None = None,
    weights: str = "auto",
    views: str = "auto",
    out: Path | None = None,
    seed: int = 0,
    *,
    remake: Remake,
    report: Report,
) -> dict[str, Any]:
    """Choose an ensemble of the finished runs under `root`, write its bundle and its report.

    wanted, preset, remake, report: see `find_members`. weights, views: see `choose`.
    out: the bundle's folder, root/submission unless said. seed: of the parts and the bootstrap.
    Returns what runs/ensemble/ensemble.json holds; its clean_accuracy and shifted_accuracy are of
    held-out rows that neither weights nor choice saw.
    Raises EnsembleError when members, weights or views do not fit.
    """
    dataset = open_dataset(root / "work" / "dataset.h5")
    members = find_members(root / "runs", dataset, wanted, preset, remake=remake, report=report)
    data = align(members, dataset)
    report(f"{len(members)} members on {len(data.rows)} rows that none of them learned from")
    rng = np.random.default_rng(seed)
    tried = candidates(data, rng)
    choice = choose(tried, data.labels, data.groups, rng, weights, views)
    unseen = choose_unseen(data, rng, weights, views)
    shipped = tried[choice.shipped]
    names = tuple(VIEW_NAMES[index] for index in VIEW_SETS[shipped.views])
    considered = [_member(member) for member in members]
    out = out or root / "submission"
    bundle = write_bundle(out, members, shipped.weights, names, dataset)
    result = _describe(dataset, members, data, tried, choice, bundle)
    result["not_honest"] = not_honest(members)
    for line in result["not_honest"]:
        report(f"warning: {line}")
    result["considered"] = considered
    for kind, probs in zip(("shifted", "clean"), unseen, strict=True):
        result[f"{kind}_accuracy"] = accuracy(probs, data.labels)
    result["next"] = _next(root, out)
    result["seed"] = seed
    result["report"] = str(root / "runs" / "ensemble" / "report.html")
    write_json(root / "runs" / "ensemble" / "ensemble.json", result)
    write_report(Path(result["report"]), result, data, shipped, dataset)
    return result


def not_honest(members: list[Member]) -> list[str]:
    """A line for each member that may have learnt from the rows it is scored on."""
    return [
        f"{each.run}: {each.not_honest}. Every score with it is not honest: it may be too high, "
        "and so may its weight"
        for each in members
        if each.not_honest
    ]


def _describe(
    dataset: Dataset,
    members: list[Member],
    data: Aligned,
    tried: list[Candidate],
    choice: Choice,
    bundle: Bundle,
) -> dict[str, Any]:
    """Everything that was measured and decided, as JSON can hold it."""
    table = [_row(number, each, members, data, choice) for number, each in enumerate(tried)]
    shipped, row = tried[choice.shipped], table[choice.shipped]
    return {
        "members": list(row["weights"]),
        "weights": row["weights"],
        "views": [VIEW_NAMES[index] for index in VIEW_SETS[shipped.views]],
        "test_clean_accuracy": row["test_clean_accuracy"],
        "test_shifted_accuracy": row["test_shifted_accuracy"],
        "bundle": str(bundle.weights),
        "bundle_mb": bundle.size_mb,
        "fingerprint": bundle.fingerprint,
        "kept": [str(path) for path in bundle.kept],
        "choice": row["what"],
        "reason": explain(choice, [r["what"] for r in table], [each.passes for each in tried]),
        "passes": shipped.passes,
        "order": list(bundle.order),
        "deadline_s": dataset.competition.platform.deadline_s,
        "rows": len(data.rows),
        "groups": len(np.unique(data.groups)),
        "test_rows": len(data.test_labels),
        "data_fingerprint": dataset.fingerprint,
        "candidates": table,
        "per_class": {
            "shifted": class_table(shipped.shifted, data.labels, dataset.classes),
            "clean": class_table(shipped.clean, data.labels, dataset.classes),
        },
        "per_family": _families(members, data, shipped, dataset),
    }


def _row(
    number: int, each: Candidate, members: list[Member], data: Aligned, choice: Choice
) -> dict[str, Any]:
    """One line of the table of candidates."""
    indices = VIEW_SETS[each.views]
    test_clean, test_shifted = (
        blend(np.stack([mean_views(member, indices) for member in probs]), each.weights)
        for probs in (data.test_clean, data.test_shifted)
    )
    return {
        "who": _who(each, members),
        "what": _what(each, members),
        "weighting": each.weighting,
        "views": each.views,
        "weights": _by_run(each.weights, members),
        "passes": each.passes,
        "clean_accuracy": accuracy(each.clean, data.labels),
        "shifted_accuracy": accuracy(each.shifted, data.labels),
        "shifted_log_loss": log_loss(each.shifted, data.labels),
        "difference": float(choice.differences[number]),
        "se": float(choice.se[number]),
        "within_one_se": bool(choice.differences[number] >= -choice.se[number]),
        "allowed": bool(choice.allowed[number]),
        "test_clean_accuracy": accuracy(test_clean, data.test_labels),
        "test_shifted_accuracy": accuracy(test_shifted, data.test_labels),
        "optimality_gap": each.gap,
        "shipped": number == choice.shipped,
        "best": number == choice.best,
    }


def _families(
    members: list[Member], data: Aligned, shipped: Candidate, dataset: Dataset
) -> dict[str, Any]:
    """Shifted accuracy by family of corruption: the shipped ensemble, then every member alone."""
    indices = VIEW_SETS[shipped.views]
    rows = [("shipped", shipped.shifted)]
    if len(members) > 1:
        rows += [
            (member.run, mean_views(probs, indices))
            for member, probs in zip(members, data.shifted, strict=True)
        ]
    names = dataset.shift_names
    values = [family_accuracies(probs, data.labels, data.families, names) for _, probs in rows]
    seen = np.bincount(data.families, minlength=len(names)) > 0
    return {
        "families": [name for name, there in zip(names, seen, strict=True) if there],
        "images": np.bincount(data.families, minlength=len(names))[seen].tolist(),
        "rows": [name for name, _ in rows],
        "accuracy": [each[seen].tolist() for each in values],
    }


def _member(member: Member) -> dict[str, Any]:
    files = [model.folder / "member.h5" for model in member.models]
    return {
        "run": member.run,
        "name": member.name,
        "preset": member.preset,
        "not_honest": member.not_honest,
        "folds": [model.fold for model in member.models],
        "fingerprints": [model.fingerprint for model in member.models],
        "size_mb": sum(path.stat().st_size for path in files) / 1e6,
        "done": [read_json(model.folder / "DONE") for model in member.models],
    }


def _by_run(weights: np.ndarray, members: list[Member]) -> dict[str, float]:
    pairs = sorted(zip(weights, members, strict=True), key=lambda pair: -pair[0])
    return {member.run: float(weight) for weight, member in pairs if weight > 0}


def _who(each: Candidate, members: list[Member]) -> str:
    alone = each.weighting == "alone"
    return members[int(each.weights.argmax())].run if alone else each.weighting


def _what(each: Candidate, members: list[Member]) -> str:
    views = "no views" if each.views == "none" else f"{len(VIEW_SETS[each.views])} views"
    return f"{_who(each, members)}, {views}"


def _next(root: Path, out: Path) -> list[str]:
    """The commands to run now; `bcsub pack` takes root/submission unless told otherwise."""
    at = "" if root == Path(".") else f" --root {root}"
    elsewhere = "" if out.resolve() == (root / "submission").resolve() else f" {out}"
    return [f"bcsub pack{elsewhere}{at}", f"bcsub emulate{at}"]
