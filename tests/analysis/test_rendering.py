"""One description of a report, two looks: both hold the same, and nothing in it is taken for markup."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import get_args

import pytest
from markdown_it import MarkdownIt  # as rich has it

from analysis.report.form.blocks import (
    Bullets,
    Cell,
    Column,
    Definitions,
    Gallery,
    Note,
    Paragraph,
    Picture,
    Place,
    Report,
    Row,
    Section,
    Span,
    Table,
    Text,
    quiet,
    row,
    stacked,
    text,
)
from analysis.report.form.rendering import as_html, as_markdown
from analysis.report.sections.whole import describe
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.report.writing import what_mattered

ODD = "a|b\n<b>c</b> *d* [e](f) &amp; __g__ \\ `"


@dataclass
class Seen:
    """What a reader finds: headings, tables (of rows of cells), list items, and all else in a line each."""

    headings: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """Reads HTML, or what Markdown is turned into; what stands under a cell comes in brackets, as Markdown has it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen = Seen()
        self.labels: list[str | None] = []
        self.codes: list[str] = []
        self._words = ""
        self._under = False
        self._aside = False  # in what a reader does not read as a part of the report
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.seen.tables.append([])
        elif tag == "tr":
            self.seen.tables[-1].append([])
        elif tag in ("nav", "noscript", "script"):
            self._aside = True
        elif tag == "td":
            self.labels.append(dict(attrs).get("data-of"))
        elif tag == "br":
            self._words += " ("
            self._under = True
        elif tag == "img" and (dict(attrs)["src"] or "").startswith("figures/"):
            self.seen.captions.append(dict(attrs)["alt"] or "")  # of Markdown, which has no other
        if self._aside:
            return
        if tag in ("h1", "h2", "p", "li", "dt", "td", "th", "figcaption", "code"):
            self._kept = self._words if tag == "code" else ""
            self._words = ""

    def handle_data(self, data: str) -> None:
        if not self._aside:
            self._words += data

    def handle_endtag(self, tag: str) -> None:
        if self._aside:
            self._aside = tag not in ("nav", "noscript", "script")
            return
        if tag == "code":
            self.codes.append(self._words)
            self._words = self._kept + self._words
            return
        words = " ".join(self._words.split())
        if tag in ("td", "th"):
            self.seen.tables[-1][-1].append(words + ")" if self._under else words)
            self._under = False
        elif tag in ("h1", "h2"):
            self.seen.headings.append(words)
        elif tag == "dt":
            self._words = f"{words}: "
            return
        elif tag in ("li", "dd"):
            self.seen.items.append(words)
        elif tag == "p" and words:
            self.seen.lines.append(words)
        elif tag == "figcaption":
            self.seen.captions.append(words)
        if tag not in ("span", "strong", "a"):
            self._words = ""


def read_html(html: str) -> Seen:
    return Page(html.split("<main>")[1]).seen


def read_markdown(markdown: str) -> Seen:
    return Page(MarkdownIt("commonmark").enable("table").render(markdown)).seen


def say(words: Text) -> str:
    return " ".join("".join(span.text for span in words).split())


def described(report: Report, *, page: bool) -> Seen:
    """Return what the description itself holds: for a page, or for Markdown."""
    seen = Seen(headings=[report.title, *(section.title for section in report.sections)])
    for block in [*report.opening, *(block for section in report.sections for block in section.blocks)]:
        match block:
            case Paragraph() | Note():
                seen.lines.append(say(block.text))
            case Bullets():
                seen.items += map(say, block.items)
            case Definitions():
                seen.items += [f"{say(name)}: {say(told)}" for name, told in block.items]
            case Picture():
                if block.only != ("paper" if page else "page"):
                    seen.captions.append(block.caption)
            case Gallery():
                if page:
                    seen.lines.append(block.caption)
                    seen.captions += [item.words for item in block.items]
            case Table():
                rows = block.rows if page or not block.first else block.rows[: block.first]
                cells = [
                    [say(cell.text) + (f" ({say(cell.under)})" if cell.under else "") for cell in each.cells]
                    for each in rows
                ]
                seen.tables.append([[column.name for column in block.columns], *cells])
    return seen


def report_of(run) -> Report:
    """Return the report of a run with a picture in every place, none of them drawn."""
    places = [place for place in get_args(Place) if place != "settings"]
    pictures = [Picture(place, f"at_{place}", f"Seen at {place}.", "") for place in places]
    pictures += [Picture("settings", f"of_{name}", f"Of {name}.", "", name) for name in run.settings.backbones]
    return describe(gather(run, standing(run), what_mattered(run)), pictures)


def leave_open(made) -> None:
    """Let the papers of a run leave a setting, and their networks, open."""
    settings = made.run.settings
    chosen = {"batch_size": "not given; 64 is common", "network": "the layers are not given"}
    published = {
        name: [entry.model_copy(update={"chosen": chosen}) for entry in entries]
        for name, entries in settings.published.items()
    }
    made.run.folder.write_settings(settings.model_copy(update={"published": published}))


@pytest.fixture(params=["tested", "unfinished", "empty"])
def report(request: pytest.FixtureRequest, made) -> Report:
    if request.param == "tested":
        finished, _ = request.getfixturevalue("tested")
        return report_of(finished.run)
    leave_open(made)
    if request.param == "empty":
        for name in ("trials", "epochs"):
            (made.path / f"{name}.parquet").unlink()
    else:
        made.refit([[0.6, 0.61], [0.5, None]])
    return report_of(made.run)


def test_both_looks_hold_what_is_described(report: Report) -> None:
    wanted = described(report, page=True)
    assert wanted.items
    assert read_html(as_html(report)) == wanted
    assert read_markdown(as_markdown(report)) == described(report, page=False)


