"""The report in a real browser: on a phone and a desk, light and dark. Without Chromium these are named as skipped."""

import zlib
from itertools import product

import pytest

from perennial.agent.drift.report.html import render
from tests.support.browser import CHROMIUM, browser
from tests.unit.agent.drift.report.test_report import EVIL, NAMED, feature, report

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NOT RUN: no Chromium is installed, so no browser has shown the page"),
    pytest.mark.timeout(300),
]
COLUMNS = 200
MOST_BYTES = 1_000_000
PHONE, DESK = 375, 1440
READABLE = 4.5
"""Least contrast of text to its background (WCAG 2.2, criterion 1.4.3)."""
CONTRAST = """(() => {
  const light = (color) => {
    const part = color.match(/[0-9.]+/g).slice(0, 3).map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [...document.querySelectorAll('h1, h2, h3, p, li, td, th')].filter((item) => item.innerText)
    .map((item) => {
      const [one, other] = [light(getComputedStyle(item).color), light(behind(item))];
      return [(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), item.innerText.slice(0, 60)];
    });
  return found.sort((one, other) => one[0] - other[0])[0];
})()"""
"""The least contrast of any text of the page, and its text; relative luminance as WCAG defines it."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of many columns, with long names and hostile ones."""
    long = [feature(f"a_column_with_a_rather_long_name_{index:03d}_{'x' * 60}") for index in range(COLUMNS - 2)]
    text = render(report(*long, feature(EVIL, NAMED), feature("plan", NAMED), quality_findings=(EVIL,) * 3))
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(text)
    return file


def test_two_hundred_columns_are_no_more_than_a_megabyte(page):
    assert page.stat().st_size <= MOST_BYTES


async def test_it_fits_phones_and_desks_in_light_and_dark(page):
    pictures = {}
    async with browser() as tab:
        await tab.open(page.as_uri())
        await tab.until("document.readyState === 'complete' && document.querySelectorAll('svg').length > 0")
        for width, dark in product((PHONE, DESK), (False, True)):
            await tab.size(width, 900, dark=dark)
            wide = await tab.value("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} points are wider than a window of {width}"
            contrast, text = await tab.value(CONTRAST)
            assert contrast >= READABLE, f"{text!r} has a contrast of {contrast:.2f} (dark: {dark})"
            pictures[width, dark] = await tab.picture()
        assert tab.requested == [page.as_uri()], "the page asks for nothing else"
        assert tab.problems == []
    assert len(set(pictures.values())) == len(pictures), "each looks different"
    for picture in pictures.values():
        assert picture.startswith(b"\x89PNG")
        assert len(zlib.compress(picture)) > 20_000, "something is drawn"
