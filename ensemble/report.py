"""runs/ensemble/report.html: one page that needs no other file."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from cells.dataset import Dataset
from cells.files import write_text
from cells.pages import page_template
from ensemble.choose import Candidate
from ensemble.members import Aligned
from ensemble.pictures import confusion_picture, family_picture


def write_report(
    path: Path, result: dict[str, Any], data: Aligned, shipped: Candidate, dataset: Dataset
) -> None:
    """Write the page. result: what `make_ensemble` returns."""
    families = result["per_family"]
    counts = {
        f"held out, {kind}": confusion_matrix(
            data.labels, probs.argmax(axis=1), labels=np.arange(len(dataset.classes))
        )
        for kind, probs in (("shifted", shipped.shifted), ("clean", shipped.clean))
    }
    page = page_template("ensemble", "report.html").render(
        result=result,
        competition=dataset.competition.title,
        families=_data_uri(
            family_picture(
                families["rows"],
                families["families"],
                families["images"],
                np.array(families["accuracy"]),
            )
        ),
        confusion=_data_uri(confusion_picture(counts, dataset.classes)),
    )
    write_text(path, page)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
