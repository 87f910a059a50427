"""Which splits of a public source may become rows: the training split, unless more is asked for."""

from collections.abc import Iterable, Sequence

from cells.errors import ArchiveError

PUBLISHED = ("train", "val", "test")  # the splits that a source comes with
SPLITS = (*PUBLISHED, "unsplit")
TRAIN_ONLY = ("train",)
WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "holdout", "heldout"),
}
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
    words = name.casefold().replace("_", " ").replace("-", " ").split()
    return next((split for split in WORDS if set(words) & set(WORDS[split])), None)


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