def test_every_row_has_a_cell_for_each_column(report: Report) -> None:
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                assert {len(each.cells) for each in block.rows} == {len(block.columns)}


def test_code_is_marked_as_each_look_does(report: Report) -> None:
    html = as_html(report)
    words = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    assert "`" not in words
    assert "None" not in words
    assert "None" not in as_markdown(report)
    spans = [span.text for block in report.opening if isinstance(block, Note) for span in block.text if span.code]
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Paragraph):
                spans += [span.text for span in block.text if span.code]
            elif isinstance(block, Bullets):
                spans += [span.text for item in block.items for span in item if span.code]
    assert spans  # each of these runs has a command to type or a file to name
    for words in spans:
        assert words in Page(html).codes
        assert f"`{words}`" in as_markdown(report)


def test_a_finished_run_has_every_section(tested) -> None:
    made, _ = tested
    report = report_of(made.run)
    assert [section.title for section in report.sections] == [
        "Published configurations and the searched one",
        "The winner against the others, on the same images",
        "On the held-out split",
        "One model or several: what validation chose",
        "Calibration",
        "Errors",
        "Refits",
        "Trials of the search",
        "What mattered",
        "How it was obtained",
        "What it does not show",
    ]
    shown = {block.place for section in report.sections for block in section.blocks if isinstance(block, Picture)}
    assert shown == {
        "comparison",
        "differences",
        "classes",
        "held-out",
        "calibration",
        "errors",
        "refits",
        "search",
        "settings",
    }  # "pareto" is for searches with two objectives


def test_an_empty_run_says_what_to_do_and_how_it_was_to_be(made) -> None:
    for name in ("trials", "epochs"):
        (made.path / f"{name}.parquet").unlink()
    titles = [section.title for section in report_of(made.run).sections]
    assert titles == [
        "Published configurations and the searched one",
        "How it was obtained",
        "What it does not show",
    ]


def test_the_report_names_no_folder_of_this_machine_once_it_is_whole(tested) -> None:
    made, _ = tested
    for look in (as_html, as_markdown):
        assert str(made.path) not in look(report_of(made.run))


def test_without_figures_none_is_said_to_stand_beside_it(tested) -> None:
    made, _ = tested
    run = made.run
    report = describe(gather(run, standing(run), []), [])
    assert "figures stand beside this file" not in as_html(report) + as_markdown(report)
    assert "figures stand beside this file" in as_html(report_of(run))


def whole(*blocks) -> Report:
    return Report(ODD, [Paragraph((Span(ODD),), "answer")], [Section(ODD, list(blocks))])


def test_odd_text_is_safe_and_whole_in_every_block() -> None:
    odd = (Span(ODD),)
    report = whole(
        Paragraph((Span(ODD), Span("x `y` | z", code=True))),
        Note(odd),
        Bullets([odd, odd]),
        quiet("Between two lists."),
        Definitions([((Span("name"),), odd)]),
        Table(
            [Column(ODD), Column("n", "right"), Column("small", look="small"), Column("long", look="long")],
            [Row([Cell(odd, odd), Cell((Span(ODD, code=True),)), Cell(odd), Cell(odd)])],
        ),
        Picture("search", "name", ODD, ""),
    )
    wanted = described(report, page=True)
    wanted.headings = [" ".join(each.split()) for each in wanted.headings]
    wanted.captions = [" ".join(each.split()) for each in wanted.captions]
    wanted.tables = [[[" ".join(cell.split()) for cell in each] for each in table] for table in wanted.tables]
    html, markdown = as_html(report), as_markdown(report)
    assert read_html(html) == wanted
    assert read_markdown(markdown) == wanted
    assert "<b>" not in html
    assert "<b>" not in MarkdownIt("commonmark").enable("table").render(markdown)


def test_a_cell_keeps_its_row_in_markdown() -> None:
    report = whole(Table([Column("a"), Column("b")], [row("x|y\nz <b>", stacked("1", "2|3")), row("", "< 0.001")]))
    assert "| x\\|y z \\<b> | 1 (2\\|3) |\n|  | < 0.001 |" in as_markdown(report)
    assert "<tr><td>x|y\nz &lt;b&gt;</td>" in as_html(report)


def test_a_phone_shows_short_labels_before_cells_but_not_before_long_ones() -> None:
    columns = [
        Column("name"),
        Column("a long head", "right", label="head"),
        Column("other"),
        Column("all", look="long"),
    ]
    html = as_html(whole(Table(columns, [row("x", "1", "2", "3", ours=True)])))
    assert Page(html).labels == [None, "head", "other", None]
    assert '<tr class="ours"><td>x</td><td class="n" data-of="head">1</td>' in html
    assert '<td class="long">3</td></tr>' in html
    assert '<th class="n">a long head</th>' in html


def test_prose_marks_its_code_with_backticks() -> None:
    assert text("a `b c` d", Span("e`", code=True)) == (
        Span("a "),
        Span("b c", code=True),
        Span(" d"),
        Span("e`", code=True),
    )
    assert text("a ` b") == (Span("a ` b"),)  # a single one is itself
    assert "<code>b c</code>" in as_html(whole(quiet("a `b c` d")))


def test_files_of_doubtful_labels_are_code(tested) -> None:
    made, _ = tested
    run = made.run
    facts = gather(run, standing(run), [])
    assert facts.examples is not None
    doubt = {"source": "a|b.png", "label": "sad", "suggested": "fear", "p": "88"}
    some = describe(replace(facts, examples=replace(facts.examples, rows=[doubt])), [])
    assert "| `a\\|b.png` | sad | fear | 88 |" in as_markdown(some)
    assert '<tr><td><code>a|b.png</code></td><td data-of="label">sad</td>' in as_html(some)
    assert (run.folder.path / facts.examples.file).is_file()
