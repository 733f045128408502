"""Text of others stays text in a terminal, Markdown, HTML, a spreadsheet and a figure."""

from __future__ import annotations

import csv as reader
import io
import warnings
from html import unescape

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from condsim.cli.output import command, out
from condsim.show.escape import FORMULA, code, csv, figure_text, markdown, one_line, printable
from condsim.show.figure_files import rendered
from condsim.show.html import Html, joined, tag

BAD = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "' onload='x",
    "![x](http://example.com/x.png)",
    "[x](http://example.com) http://example.com www.example.com a@example.com",
    ":red[x] :material/delete: $x^2$ ~~x~~ `x` **x** _x_ | x |",
    "# x",
    "1. x",
    "- x",
    "[/x]",
    "exits [red]v2[/red] :smile:",
    "\x1b[2Jx\x1b]0;title\x07",
    "\x9b31m \r over \x08 back",
    "\u202egnp.exe",
    "half \ud800",
    "two\nlines",
    "=HYPERLINK(1)",
    "+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    r"\$x$ $\frac{",
    "_hidden",
    "a `` b",
)
WORDS = st.text(max_size=30) | st.text(alphabet="a1 _*`[]()<>!#+-=|~$:&@.\\w\x1b\n\t", max_size=30)
bad = pytest.mark.parametrize("text", BAD)


@given(WORDS)
def test_printable_text_obeys_nothing(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert printable(shown) == shown
    shown.encode()


@given(WORDS)
def test_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    parser = MarkdownIt("gfm-like", {"linkify": False})
    shown = one_line(text)
    cases = {f"#### {markdown(text)}": shown, f"x {code(text)}": f"x {shown}".strip()}
    for written, wanted in cases.items():
        block = parser.parse(written)
        assert len(block) == 3
        children = block[1].children or []
        assert {child.type for child in children} <= {"text", "text_special", "code_inline"}
        assert "".join(child.content for child in children) == wanted


@bad
def test_markdown_of_streamlit_shows_the_text(text: str) -> None:
    """Its colours, icons, formulas and addresses begin with characters that are escaped."""
    for written in (markdown(text), markdown(f"x {text}")):
        bare = written.replace("\\\\", "")
        for position, character in enumerate(bare):
            if character in ":$@[<":
                assert bare[position - 1] == "\\"
        assert "www." not in bare


@bad
def test_html_has_no_element_of_the_text(text: str) -> None:
    html = tag("p", text, title=text)
    assert html.count("<") == 2
    assert html.count('"') == 2
    assert unescape(html.partition(">")[2].rpartition("</p>")[0]) == printable(text)
    assert joined(tag("b", "x"), "<b>") == "<b>x</b>&lt;b&gt;"
    assert tag("p", Html("<br>")) == "<p><br></p>"
    assert tag("img", alt="<") == '<img alt="&lt;">'


@bad
def test_no_cell_is_a_formula(text: str) -> None:
    cells = pd.Series([text, None], dtype=object)
    columns = pd.Index([text, "number"], dtype=object)
    table = pd.concat([cells, pd.Series([-1.5, 2.0])], axis=1).set_axis(columns, axis=1)
    written = csv(table)
    rows = list(reader.reader(io.StringIO(written)))
    for cell in (rows[0][0], rows[1][0]):
        assert not cell.startswith(FORMULA)
        assert printable(text) in cell
    assert rows[1][1] == "-1.5"
    written.encode()


@bad
def test_a_figure_draws_the_text(text: str) -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], label=figure_text(text))
    axes.set_title(figure_text(text))
    with warnings.catch_warnings(action="ignore"):
        legend = axes.legend()
        assert rendered(figure, "svg")
    assert len(legend.get_texts()) == 1
    assert "$" not in figure_text(text).replace(r"\$", "")


@bad
def test_a_terminal_shows_the_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(text, title=text)
    table.add_row(text)
    console = out()
    console.print(table)
    console.print(text)
    shown = capsys.readouterr().out
    assert not [c for c in shown if not c.isprintable() and c != "\n"]
    for line in printable(text).splitlines():
        assert shown.count(line) >= 4


@bad
def test_a_terminal_obeys_no_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add_row(Text(text))
    out().print(table, Text(text, "bold"))
    shown = capsys.readouterr().out
    assert not [c for c in shown if not c.isprintable() and c != "\n"]


def test_a_suggested_command_is_one_command() -> None:
    assert command("simulate", "x; rm *", "--batch", 8) == "condsim simulate 'x; rm *' --batch 8"
