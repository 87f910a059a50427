import pytest

from cells.errors import ArchiveError
from cells.splits import PUBLISHED, parse_splits, split_named


def test_splits_come_in_their_own_order():
    assert parse_splits("test, train") == ("train", "test")
    assert parse_splits("unsplit") == ("unsplit",)


@pytest.mark.parametrize("text", ["", "all", "train;val"])
def test_an_unknown_split(text):
    with pytest.raises(ArchiveError) as caught:
        parse_splits(text)
    assert str(caught.value) == (
        f"--splits: expected some of train, val, test, unsplit, got {text!r}. Leave it out: train "
        "is what may be learnt from."
    )


def test_what_a_source_does_not_have_is_not_offered():
    assert parse_splits("test,train", PUBLISHED) == ("train", "test")
    with pytest.raises(ArchiveError, match="expected some of train, val, test, got 'unsplit'"):
        parse_splits("unsplit", PUBLISHED)


@pytest.mark.parametrize(
    ("name", "split"),
    [("Train", "train"), ("test-set", "test"), ("my val images", "val"), ("protest", None)],
)
def test_names_of_splits(name, split):
    assert split_named(name) == split
