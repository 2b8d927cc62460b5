"""The two looks of a report, one HTML page and Markdown; `analysis.report.sections` says what is in it.

Both escape all text, so that no name of a run, a class or a file can be taken for markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis.report.form.blocks import (
    Block,
    Bullets,
    Cell,
    Definitions,
    Gallery,
    Note,
    Paragraph,
    Picture,
    Report,
    Row,
    Table,
    Text,
)

_MARKUP = re.compile(
    r"[\\*\[\]]"
    r"|<(?=[A-Za-z/!?])"  # opens a tag; that of "p < 0.001" does not
    r"|&(?=#?\w+;)"  # an entity
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # emphasis; not that inside learning_rate
)


def as_html(report: Report) -> str:
    """Return the report as one HTML page that needs nothing beside itself: figures, script and plotly.js are inside."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inside"] = _inside
    charts = any(isinstance(block, Picture) and block.chart for section in report.sections for block in section.blocks)
    library = Markup(get_plotlyjs()) if charts else ""  # plotly's own file, which has no end of a script in it
    style, script = (_beside(environment, name) for name in ("report.css", "report.js"))
    page = environment.get_template("report.html.j2")
    return page.render(report=report, library=library, style=style, script=script) + "\n"


def _beside(environment: jinja2.Environment, name: str) -> Markup:
    """Return a file that stands beside the template, as it is."""
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    return Markup(source)


def _inside(json: str) -> Markup:
    """Return JSON that stands in a page: no name in it can end the script."""
    return Markup(json.replace("<", "\\u003c"))


def as_markdown(report: Report) -> str:
    """Return the report as Markdown with GitHub's tables; its figures are the png files in ``figures/``."""
    parts = [f"# {escape(report.title)}", *map(_block, report.opening)]
    for section in report.sections:
        parts += [f"## {escape(section.title)}", *filter(None, [blocks_as_markdown(section.blocks)])]
    return "\n\n".join(parts) + "\n"


def blocks_as_markdown(blocks: Iterable[Block]) -> str:
    """Return what stands below a heading as Markdown."""
    return "\n\n".join(filter(None, map(_block, blocks)))


def escape(prose: str) -> str:
    """Return prose on one line, with what Markdown would take for markup escaped."""
    line = _MARKUP.sub(lambda found: f"\\{found[0]}", " ".join(prose.splitlines()))
    return line.replace("`", "&#96;")  # a backslash before it would leave doubt where code follows


def escape_cell(prose: str) -> str:
    """Return prose for a cell of a table: on one line, no pipe ends it, and nothing is taken for markup."""
    return _piped(escape(prose))


def _piped(markdown: str) -> str:
    return markdown.replace("|", "\\|")  # in a table this counts in code too


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"**{_text(block.text)}**" if block.look == "answer" else _text(block.text)
    if isinstance(block, Note):
        return f"> {_text(block.text)}"
    if isinstance(block, Bullets):
        return "\n".join(f"- {_text(item)}" for item in block.items)
    if isinstance(block, Definitions):
        return "\n".join(f"- {_text(name)}: {_text(told)}" for name, told in block.items)
    if isinstance(block, Picture):
        return "" if block.only == "page" else f"![{escape(block.caption)}](figures/{block.name}.png)"
    if isinstance(block, Gallery):
        return ""  # the sheets of pictures show it
    return "\n".join(_table(block))


def _table(table: Table) -> Iterable[str]:
    yield _line(escape_cell(column.name) for column in table.columns)
    yield f"|{'|'.join('--:' if column.align == 'right' else '---' for column in table.columns)}|"
    for row in table.rows[: table.first or None]:
        yield _line(_cells(row))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> Iterable[str]:
    return (_piped(_cell(cell)) for cell in row.cells)


def _cell(cell: Cell) -> str:
    return f"{_text(cell.text)} ({_text(cell.under)})" if cell.under else _text(cell.text)


def _text(text: Text) -> str:
    return "".join(_code(span.text) if span.code else escape(span.text) for span in text)


def _code(words: str) -> str:
    """Return code between as many backticks as it needs to hold its own."""
    words = " ".join(words.splitlines())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", words)), default=0))
    padded = f" {words} " if "`" in words else words
    return f"{fence}{padded}{fence}"
