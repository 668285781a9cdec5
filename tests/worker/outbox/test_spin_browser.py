"""The spin page in a real browser, opened from disk."""

from __future__ import annotations

import colorsys
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.worker.outbox.chromium import Page, find_chromium, running_chromium, wait_until
from worker.outbox.report import spin_page

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium or Chrome is installed here")

COUNT, SIZE = 8, (480, 320)
COLOURS = [
    tuple(round(255 * part) for part in colorsys.hsv_to_rgb(i / COUNT, 0.8, 0.9))
    for i in range(COUNT)
]
NAMES = tuple(f"car_{i:02}.jpg" for i in range(1, COUNT + 1))
DESKTOP, PHONE = (900, 600), (390, 844)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert CHROMIUM
    with running_chromium(CHROMIUM, tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Page:
    browser.screen(*DESKTOP)
    browser.prefers(prefers_reduced_motion="no-preference", prefers_color_scheme="light")
    return browser


def write_spin(folder: Path, names: Sequence[str] = NAMES, *, title: str = "A car") -> Path:
    for number, name in enumerate(names):
        picture = Image.new("RGB", SIZE, COLOURS[number])
        ImageDraw.Draw(picture).text((20, 10), str(number), "black", font_size=60)
        picture.save(folder / name, format="JPEG", quality=92)
    path = folder / "spin.html"
    path.write_text(spin_page(names, title=title, size=SIZE), encoding="utf-8")
    return path


def open_ready(page: Page, path: Path) -> None:
    page.open(path)
    wait_ready(page)


def wait_ready(page: Page) -> None:
    wait_until(lambda: page.run("document.documentElement.dataset.ready") == "true")


def frame(page: Page) -> int:
    return int(page.run("document.documentElement.dataset.frame"))


def seen(page: Page) -> int:
    """The number of the picture that a person sees, by the colour at the middle of the stage."""
    x, y = middle(page)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    scale = shot.width / page.run("innerWidth")
    colour = shot.getpixel((round(x * scale), round(y * scale)))
    assert isinstance(colour, tuple)
    distance = [sum(abs(a - b) for a, b in zip(colour, c, strict=True)) for c in COLOURS]
    assert min(distance) < 30, f"no picture is shown, the stage is {colour}"
    return distance.index(min(distance))


def middle(page: Page) -> tuple[float, float]:
    box = page.run("(b => [b.x + b.width / 2, b.y + b.height / 2])(stage.getBoundingClientRect())")
    return box[0], box[1]


def picture_width(page: Page) -> float:
    across, down = page.run("[stage.clientWidth, stage.clientHeight]")
    return min(across, down * SIZE[0] / SIZE[1])


def drag(page: Page, turns: float, *, touch: bool = False, hold_seconds: float = 0.2) -> None:
    """Pull the car to the right by so many picture widths, and hold still before letting go."""
    x, y = middle(page)
    path = [x + turns * picture_width(page) * (i / 16 - 0.5) for i in range(17)]
    if touch:
        page.touch("touchStart", (path[0], y))
        for x in path[1:]:
            page.touch("touchMove", (x, y))
        time.sleep(hold_seconds)
        page.touch("touchEnd")
        return
    page.mouse("mousePressed", path[0], y)
    for x in path[1:]:
        page.mouse("mouseMoved", x, y)
    time.sleep(hold_seconds)
    page.mouse("mouseReleased", path[-1], y)


def wait_still(page: Page) -> None:
    """Until the full picture has taken over, which it does when nothing moves any more."""
    wait_until(lambda: not page.run("stage.classList.contains('turning')"))


def click(page: Page, button: str) -> None:
    x, y = page.run(
        f"(b => [b.x + b.width / 2, b.y + b.height / 2])({button}.getBoundingClientRect())"
    )
    page.mouse("mousePressed", x, y)
    page.mouse("mouseReleased", x, y)


def label(page: Page, name: str) -> str | None:
    value = page.run(f"stage.getAttribute({name!r})")
    return None if value is None else str(value)


@pytest.mark.parametrize(("turns", "expected"), [(0.25, 6), (-0.25, 2), (0.125, 7), (-0.625, 5)])
def test_the_near_side_of_the_car_follows_the_mouse(
    page: Page, tmp_path: Path, turns: float, expected: int
) -> None:
    open_ready(page, write_spin(tmp_path))
    drag(page, turns)
    wait_still(page)
    assert (frame(page), seen(page)) == (expected, expected)


def test_a_drag_over_one_picture_width_is_one_full_turn(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path))
    page.run(
        "(window.passed = [], new MutationObserver(() => passed.push(+document.documentElement"
        ".dataset.frame)).observe(document.documentElement, {attributes: true}))"
    )
    drag(page, -1)
    assert page.run("passed") == [1, 2, 3, 4, 5, 6, 7, 0]


def test_a_finger_turns_the_car(page: Page, tmp_path: Path) -> None:
    page.screen(*PHONE, scale=2, phone=True)
    open_ready(page, write_spin(tmp_path))
    drag(page, 0.25, touch=True)
    wait_still(page)
    assert (frame(page), seen(page)) == (6, 6)


def test_a_flick_coasts_on_and_comes_to_rest(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path))
    drag(page, -0.25, hold_seconds=0)
    wait_still(page)
    assert 2 < frame(page) <= 5
    assert seen(page) == frame(page)


