"""The website's configuration: every notebook and every module has its place. `make check-site` looks at the pages."""

import ast
import re
import runpy

import pytest

from dip_repro.runtime import ROOT

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def configuration():
    return runpy.run_path(str(ROOT / "docs" / "conf.py"))


def test_every_notebook_has_a_card_with_a_title_and_a_picture(configuration):
    cards = configuration["cards"]()
    assert sorted(re.findall(r":link: /notebooks/(\w+)", cards)) == NOTEBOOKS
    titles = re.findall(r"\{grid-item-card\} (.+)", cards)
    assert len(titles) == len(set(titles)) == len(NOTEBOOKS)
    pictures = re.findall(r":img-top: /(.+)", cards)
    assert len(pictures) == len(NOTEBOOKS) and all((ROOT / picture).is_file() for picture in pictures)


def test_the_navigation_has_every_notebook_and_nothing_that_is_not_there(configuration):
    contents = configuration["contents"]()
    assert sorted(re.findall(r"^/notebooks/(\w+)$", contents, re.M)) == NOTEBOOKS
    assert re.findall(r":caption: (\w+)\.", contents) == ["I", "II", "III", "IV"]
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    for entry in (line for one in listed for line in one.splitlines() if line and not line.startswith(":")):
        name = re.sub(r".*<(.*)>", r"\1", entry)
        folder, name = (ROOT, name[1:]) if name.startswith("/") else (ROOT / "docs", name)
        assert [path for path in folder.glob(f"{name}.*") if path.suffix in (".md", ".ipynb")], entry


def test_every_module_is_in_the_reference(configuration):
    modules = set()
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        source = [page.read_text(encoding="utf-8")]
        configuration["fill"](None, page.relative_to(ROOT).with_suffix("").as_posix(), source)
        modules.update(re.findall(r"automodule:: (\S+)", source[0]))
    files = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "dip_repro").rglob("*.py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in files}
    assert modules == names - set(configuration["COMMANDS"])


@pytest.mark.parametrize(
    "link, shown",
    [
        ("[40](results/impedance)", "40 (`data/results/impedance`)"),
        ("[the claims](claims.toml)", "[the claims](claims.toml)"),
        ("[nowhere](none)", "[nowhere](none)"),
    ],
)
def test_a_link_to_a_folder_becomes_its_path(configuration, link, shown):
    source = [link]
    configuration["fill"](None, "data/INDEX", source)
    assert source == [shown]


def docstrings():
    """Yield (place, docstring) of every module, class and function of the package."""
    for path in sorted((ROOT / "dip_repro").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield f"{path.name}: {getattr(node, 'name', 'the module')}", text


def test_names_in_docstrings_end_where_the_website_sees_it():
    """After its closing mark a name needs a space or a punctuation mark; otherwise `make site` stops."""
    found = [
        (place, span)
        for place, text in docstrings()
        for _, span, after in re.findall(r"(`+)([^`]+)\1(.?)", text)
        if re.match(r"\w|²", after)
    ]
    assert not found
