"""What notebooks show."""

from xml.etree import ElementTree

from jaxem.core import html_tables


def test_what_looks_like_markup_is_text():
    rows = [("a < b & c", '<script>"x"</script>'), ("two", "2")]
    shown = ElementTree.fromstring(html_tables.table("k < 3", rows))
    assert shown.findtext("caption") == "k < 3"
    assert [(row.findtext("th"), row.findtext("td")) for row in shown.iter("tr")] == rows
