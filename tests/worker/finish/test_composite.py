from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.worker.finish.drawn_car import DrawnCar, draw_car
from worker.finish.backdrop import render_backdrop
from worker.finish.composite import compose
from worker.finish.presets import (
    ColourBackdrop,
    NoBackdrop,
    NoShadow,
    Output,
    Overlay,
    Preset,
    RealShadow,
    SoftShadow,
    load_preset,
)
from worker.finish.shadow import soft_shadow

NO_SHADOW = NoShadow(kind="none")
BLACK = ColourBackdrop(kind="colour", colour="#000000")


def test_the_car_is_the_photo_and_the_rest_the_backdrop_bit_for_bit(drawn: DrawnCar) -> None:
    preset = load_preset("studio-grey").model_copy(update={"shadow": NO_SHADOW})
    composite = compose(drawn.photo, drawn.alpha, preset).composite
    height, width = drawn.alpha.shape
    backdrop = render_backdrop(preset, (width, height))
    assert np.array_equal(composite[drawn.alpha == 255], drawn.photo[drawn.alpha == 255])
    assert np.array_equal(composite[drawn.alpha == 0], backdrop[drawn.alpha == 0])


@pytest.mark.parametrize(("position", "covered"), [("top-left", False), ("centre", True)])
def test_it_says_whether_a_logo_lies_on_the_car(
    drawn: DrawnCar, tmp_path: Path, position: str, covered: bool
) -> None:
    Image.new("RGB", (40, 20), (9, 9, 9)).save(tmp_path / "logo.png")
    overlay = {"picture": tmp_path / "logo.png", "position": position, "width": 0.1}
    preset = Preset(backdrop=BLACK, overlay=Overlay.model_validate(overlay))
    assert compose(drawn.photo, drawn.alpha, preset).covered is covered
    assert not compose(drawn.photo, drawn.alpha, Preset(backdrop=BLACK)).covered


def test_the_edge_is_the_cars_own_colour_over_the_backdrop_to_one_step() -> None:
    alpha = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    photo = np.full((64, 256, 3), 200, np.uint8)  # car and wall alike: the colour is no question
    preset = Preset(backdrop=BLACK, shadow=NO_SHADOW)
    exact = np.rint(200 * np.arange(256) / 255)
    composite = compose(photo, alpha, preset).composite.astype(int)
    assert np.abs(composite[32, :, 0] - exact).max() == 0


def test_no_halo_of_the_old_wall_is_left_on_a_dark_backdrop(drawn: DrawnCar) -> None:
    preset = Preset(backdrop=BLACK, shadow=NO_SHADOW)
    composite = compose(drawn.photo, drawn.alpha, preset).composite
    a = drawn.alpha[..., None] / 255
    ideal = np.rint(a * drawn.car)
    plain = np.rint(a * drawn.photo)
    assert np.abs(plain - ideal).max() > 40
    assert np.abs(composite - ideal).max() < 10


def test_a_shadow_darkens_the_floor_and_nothing_else(drawn: DrawnCar) -> None:
    white = ColourBackdrop(kind="colour", colour="#ffffff")
    composite = compose(drawn.photo, drawn.alpha, Preset(backdrop=white)).composite
    assert np.all(composite[:100] == 255)
    assert composite[232, 242].max() < 120
    assert np.array_equal(composite[drawn.alpha == 255], drawn.photo[drawn.alpha == 255])


def test_the_shadow_of_a_flat_backdrop_fades_without_bands(drawn: DrawnCar) -> None:
    grey = ColourBackdrop(kind="colour", colour="#808080")
    composite = compose(drawn.photo, drawn.alpha, Preset(backdrop=grey)).composite
    light = soft_shadow(drawn.alpha, SoftShadow(kind="soft"))[:, 200:280]
    fading = np.flatnonzero((light.mean(axis=1) > 0.6) & (light.mean(axis=1) < 0.9))
    rows = composite[fading[fading > 240], 200:280, 0]
    assert len(rows) > 5
    assert min(np.unique(row).size for row in rows) >= 2


