"""The report in a browser: it opens without the network and without an error, and what a reader does in it works."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, chromium, page

from analysis.report.writing import write_report

pytestmark = [
    pytest.mark.slow,  # a browser, and every chart of the report drawn in it four times: 40 s
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium"),
]

_ALL_DRAWN = "[...document.querySelectorAll('.chart')].every(one => one.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def written(tested) -> Path:
    return write_report(tested[0].run).html


def seen(file: Path, scenario: Any, **how: Any) -> Any:
    """Open the report, have ``scenario`` look at the page, and check that nothing went wrong in it."""

    async def look() -> Any:
        async with page() as opened:
            await opened.open(file, **how)
            found = await scenario(opened)
            assert opened.errors == []
            assert set(opened.asked) == {file.as_uri()}  # nothing else is fetched, from nowhere
            return found

    return asyncio.run(look())


async def draw_all(opened: Page) -> None:
    """Scroll to every chart, and wait until it is drawn."""
    for number in range(await opened.run("document.querySelectorAll('.chart').length")):
        await opened.run(f"document.querySelectorAll('.chart')[{number}].scrollIntoView({{ behavior: 'instant' }})")
        await opened.until(f"document.querySelectorAll('.chart')[{number}].querySelector('.main-svg')")
    await opened.until(_ALL_DRAWN)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_overflows_and_every_chart_is_drawn(written: Path, width: int, dark: bool) -> None:
    async def look(opened: Page) -> None:
        await draw_all(opened)
        wide = "[...document.querySelectorAll('main *')].filter(one => !one.closest('.wide, svg') && "
        wide += f"one.getBoundingClientRect().right > {width} + 0.5).map(one => one.outerHTML.slice(0, 80))"
        assert await opened.run(wide) == []
        assert await opened.run("document.documentElement.scrollWidth") == width
        ground = await opened.run("getComputedStyle(document.body).backgroundColor")
        ink = await opened.run("document.querySelector('.chart .xtick text').style.fill")
        light = "rgb(255, 255, 255)"
        assert (ground == light) is not dark
        assert (sum(map(int, ink[4:-1].split(","))) > 380) is dark  # ticks are bright on dark, dark on bright

    seen(written, look, width=width, dark=dark)


def test_it_opens_within_two_seconds(written: Path) -> None:
    async def look(opened: Page) -> float:
        begun = time.monotonic()
        await opened.open(written, width=1400)  # once more: the first time the browser itself starts
        return time.monotonic() - begun

    assert seen(written, look, width=1400) < 2
    assert written.stat().st_size < 8e6


def test_the_trials_are_sorted_and_filtered(written: Path, tested) -> None:
    table = "document.querySelector('table[data-first]')"
    column = f"[...{table}.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[%d].textContent)"

    async def look(opened: Page) -> None:
        heads = await opened.run(f"[...{table}.querySelectorAll('th')].map(head => head.textContent)")
        place = heads.index("accuracy")
        first = await opened.run(column % place)
        assert len(first) == 10 < len(tested[0].run.rows)
        click = f"{table}.querySelectorAll('th button')[{place}].click()"
        await opened.run(click)
        assert await opened.run(column % place) == sorted(first, key=float, reverse=True)
        await opened.run(click)
        known = [f"{100 * row['val_accuracy']:.1f}" for row in tested[0].run.ranked]
        assert await opened.run(column % place) == sorted(known, key=float)[:10]
        status = heads.index("status")
        choose = f"[...{table}.closest('section').querySelectorAll('select')].find(one => one.ariaLabel === 'status')"
        change = "{ bubbles: true }"
        await opened.run(f"{choose}.value = 'stopped', {choose}.dispatchEvent(new Event('change', {change}))")
        stopped = [row for row in tested[0].run.rows if row["status"] == "stopped"]
        assert await opened.run(column % status) == ["stopped"] * min(10, len(stopped))
        search = f"{table}.closest('section').querySelector('input')"
        name = stopped[0]["trial_id"]
        await opened.run(f"{search}.value = '{name}', {search}.dispatchEvent(new Event('input'))")
        assert [name in each for each in await opened.run(column % 0)] == [True]

    seen(written, look, width=1400)


def test_the_gallery_shows_one_pair_of_classes(written: Path) -> None:
    shown = "[...document.querySelectorAll('.gallery figure')].filter(one => one.offsetParent)"

    async def look(opened: Page) -> None:
        true, predicted = await opened.run(f"(({{ dataset }}) => [dataset.true, dataset.predicted])({shown}[0])")
        before = await opened.run(f"{shown}.length")
        for name, value in (("true", true), ("predicted", predicted)):
            select = f"document.querySelector('select[name={name}]')"
            await opened.run(f"{select}.value = '{value}', {select}.dispatchEvent(new Event('change'))")
        kept = await opened.run(f"{shown}.map(one => [one.dataset.true, one.dataset.predicted])")
        assert 0 < len(kept) < before
        assert kept == [[true, predicted]] * len(kept)

    seen(written, look, width=1400)


@pytest.mark.parametrize("chart", ["trial_curves", "search_history", "parallel_cnn_residual", "roc", "learning_curves"])
def test_who_points_at_a_curve_reads_what_it_is(written: Path, chart: str) -> None:
    async def look(opened: Page) -> str:
        place = f"document.getElementById('chart-{chart}')"
        await opened.run(f"{place}.scrollIntoView({{ block: 'center', behavior: 'instant' }})")
        await opened.until(f"{place}.querySelector('.main-svg')")
        await asyncio.sleep(0.5)  # until it stands where it will
        # Where plotly itself says that a point in the midst of a trace lies.
        where = await opened.run(
            f"""(() => {{ const place = {place}, box = place.getBoundingClientRect();
              const trace = place._fullData.filter(one => one.hoverinfo !== 'skip' && one.hovertemplate).at(-1);
              const axis = name => place._fullLayout[trace[`${{name}}axis`].replace(name, `${{name}}axis`)];
              const across = axis('x'), up = axis('y');
              let at = Math.floor(trace.x.length / 2); // no corner, where buttons are
              while (trace.x[at] == null || trace.y[at] == null) at--;
              return [box.left + across._offset + across.d2p(trace.x[at]),
                      box.top + up._offset + up.d2p(trace.y[at])];
            }})()"""
        )
        for shift in (-3, -1):  # a mouse that moves
            await opened.point(where[0] + shift, where[1])
            await asyncio.sleep(0.2)
        await opened.until(f"{place}.querySelector('.hovertext')")
        return str(await opened.run(f"{place}.querySelector('.hoverlayer').textContent"))

    assert any(each.isdigit() for each in seen(written, look, width=1400))


def test_light_and_dark_by_a_button_and_links_to_every_section(written: Path) -> None:
    async def look(opened: Page) -> None:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = await opened.run(ground)
        await opened.run("document.getElementById('theme').click()")
        dark = await opened.run(ground)
        assert light == "rgb(255, 255, 255)" != dark
        await opened.run("document.getElementById('theme').click()")
        assert await opened.run(ground) == light
        links = await opened.run("[...document.querySelectorAll('nav a')].map(one => one.hash)")
        for link in links:
            assert await opened.run(f"document.querySelector('section{link} h2') !== null")
        assert len(links) == await opened.run("document.querySelectorAll('section').length") > 5

    seen(written, look, width=1400)


def test_it_is_printed_light_with_every_chart(written: Path) -> None:
    async def look(opened: Page) -> bytes:
        told = await opened.ask("Page.printToPDF")
        await opened.until(_ALL_DRAWN)
        assert await opened.run("document.documentElement.dataset.theme") == "dark"  # again, once it is printed
        return bytes(told["data"], "ascii")

    assert len(seen(written, look, width=1400, dark=True)) > 50_000