def test_nothing_coasts_where_reduced_motion_is_preferred(page: Page, tmp_path: Path) -> None:
    page.prefers(prefers_reduced_motion="reduce")
    open_ready(page, write_spin(tmp_path))
    drag(page, -0.25, hold_seconds=0)
    wait_still(page)
    assert frame(page) == 2


def test_a_sideways_swipe_turns_the_car_and_an_upright_one_is_the_pages(
    page: Page, tmp_path: Path
) -> None:
    open_ready(page, write_spin(tmp_path))
    page.run("addEventListener('wheel', event => window.taken = event.defaultPrevented) || 0")
    x, y = middle(page)
    page.mouse("mouseWheel", x, y, deltaX=picture_width(page) / 4, deltaY=0)
    wait_until(lambda: frame(page) == 2)
    assert page.run("taken")
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=200)
    wait_until(lambda: not page.run("taken"))
    assert frame(page) == 2


def test_keys_step_by_one_and_wrap_around(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path))
    steps = ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("Home", 0), ("ArrowLeft", 7)
    for key, expected in (*steps, ("ArrowRight", 0), ("End", 7)):
        page.press(key)
        assert frame(page) == expected


def test_every_step_shows_its_picture_at_once_without_a_blank_between(
    page: Page, tmp_path: Path
) -> None:
    open_ready(page, write_spin(tmp_path))
    for expected in (1, 2, 3):
        page.press("ArrowRight")
        assert seen(page) == expected
    wait_still(page)
    assert seen(page) == 3


def test_buttons_step_and_play_turns_until_it_is_pressed_again(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path))
    click(page, "next")
    assert frame(page) == 1
    click(page, "previous")
    click(page, "previous")
    assert frame(page) == 7
    click(page, "play")
    assert page.run("play.getAttribute('aria-pressed')") == "true"
    wait_until(lambda: frame(page) == 1)
    click(page, "play")
    stopped = frame(page)
    assert page.run("play.getAttribute('aria-pressed')") == "false"
    time.sleep(1)
    assert frame(page) == stopped


def test_the_first_picture_is_seen_before_the_others_are_loaded(page: Page, tmp_path: Path) -> None:
    path = write_spin(tmp_path)
    page.send("Fetch.enable", patterns=[{"urlPattern": f"*{name}"} for name in NAMES[1:]])
    try:
        page.open(path)
        wait_until(lambda: page.run("document.querySelector('progress').value") == 1)
        assert seen(page) == 0
        assert page.run("document.documentElement.dataset.ready") is None
    finally:
        page.send("Fetch.disable")
    wait_ready(page)
    page.press("ArrowRight")
    assert seen(page) == 1


def test_the_page_asks_for_its_pictures_on_disk_and_nothing_else(
    page: Page, tmp_path: Path
) -> None:
    path = write_spin(tmp_path)
    open_ready(page, path)
    drag(page, 0.25)
    asked = {e["params"]["request"]["url"] for e in page.events if "request" in e["params"]}
    wanted = {path.as_uri(), *((tmp_path / name).as_uri() for name in NAMES)}
    assert {url for url in asked if not url.startswith("data:")} == wanted
    assert [
        e for e in page.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")
    ] == []


def test_the_page_may_not_reach_a_network(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path))
    blocked = page.run(
        "new Promise(done => { addEventListener('securitypolicyviolation', e => "
        "done(e.effectiveDirective)); new Image().src = 'http://127.0.0.1:9/spy.gif'; })"
    )
    assert blocked == "img-src"


def test_odd_file_names_and_titles_do_no_harm(page: Page, tmp_path: Path) -> None:
    names = ("a b#1.jpg", "50%41?x=1&y.jpg", 'it\'s "q".jpg', "Škoda 中文 🚗.jpg", "a<!--:+;.jpg")
    title = "</title></script><script>document.title = 'gone'</script> {{policy}} \"&amp;"
    open_ready(page, write_spin(tmp_path, names, title=title))
    assert page.run("trouble.textContent") == ""
    assert page.run("document.title") == title
    for expected in range(len(names)):
        assert seen(page) == expected
        page.press("ArrowRight")


@pytest.mark.parametrize("lost", [0, 2])
def test_a_missing_picture_is_reported_and_passed_over(
    page: Page, tmp_path: Path, lost: int
) -> None:
    path = write_spin(tmp_path)
    (tmp_path / NAMES[lost]).unlink()
    open_ready(page, path)
    page.press("End")
    visited = []
    for _ in range(COUNT - 1):
        page.press("ArrowRight")
        visited.append(seen(page))
    assert visited == [n for n in range(COUNT) if n != lost]
    assert "1 of 8 pictures cannot be loaded" in page.run("trouble.textContent")


def test_one_picture_alone_is_a_picture_without_controls(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path, NAMES[:1]))
    drag(page, 0.25)
    page.press("ArrowRight")
    assert (frame(page), seen(page)) == (0, 0)
    assert page.run("document.querySelector('nav').hidden")


def test_assistive_technology_hears_a_slider_that_follows(page: Page, tmp_path: Path) -> None:
    open_ready(page, write_spin(tmp_path, title="A blue car"))
    assert label(page, "role") == "slider"
    assert label(page, "aria-label") == "A blue car, 360° view"
    assert (label(page, "aria-valuemin"), label(page, "aria-valuemax")) == ("1", "8")
    assert (label(page, "aria-valuenow"), label(page, "tabindex")) == ("1", "0")
    page.press("ArrowLeft")
    assert label(page, "aria-valuenow") == "8"
    assert label(page, "aria-valuetext") == "Picture 8 of 8"
