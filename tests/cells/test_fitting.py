from collections import Counter

import numpy as np
import pytest
from PIL import Image

from cells.competition import Archive, Competition, Originals, load_competition
from cells.errors import ArchiveError, CompetitionError
from cells.fitting import Fit

VIEWS = Originals(from_px=100, crop_px=60, hidden_among=True)


def competition(px=32, resize="bicubic", originals=VIEWS):
    archive = Archive(resize=resize, originals=originals)
    return Competition(name="two", title="", classes=("a", "b"), image_px=px, archive=archive)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def fault(image, **options):
    with pytest.raises(ArchiveError) as caught:
        Fit(competition(), **options)("a.png", image)
    return str(caught.value)


def test_the_competitions_size_stays_as_it_is():
    image = noise(32, 32)
    np.testing.assert_array_equal(Fit(competition())("", image), image)


def test_a_whole_view_gives_its_middle():
    image = np.zeros((104, 110, 3), np.uint8)
    image[22:82, 25:85] = 200
    assert (Fit(competition())("", image) == 200).all()
    image[22, 25:85] = 0  # the middle's first row
    assert not (Fit(competition())("", image) == 200).all()


def test_anything_smaller_gives_its_largest_square():
    image = np.zeros((64, 80, 3), np.uint8)
    image[:, 8:72] = 200
    assert (Fit(competition())("", image) == 200).all()


def test_a_middle_of_the_right_size_is_only_cut_out():
    image = noise(104, 110)
    got = Fit(competition(px=60))("", image)
    np.testing.assert_array_equal(got, image[22:82, 25:85])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bicubic", Image.Resampling.BICUBIC),
        ("bilinear", Image.Resampling.BILINEAR),
        ("lanczos", Image.Resampling.LANCZOS),
        ("area", Image.Resampling.BOX),
        ("nearest", Image.Resampling.NEAREST),
    ],
)
def test_resized_as_the_competition_file_says(name, kind):
    image = noise(64, 64)
    expected = np.asarray(Image.fromarray(image).resize((32, 32), kind))
    np.testing.assert_array_equal(Fit(competition(resize=name))("", image), expected)


def test_area_is_the_mean_of_what_falls_together():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::2] = 100
    assert (Fit(competition(resize="area"))("", image) == 50).all()


def test_nothing_is_enlarged_unasked():
    assert fault(noise(28, 40)) == (
        "a.png: expected at least 32 px a side, got 40x28: enlarging adds no detail. Take larger "
        "images (`bcsub fetch bloodmnist --px 128`), or ask for it with --upscale."
    )
    assert Fit(competition(), upscale=True)("", noise(28, 40)).shape == (32, 32, 3)
    narrow = competition(px=64)  # the middle of a view, 60 px, is too small too
    with pytest.raises(ArchiveError, match="at least 64 px a side, got 110x104"):
        Fit(narrow)("a.png", noise(104, 110))


def test_without_a_word_in_the_file_other_sizes_are_refused():
    with pytest.raises(ArchiveError) as caught:
        Fit(competition(resize=None))("a.png", noise(64, 48))
    assert str(caught.value) == (
        "a.png: expected 32x32 px, got 48x64. The competition is two; choose another with "
        "--competition, or set resize under [archive] in its file."
    )


def test_a_whole_view_without_a_split_may_be_hidden():
    assert fault(noise(104, 110), guarded=True) == (
        "a.png: 110x104 px, a whole view of the public source, in no folder train/: it may be a "
        "hidden image. `bcsub fetch pbc` sorts them; --splits unsplit takes it all the same."
    )
    assert Fit(competition(), guarded=True)("", noise(99, 99)).shape == (32, 32, 3)
    open_source = VIEWS.model_copy(update={"hidden_among": False})
    fit = Fit(competition(originals=open_source), guarded=True)
    assert fit("", noise(104, 110)).shape == (32, 32, 3)


def test_the_note_names_the_commonest_sizes():
    fit = Fit(competition())
    assert fit.note(Counter({(32, 32): 5})) is None
    sizes = Counter({(104, 110): 1200, (32, 32): 5, (64, 64): 7, (64, 80): 6, (50, 50): 1})
    assert fit.note(sizes) == (
        "made 32 px (bicubic): 1,200 of 110x104, middle 60 px; 7 of 64x64; 6 of 80x64, middle "
        "64 px; 1 of other sizes"
    )


def test_pbcs_views_are_cut_as_bloodmnists_were():
    fit = Fit(load_competition("an2dl2024"))
    assert [fit.side(*size) for size in [(363, 360), (369, 366), (359, 360)]] == [200] * 3
    assert [fit.side(px, px) for px in (96, 128, 224)] == [96, 128, 224]  # MedMNIST's are cut


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[archive]\nresize = "cubic"', "archive.resize: Input should be 'bicubic', "),
        (
            '[archive.folders]\nx = "z"',
            "the file: [archive.folders] x: no class is called 'z'. Correct",
        ),
        (
            "[archive.originals]\nfrom_px = 50\ncrop_px = 60",
            "archive.originals: crop_px is larger than from_px, 50. Correct",
        ),
        (
            "[platform]\ndeadline_s = 0",
            "platform.deadline_s: Input should be greater than 0, got 0",
        ),
        (
            "[platform]\ntime_limit_s = 60\ndeadline_s = 60",
            "platform: deadline_s is not below time_limit_s, 60. Correct",
        ),
        ('[platform]\nanswer = "probs"', "platform.answer: Input should be 'labels', "),
    ],
)
def test_what_a_competition_file_may_not_say(tmp_path, lines, said):
    path = tmp_path / "c.toml"
    path.write_text(f'name = "c"\ntitle = ""\nclasses = ["a", "b"]\nimage_px = 32\n{lines}\n')
    with pytest.raises(CompetitionError) as caught:
        load_competition(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
