"""Tables in words: the same for a terminal and for a page."""

from condsim.show.tables import Column, Listing


def test_a_page_shows_what_a_terminal_does() -> None:
    columns = [Column("", "kind"), Column("share", "share", lambda value: f"{value:.0%}")]
    listing = Listing(columns, [{"kind": "paths", "share": 0.25, "left out": 1}])
    page = listing.for_page()
    assert list(page.columns) == ["kind", "share"]
    assert page.to_dict("records") == [{"kind": "paths", "share": "25%"}]
    terminal = listing.for_terminal("title")
    assert [column.header for column in terminal.columns] == ["", "share"]
    assert terminal.row_count == 1


def test_a_page_without_rows_keeps_its_columns() -> None:
    assert list(Listing([Column("site", "site")], []).for_page().columns) == ["site"]