@pytest.mark.parametrize("shadow", [SoftShadow(kind="soft"), RealShadow(kind="real")])
def test_a_shadow_ends_before_the_pictures_border(shadow: SoftShadow | RealShadow) -> None:
    car = draw_car()
    close = slice(40, 440)  # 28 and 22 pixels of floor are left beside the car
    alpha = car.alpha[:, close]
    cast = soft_shadow(car.alpha, SoftShadow(kind="soft", softness=0.2))[:, close, None]
    photo = np.where(alpha[..., None] < 8, car.photo[:, close] * cast, car.photo[:, close])
    photo = np.rint(photo).astype(np.uint8)
    preset = Preset(backdrop=ColourBackdrop(kind="colour", colour="#ffffff"), shadow=shadow)
    composite = compose(photo, alpha, preset).composite
    assert (composite[:, [0, -1]] == 255).all()
    assert composite[244, 90].mean() < 200, "there is one under the tyre"


def test_a_car_that_is_cut_off_keeps_its_shadow_there() -> None:
    car = draw_car()
    half = slice(200, 480)
    preset = Preset(
        backdrop=ColourBackdrop(kind="colour", colour="#ffffff"), shadow=SoftShadow(kind="soft")
    )
    composite = compose(car.photo[:, half], car.alpha[:, half], preset).composite
    assert composite[232, 0].mean() < 225
    assert (composite[:, -1] == 255).all()


def test_without_a_backdrop_the_composite_is_the_cut_out(drawn: DrawnCar) -> None:
    composite = compose(drawn.photo, drawn.alpha, load_preset("transparent")).composite
    assert composite.shape == (*drawn.alpha.shape, 4)
    assert np.array_equal(composite[..., 3], drawn.alpha)
    assert np.array_equal(composite[drawn.alpha == 255, :3], drawn.photo[drawn.alpha == 255])


def test_without_a_backdrop_a_shadow_is_translucent_black(drawn: DrawnCar) -> None:
    clear = Preset(
        backdrop=NoBackdrop(kind="none"),
        shadow=SoftShadow(kind="soft"),
        output=Output(format="png"),
    )
    on_white = Preset(
        backdrop=ColourBackdrop(kind="colour", colour="#ffffff"), shadow=SoftShadow(kind="soft")
    )
    rgba = compose(drawn.photo, drawn.alpha, clear).composite.astype(float)
    a = rgba[..., 3:] / 255
    laid = rgba[..., :3] * a + 255 * (1 - a)
    direct = compose(drawn.photo, drawn.alpha, on_white).composite
    assert 100 < rgba[232, 242, 3] < 255
    assert np.abs(laid - direct).max() <= 4


def test_cut_outs_are_made_when_asked_for(drawn: DrawnCar) -> None:
    assert compose(drawn.photo, drawn.alpha, Preset()).cutout is None
    cutout = compose(drawn.photo, drawn.alpha, Preset(output=Output(cutouts=True))).cutout
    assert cutout is not None
    assert np.array_equal(cutout[..., 3], drawn.alpha)


@pytest.mark.parametrize("level", [0, 255])
def test_an_empty_mask_shows_the_backdrop_and_a_full_one_the_photo(level: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    composite = compose(photo, np.full((48, 64), level, np.uint8), Preset()).composite
    expected = photo if level else render_backdrop(Preset(), (64, 48))
    assert np.array_equal(composite, expected)


def test_a_mask_of_another_size_than_its_photo_is_refused(drawn: DrawnCar) -> None:
    with pytest.raises(ValueError, match="differ in size"):
        compose(drawn.photo, drawn.alpha[:-1], Preset())


def test_many_threads_make_the_same_picture_and_change_no_input(drawn: DrawnCar) -> None:
    photo, alpha = drawn.photo.copy(), drawn.alpha.copy()
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: compose(photo, alpha, Preset()).composite, range(18)))
    assert all(np.array_equal(each, made[0]) for each in made)
    assert np.array_equal(photo, drawn.photo)
    assert np.array_equal(alpha, drawn.alpha)
