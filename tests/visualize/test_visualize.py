"""Pictures: drawn instances lie on their masks, in the same colour everywhere."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from fashionseg.data.rle import mask_to_runs
from fashionseg.taxonomy import competition_taxonomy
from fashionseg.visualize import (
    OutlinedInstance,
    category_colour,
    jpeg_bytes,
    outline,
    side_by_side,
    write_png,
)
from fashionseg.visualize.drawing import display_size
from fashionseg.visualize.instance import in_drawing_order
from fashionseg.visualize.panels import draw_instances
from fashionseg.visualize.tags import Tag, place_tags

GREY = 128
DRESS, SLEEVE, SHOE = 10, 31, 23


def grey_photo(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def rectangle(
    category: int, height: int, width: int, y1: int, x1: int, y2: int, x2: int, score: float | None = None
) -> OutlinedInstance:
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = True
    return OutlinedInstance.from_mask(category, mask, score)


def distance(pixel: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int(np.abs(pixel.astype(int) - colour).sum())


class TestColours:
    def test_all_categories_are_distinguishable(self):
        count = competition_taxonomy().num_categories
        lab = rgb2lab(np.array([[category_colour(c) for c in range(count)]]) / 255)[0]
        distances = deltaE_ciede2000(lab[:, None], lab[None])[np.triu_indices(count, 1)]
        assert distances.min() > 12  # 2.3 is just noticeable side by side

    def test_no_colour_is_near_grey(self):
        for category in range(46):
            colour = category_colour(category)
            assert max(colour) - min(colour) >= 50

    def test_a_category_beyond_the_list_still_has_one(self):
        assert category_colour(46) == category_colour(0)


class TestInstance:
    def test_box_is_fractions_of_the_photo(self):
        mask = np.zeros((4, 10), bool)
        mask[1:3, 2:7] = True
        instance = OutlinedInstance.from_mask(DRESS, mask)
        assert instance.box == (0.25, 0.2, 0.75, 0.7)
        assert instance.mask.shape == (2, 5)
        assert instance.mask.all()

    def test_runs_and_mask_give_the_same_instance(self):
        mask = np.zeros((6, 5), bool)
        mask[1:4, 2] = mask[3, 2:5] = True
        by_runs = OutlinedInstance.from_runs(DRESS, mask_to_runs(mask), (6, 5), score=0.5)
        by_mask = OutlinedInstance.from_mask(DRESS, mask, score=0.5)
        assert by_runs.box == by_mask.box
        np.testing.assert_array_equal(by_runs.mask, by_mask.mask)

    def test_the_competition_frame_is_stretched_back(self):
        """The left half of 512 x 512 is the left half of a photo of any shape."""
        mask = np.zeros((512, 512), bool)
        mask[:, :256] = True
        crop, top, left = OutlinedInstance.from_runs(DRESS, mask_to_runs(mask), (512, 512)).raster(300, 200)
        assert (crop.shape, top, left) == ((300, 100), 0, 0)
        assert crop.all()

    def test_an_empty_mask_is_rejected(self):
        with pytest.raises(ValueError, match="category 10: expected a mask with pixels"):
            OutlinedInstance.from_mask(DRESS, np.zeros((4, 4), bool))
        with pytest.raises(ValueError, match="category 10: expected a mask with pixels"):
            OutlinedInstance.from_runs(DRESS, np.zeros((0, 2), np.int32), (4, 4))

    def test_a_mask_smaller_than_a_pixel_is_still_shown(self):
        mask = np.zeros((1000, 1000), bool)
        mask[999, 999] = True
        crop, top, left = OutlinedInstance.from_mask(SHOE, mask).raster(10, 10)
        assert (crop.tolist(), top, left) == ([[True]], 9, 9)

    def test_smoothing_keeps_a_strap_one_pixel_wide(self):
        mask = np.zeros((40, 40), bool)
        mask[5:35, 20] = True
        crop, _, _ = OutlinedInstance.from_mask(24, mask).raster(160, 160, smoothing=2.0)
        assert crop.any(axis=1).all()

    def test_smoothing_rounds_a_corner(self):
        instance = rectangle(DRESS, 40, 40, 0, 0, 40, 40)
        mask = np.tri(40, dtype=bool)
        stairs, _, _ = OutlinedInstance.from_mask(DRESS, mask).raster(160, 160)
        smooth, _, _ = OutlinedInstance.from_mask(DRESS, mask).raster(160, 160, smoothing=2.0)
        assert abs(int(stairs.sum()) - int(smooth.sum())) < 0.02 * stairs.sum()
        assert (np.diff(smooth.sum(axis=1)) == 1).mean() > (np.diff(stairs.sum(axis=1)) == 1).mean()
        assert instance.raster(160, 160, smoothing=2.0)[0].all()


class TestOutline:
    def test_a_tiny_photo_is_enlarged_and_a_huge_one_shrunk(self):
        assert outline(grey_photo(160, 100), [], with_legend=False).shape == (640, 400, 3)
        assert outline(grey_photo(3000, 4096), [], with_legend=False).shape == (1500, 2048, 3)
        assert outline(grey_photo(700, 900), [], with_legend=False).shape == (700, 900, 3)

    @pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3)])
    def test_odd_shapes_are_drawn(self, size: tuple[int, int]):
        picture = outline(grey_photo(*size), [rectangle(DRESS, *size, 0, 0, *size, score=0.5)])
        assert picture.dtype == np.uint8
        assert max(picture.shape[:2]) <= 2048 + 100

    def test_display_size_is_limited_by_the_longest_side(self):
        assert display_size(100, 1000, least_height=640, longest_side=2048) == (205, 2048)

    def test_the_mask_is_tinted_and_the_rest_is_unchanged(self):
        """A dress in the lower right of a photo shown at its own size; its tag lies within it."""
        photo = grey_photo(800, 800)
        picture = outline(photo, [rectangle(DRESS, 800, 800, 400, 400, 700, 700)], with_legend=False)
        assert distance(picture[690, 690], category_colour(DRESS)) < distance(
            photo[690, 690], category_colour(DRESS)
        )
        assert (picture[:390] == GREY).all()
        assert (picture[:, :390] == GREY).all()
        assert (picture[710:] == GREY).all()

    def test_the_border_is_a_light_line_between_dark_ones(self):
        picture = outline(
            grey_photo(800, 800), [rectangle(DRESS, 800, 800, 400, 400, 700, 700)], with_legend=False
        )
        across = picture[680, 390:412].astype(int).sum(axis=1)
        light = int(across.argmax())
        assert across[light] > 3 * GREY + 90
        assert across[:light].min() < 3 * GREY - 90
        assert across[light:].min() < 3 * GREY - 90

    def test_a_mask_at_the_photos_edge_is_outlined_there_too(self):
        picture = outline(
            grey_photo(800, 800), [rectangle(DRESS, 800, 800, 0, 0, 800, 800)], with_legend=False
        )
        inside = int(picture[50, 50].astype(int).sum())
        for edge in (picture[0, 50], picture[799, 50], picture[50, 0], picture[50, 799]):
            assert int(edge.astype(int).sum()) > inside + 60

    def test_a_part_shows_on_its_garment_whatever_the_order(self):
        dress = rectangle(DRESS, 800, 800, 100, 100, 700, 700)
        sleeve = rectangle(SLEEVE, 800, 800, 500, 500, 650, 650)
        both = outline(grey_photo(800, 800), [sleeve, dress], with_legend=False)
        np.testing.assert_array_equal(both, outline(grey_photo(800, 800), [dress, sleeve], with_legend=False))
        on_sleeve, on_dress = both[640, 640], both[690, 690]
        assert distance(on_sleeve, category_colour(SLEEVE)) < distance(on_dress, category_colour(SLEEVE))

    def test_large_before_small_and_parts_last(self):
        large = rectangle(DRESS, 100, 100, 0, 0, 90, 90)
        small = rectangle(SHOE, 100, 100, 0, 0, 10, 10)
        part = rectangle(SLEEVE, 100, 100, 0, 0, 50, 50)
        assert in_drawing_order([part, small, large], competition_taxonomy()) == [large, small, part]

    def test_the_photo_is_not_changed(self):
        photo = grey_photo(800, 600)
        outline(photo, [rectangle(DRESS, 800, 600, 0, 0, 800, 600)])
        assert (photo == GREY).all()

    def test_without_instances_the_legend_says_so(self):
        picture = outline(grey_photo(800, 600), [])
        assert (picture[:800] == GREY).all()
        assert picture[800:].min() < 100  # words

    def test_a_legend_wraps_and_names_each_category_once(self):
        one = outline(grey_photo(640, 300), [rectangle(15, 640, 300, 0, 0, 9, 9)] * 3)
        many = outline(grey_photo(640, 300), [rectangle(c, 640, 300, 0, 0, 9, 9) for c in range(12)])
        assert one.shape[0] < many.shape[0]

    def test_attributes_are_listed(self):
        plain = OutlinedInstance.from_mask(DRESS, np.ones((4, 4), bool))
        described = OutlinedInstance.from_mask(DRESS, np.ones((4, 4), bool), attributes=(3, 20))
        without, with_line = (outline(grey_photo(640, 640), [i]) for i in (plain, described))
        assert with_line.shape[0] == without.shape[0] + 26  # a line of text of 15 pixels


class TestTags:
    def tag(self, y: int, x: int, size: int = 40) -> Tag:
        return Tag("shoe 0.50", (255, 0, 0), np.ones((size, size), bool), y, x)

    def test_two_instances_in_one_place_get_tags_side_by_side(self):
        placed = place_tags((400, 400), [self.tag(180, 180), self.tag(180, 180)], [(70, 18)] * 2, step=12)
        (a, b) = (one.rectangle for one in placed)
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]

    def test_tags_stay_in_the_picture(self):
        corners = [self.tag(0, 0, 4), self.tag(0, 196, 4), self.tag(196, 0, 4), self.tag(196, 196, 4)]
        for one in place_tags((200, 200), corners, [(70, 18)] * 4, step=12):
            left, top, right, bottom = one.rectangle
            assert left >= 0
            assert top >= 0
            assert right <= 200
            assert bottom <= 200

    def test_a_tag_does_not_hide_a_small_instance(self):
        (placed,) = place_tags((400, 400), [self.tag(200, 200, 12)], [(70, 18)], step=12)
        left, top, right, bottom = placed.rectangle
        assert right <= 200 or left >= 212 or bottom <= 200 or top >= 212

    def test_a_large_instance_carries_its_tag(self):
        (placed,) = place_tags((400, 400), [self.tag(50, 50, 300)], [(70, 18)], step=12)
        left, top, right, bottom = placed.rectangle
        assert 50 <= left < right <= 350
        assert 50 <= top < bottom <= 350

    def test_a_garments_point_does_not_lie_on_the_part_above_it(self):
        """The pocket covers the middle of the dress, where its point would be."""
        dress, pocket = self.tag(0, 0, 300), self.tag(100, 100, 100)
        placed = place_tags((300, 300), [dress, pocket], [(70, 18)] * 2, step=12)
        (x, y) = next(one.anchor for one in placed if one.tag is dress)
        assert not (100 <= x < 200 and 100 <= y < 200)

    def test_tags_of_a_crowd_are_omitted_rather_than_piled_up(self):
        crowd = [self.tag(20, 20, 10) for _ in range(60)]
        placed = place_tags((60, 90), crowd, [(70, 18)] * 60, step=12)
        assert 1 <= len(placed) < 20

    def test_a_tag_names_the_first_word(self):
        assert competition_taxonomy().short_name(15) == "headband"
        assert competition_taxonomy().short_name(46) == "category 46"


class TestSideBySide:
    def test_photo_truth_prediction(self):
        """Three panels of 640 x 480 with 12 pixels between and around; the first is the bare photo."""
        photo = grey_photo(640, 480)
        dress = rectangle(DRESS, 640, 480, 100, 100, 600, 400)
        picture = side_by_side(photo, [dress], [], title="a.jpg")
        assert picture.shape[1] == 3 * 480 + 4 * 12
        rows = np.flatnonzero((picture[:, 12 + 240] == GREY).all(axis=1))
        assert rows[-1] - rows[0] == 639
        panels = [picture[rows[0] : rows[-1] + 1, 12 + k * 492 : 492 + k * 492] for k in range(3)]
        np.testing.assert_array_equal(panels[0], photo)
        np.testing.assert_array_equal(
            panels[1], draw_instances(photo, [dress], 640, 480, competition_taxonomy())
        )
        np.testing.assert_array_equal(panels[2], photo)

    def test_without_a_title_there_is_no_row_for_it(self):
        photo = grey_photo(640, 480)
        assert side_by_side(photo, [], []).shape[0] < side_by_side(photo, [], [], "title").shape[0]

    def test_a_long_title_does_not_widen_it(self):
        photo = grey_photo(640, 480)
        assert side_by_side(photo, [], [], "x" * 500).shape == side_by_side(photo, [], [], "x").shape


class TestFiles:
    def test_png_holds_the_pixels_and_the_same_bytes_each_time(self, tmp_path: Path):
        random = np.random.default_rng(0)
        photo = random.integers(0, 256, (160, 120, 3), dtype=np.uint8)
        instances = [
            rectangle(c, 160, 120, 3 * c, 2 * c, 3 * c + 30, 2 * c + 25, 0.5) for c in range(0, 45, 7)
        ]
        picture = outline(photo, instances)
        write_png(tmp_path / "a.png", picture)
        write_png(tmp_path / "b.png", outline(photo, instances))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_jpeg_for_the_report(self):
        image = Image.open(io.BytesIO(jpeg_bytes(grey_photo(20, 30))))
        assert (image.format, image.size) == ("JPEG", (30, 20))
