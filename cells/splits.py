"""Which splits of a public source may become rows: the training split, unless more is asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cells.errors import ArchiveError

PUBLISHED = ("train", "val", "test")  # the splits that a source comes with
SPLITS = (*PUBLISHED, "unsplit")
TRAIN_ONLY = ("train",)
WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "holdout", "heldout"),
}
PLAIN = {"images", "image", "pictures", "data", "set", "split", "part"}  # words that name nothing
WHY_TRAIN = (
    "The platform's hidden images may be among all but train: who learns from them gets a local "
    "score that means nothing, and most competitions forbid it."
)
SPLITS_HELP = (
    "Splits that are read, separated by commas: train, val, test, and unsplit (whole views of the "
    f"competition's public source that lie in no split folder). {WHY_TRAIN}"
)


def parse_splits(text: str, allowed: Sequence[str] = SPLITS) -> tuple[str, ...]:
    """`train,val` as ("train", "val"), in the order of SPLITS.

    allowed: those of SPLITS that may be asked for. Raises ArchiveError for another word.
    """
    asked = [word.strip() for word in text.split(",")]
    for word in asked:
        if word not in allowed:
            raise ArchiveError(
                f"--splits: expected some of {', '.join(allowed)}, got {word!r}. "
                "Leave it out: train is what may be learnt from."
            )
    return tuple(split for split in SPLITS if split in asked)


def split_named(name: str) -> str | None:
    """The split that a folder's name means (`Test`, `val_images`), or None."""
    words = _words(name)
    return next((split for split in WORDS if words & set(WORDS[split])), None)


def held_out_folder(folder: Path) -> str | None:
    """val or test where a folder of classes is itself that split, else None.

    It is called so and nothing more (`Test`, `val_images`), or lies beside its training split
    (`PBC_test` beside `PBC_train`, `TEST_SIMPLE` beside `TRAIN`): a blood-test is no split.
    """
    folder = folder.resolve()
    split, rest = split_named(folder.name), _rest(folder.name)
    if split in (None, "train"):
        return None
    if not rest:
        return split
    beside = (each for each in folder.parent.iterdir() if each.is_dir())
    trains = (each.name for each in beside if split_named(each.name) == "train")
    return split if any(_rest(name) <= rest for name in trains) else None


def _words(name: str) -> set[str]:
    return set(name.casefold().replace("_", " ").replace("-", " ").split())


def _rest(name: str) -> set[str]:
    """The words of a folder's name that tell it from other splits of other things."""
    return _words(name).difference(PLAIN, *WORDS.values())


def chosen_splits(name: str, found: Iterable[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Those of the input's splits that are read, in the order of SPLITS.

    found: the splits that the input `name` has; none for one that has no splits, which is read
    whole. Raises ArchiveError when a split is asked for that is not there.
    """
    found = tuple(split for split in SPLITS if split in set(found))
    wanted = tuple(split for split in asked if split != "unsplit")
    absent = [split for split in wanted if split not in found]
    if not found:
        if set(wanted) - set(TRAIN_ONLY):
            raise ArchiveError(
                f"--splits: {name} has no splits, got {', '.join(asked)}. Leave --splits out."
            )
        return ()
    if absent or not wanted:
        raise ArchiveError(
            f"{name}: expected the split {(absent or TRAIN_ONLY)[0]}, got only {', '.join(found)}. "
            "Choose with --splits; hidden images may be in all but train."
        )
    return wanted


def hidden_warning(name: str, splits: Sequence[str]) -> str | None:
    """One line when `splits` are more than the training split."""
    others = [split for split in splits if split != "train"]
    if not others:
        return None
    return (
        f"{name}: with images of {', '.join(others)}. The platform's hidden images may be among "
        "them: what is learnt or chosen on them makes local scores too good, and most competitions "
        "forbid it."
    )
