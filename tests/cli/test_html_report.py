"""The report as a page: parsed again, its numbers those of the result."""

import re
from html.parser import HTMLParser

import jax
import numpy as np
import pytest

import jaxem
from jaxem import datasets, io
from jaxem.cli import html_report, main
from jaxem.cli.html_report import document, intervals, markup

VOID = ("img", "meta")
COLOURS = ("green", "red & <blue>")


class Page(HTMLParser):
    """Its text, its tables as rows of texts, and every tag with its attributes."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts, self.tables, self.open = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if "tr" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def table(self, *head):
        """The rows of the table whose headings begin so."""
        (found,) = [own for own in self.tables if own[0][: len(head)] == list(head)]
        return found[1:]

    @property
    def profiles(self):
        """{(column, which number): the texts of the components and of all rows}."""
        found, name = {}, ""
        for column, label, *cells in self.table("column"):
            name = column or name
            found[name, label] = cells
        return found


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two groups of 60: numbers, counts and text, with holes, under names that are markup."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(5)
    group = np.arange(120) % 2
    age = np.where(group, 60.0, 30.0) + rng.normal(0, 4, 120)
    colour = np.where(rng.random(120) < np.where(group, 0.9, 0.2), *COLOURS[::-1])
    visits = rng.poisson(np.where(group, 8.0, 1.0))
    cells = [[f"{a:.6f}", c, str(v)] for a, c, v in zip(age, colour, visits, strict=True)]
    for i, row in enumerate(cells):
        if i % 7 == 0:
            row[i % 3] = ""
    file = folder / "people & <more>.csv"
    lines = [",".join(row) for row in [["<b>&", "</td>colour", "visits"], *cells]]
    file.write_text("\n".join(lines))
    page, model = folder / "report.html", folder / "people.safetensors"
    arguments = ["fit", file, "--components", "1:2", "--family", "auto", "--starts", "4",
                 "--column-family", "visits=poisson", "-o", model, "--report", page]  # fmt: skip
    assert main(list(map(str, arguments))) == 0
    with jax.enable_x64(True):
        return Page(page), io.read(model), cells, list(map(str, arguments))


def percents(texts):
    return [float(text.removesuffix(" %")) / 100 for text in texts]


@pytest.mark.slow
def test_the_page_needs_nothing_else(people):
    page = people[0]
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    links = [value for _, own in page.tags for key, value in own.items() if key in ("src", "href")]
    assert len(links) >= 4 and all(own.startswith("data:image/png;base64,") for own in links)
    assert all(own["alt"] for tag, own in page.tags if tag == "img")


def test_nothing_of_the_data_is_markup(people):
    page = people[0]
    assert not {"b", "blue", "more"} & {tag for tag, _ in page.tags}
    for name in ("<b>&", "</td>colour", "red & <blue>", "people & <more>.csv"):
        assert name in page.text


def test_profiles_are_the_parameters(people):
    page, saved, _, _ = people
    weights, own = saved.params.weights, saved.params.components
    found = page.profiles
    np.testing.assert_allclose(percents(found["weight", ""][:2]), weights, atol=6e-4)
    means = np.ravel(own["gaussian"].means)
    deviations = np.sqrt(np.ravel(own["gaussian"].covariances))
    for text, mean, deviation in zip(found["<b>&", "mean ± sd"], means, deviations, strict=False):
        assert tuple(map(float, text.split(" ± "))) == pytest.approx((mean, deviation), rel=1e-3)
    rates = np.ravel(own["poisson"].rates)
    assert list(map(float, found["visits", "rate"][:2])) == pytest.approx(rates.tolist(), rel=1e-3)
    (level,) = [label for name, label in found if name == "</td>colour"]
    assert level == f"P({saved.levels['</td>colour'][1]})"
    probabilities = np.ravel(own["bernoulli"].probabilities)
    shown = percents(found["</td>colour", level][:2])
    np.testing.assert_allclose(shown, probabilities, atol=6e-4)


def test_the_last_column_is_the_whole_table(people):
    page, saved, cells, _ = people
    found = page.profiles
    age = np.array([float(row[0]) for row in cells if row[0]])
    shown = list(map(float, found["<b>&", "mean ± sd"][2].split(" ± ")))
    assert shown == pytest.approx([age.mean(), age.std()], abs=6e-3)
    visits = np.array([float(row[2]) for row in cells if row[2]])
    assert float(found["visits", "rate"][2]) == pytest.approx(visits.mean(), rel=1e-3)
    level = saved.levels["</td>colour"][1]
    share = np.mean([row[1] == level for row in cells if row[1]])
    assert percents([found["</td>colour", f"P({level})"][2]]) == pytest.approx([share], abs=6e-4)


def test_what_sets_a_component_apart(people):
    page, saved, _, _ = people
    old = int(np.argmax(np.ravel(saved.params.components["gaussian"].means)))
    told = re.findall(r"component (\d), \d+\.\d %: (.*?)(?=component|column)", page.text)
    said = dict(told)
    assert "<b>& high" in said[str(old)] and "<b>& low" in said[str(1 - old)]


def test_criteria_and_figures_are_those_of_the_fit(people):
    page, saved, _, _ = people
    best, other = page.table("components")
    assert best[0] == "2 ★" and best[3] == "0.00" and other[0] == "1"
    assert float(best[2]) == pytest.approx(saved.notes["bic"], abs=6e-3)
    assert float(best[4]) == pytest.approx(saved.notes["aic"], abs=6e-3)
    assert float(other[3]) == pytest.approx(float(other[2]) - float(best[2]), abs=2e-2)
    optima = page.table("optimum")
    assert float(optima[0][1]) == pytest.approx(saved.notes["log_likelihood"], abs=6e-5)
    assert int(optima[0][3]) == saved.notes["n_best"]
    assert f"{saved.notes['n_best']} of {saved.notes['n_starts']} starts" in page.text


def test_every_row_is_counted_once(people):
    rows = people[0].table("likeliest component")
    assert sum(int(row[1]) for row in rows) == 120
    assert all(sum(map(int, row[3:])) == int(row[1]) for row in rows)


def test_the_command_is_there_to_be_given_again(people):
    page, _, _, arguments = people
    assert "jaxem fit" in page.text
    assert all(word in page.text for word in arguments)
    assert "jaxem predict" in page.text and "--keep -o labelled.csv" in page.text


def test_missing_cells_and_families_are_remarked(people):
    text = people[0].text
    assert "The table has 18 missing cells in 18 of 120 rows" in text
    assert "poisson: visits" in text
    assert "The best number of components, 2, is the largest that was tried." in text


@pytest.mark.slow
def test_counts_that_are_no_counts(tmp_path):
    income = np.random.default_rng(2).normal(40000, 9000, 80).astype(int)
    file, page = tmp_path / "income.csv", tmp_path / "page.html"
    np.savetxt(file, income, "%d", header="income", comments="")
    arguments = [file, "--components", "2", "--family", "poisson", "--starts", "4"]
    main(["fit", *map(str, arguments), "--report", str(page)])
    text = Page(page).text
    assert "Counts vary more within the components than Poisson counts do: income." in text
    assert "--column-family income=negative-binomial" in text


@pytest.mark.slow
def test_a_chain(tmp_path):
    counts = datasets.load_earthquakes().x[:, 1]
    file, page = tmp_path / "quakes.csv", tmp_path / "page.html"
    np.savetxt(file, counts, "%d", header="quakes", comments="")
    arguments = [file, "--states", "2", "--family", "poisson", "--starts", "4", "--report", page]
    assert main(["fit-hmm", *map(str, arguments)]) == 0
    found = Page(page)
    # R's HiddenMarkov and Zucchini and MacDonald (2009) have rates 15.4 and 26.0
    assert [float(own) for own in found.profiles["quakes", "rate"][:2]] == pytest.approx(
        [15.42, 26.02], abs=0.01
    )
    assert "jaxem decode quakes.safetensors" in found.text
    assert "of 107 steps are of one state" in found.text
    assert len([tag for tag, _ in found.tags if tag == "img"]) == 4


@pytest.mark.slow
def test_a_collapsed_fit_says_what_to_do(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(24, 3))
    x[:8] = x[0]
    file, page = tmp_path / "equal.csv", tmp_path / "page.html"
    np.savetxt(file, x, delimiter=",", header="a,b,c", comments="")
    arguments = [file, "--components", "3", "--starts", "4", "--report", page]
    assert main(["fit", *map(str, arguments)]) == 1
    text = Page(page).text
    assert "The fit is degenerate: do not use it as it is." in text
    assert "Every start collapsed" in text and "--covariance tied" in text
    assert "None of 4 starts is regular. 4 collapsed onto a few rows" in text


@pytest.mark.slow
def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    file, page = tmp_path / "x.csv", tmp_path / "page.html"
    np.savetxt(file, np.random.default_rng(1).normal(size=(24, 3)), delimiter=",", header="a,b,c",
               comments="")  # fmt: skip
    page.write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(document, "page", full)
    arguments = [file, "--components", "1", "--starts", "4", "--report", page]
    assert main(["fit", *map(str, arguments)]) == 2
    assert "page.html" in capsys.readouterr().err
    assert page.read_text() == "before" and len(list(tmp_path.iterdir())) == 2


def test_elements_escape_what_is_no_html():
    cell = markup.element("td", "<&>", markup.element("i", '"'), title='"<')
    assert cell == '<td title="&quot;&lt;">&lt;&amp;&gt;<i>&quot;</i></td>'
    assert markup.with_options("give --a-b 3 <") == "give <code>--a-b</code> 3 &lt;"
    assert html_report.write is document.write and jaxem.__version__


@pytest.mark.slow
def test_intervals_are_those_of_the_library(tmp_path):
    """The mean waiting time of the longer eruptions, and one heading for the numbers of a kind."""
    file, path, model = (tmp_path / name for name in ("t.csv", "t.html", "t.safetensors"))
    x = datasets.load_faithful().x
    file.write_text("\n".join(["eruptions,waiting", *(f"{a},{b}" for a, b in x)]))
    assert main(["fit", str(file), "--components", "2", "--starts", "4", "-o", str(model),
                 "--standard-errors", "observed", "--report", str(path)]) == 0  # fmt: skip
    rows = Page(path).table("component", "estimate ± std. error")
    at = rows.index(["means, waiting"]) + 1
    assert [row[0] for row in rows[at : at + 2]] == ["0", "1"] and len(rows[at + 2]) == 1
    with jax.enable_x64(True):
        saved = io.read(model)
        lower, upper = jaxem.confidence_intervals(saved.model, saved.params, x)
        error = jaxem.standard_errors(saved.model, saved.params, x).components.means
    _, estimate, ends = rows[at]
    found = [*map(float, estimate.split(" ± ")), *map(float, ends.split(" to "))]
    means = saved.params.components.means, error, lower.components.means, upper.components.means
    assert found == pytest.approx([float(own[0, 1]) for own in means], rel=2e-2)
    assert found[2] == pytest.approx(float(lower.components.means[0, 1]), rel=1e-3)


def test_intervals_of_a_kind_share_a_scale():
    rows = [("weights[0]", 0.4, 0.1, 0.2, 0.6), ("weights[1]", 0.6, 0.1, 0.4, 0.8),
            ("covariances[a, a]", 2.0, np.nan, np.nan, np.nan)]  # fmt: skip
    kind, first, second, shared, only = intervals._rows(rows)
    assert (kind[0].content, kind[0].span, shared[0].content) == ("weights", 3, "covariances[a, a]")
    assert first[0] == "0" and first[1].content == "0.4 ± 0.1" and first[2].content == "0.2 to 0.6"
    assert first[2].style == "--a: 0.0%; --b: 66.7%" and second[2].style.endswith("--b: 100.0%")
    assert [only[0], only[2].content] == ["all", "-"]
