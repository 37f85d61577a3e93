"""The website of the study: the notebooks as they are stored, the pages of Markdown, the API. Nothing is run.

The repository itself is the source folder, so that the links between its files lead from page to page as they are.
"""

import json
import pkgutil
import re
from pathlib import Path

from dip_repro.study import report

ROOT = Path(__file__).resolve().parents[1]

project = "Deep Image Prior, reproduced"
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "data/*.md", "benchmarks/*.md", "notebooks/[0-9]*", "notebooks/README.md"]
exclude_patterns = [".*", "build", "**/.ipynb_checkpoints"]

extensions = ["myst_nb", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
myst_enable_extensions = ["dollarmath", "colon_fence", "html_image"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 100
default_role = "code"

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_additional_pages = {"index": "home.html"}
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False

WIDGET = "application/vnd.jupyter.widget-view+json"
COMMANDS = ("dip_repro.__main__", "dip_repro.cli", "dip_repro.study.cli")  # told by `dip-repro --help`


def cards() -> str:
    """Return the gallery: for each part of the book a card for each notebook, with its first figure and a sentence."""
    shown = []
    for title, books in report.parts():
        shown += [f"## {title}", ":::::{grid} 1 2 2 3", ":gutter: 3"]
        for book in books:
            shown += [
                f"::::{{grid-item-card}} {book['number']} {book['title']}",
                f":link: /notebooks/{book['file'].removesuffix('.ipynb')}",
                ":link-type: doc",
                f":img-top: /figures/{book['figure']}.png",
                f":img-alt: {book['title']}",
                book["sentence"],
                "::::",
            ]
        shown += [":::::", ""]
    return "\n".join(shown)


def contents() -> str:
    """Return the navigation: the notebooks of each part of the book."""
    block = "```{{toctree}}\n:caption: {0}\n:hidden:\n\n{1}\n```"
    pages = {
        title: "\n".join(f"/notebooks/{book['file'].removesuffix('.ipynb')}" for book in books)
        for title, books in report.parts()
    }
    return "\n\n".join(block.format(title, listed) for title, listed in pages.items())


def modules(package: str) -> str:
    """Return the reference of a package and the modules in it, from their docstrings."""
    found = pkgutil.iter_modules([ROOT / package.replace(".", "/")], f"{package}.")
    names = [package, *(module.name for module in found if not module.ispkg and module.name not in COMMANDS)]
    block = "## {0}\n\n```{{eval-rst}}\n.. automodule:: {0}\n   :members:\n   :ignore-module-all:\n```"
    return "\n\n".join(block.format(name) for name in names)


def fill(app, docname: str, source: list[str]) -> None:
    """Write what is made of notebooks and modules into a page, and the path in the place of a link to a folder.

    A slider needs a kernel, and scripts from elsewhere. So a page has none; the figures beside it show the same.
    """
    if docname.startswith("docs/"):
        source[0] = source[0].replace("{{ cards }}", cards()).replace("{{ contents }}", contents())
        source[0] = re.sub(r"\{\{ modules (\S+) \}\}", lambda match: modules(match[1]), source[0])

    if (ROOT / f"{docname}.ipynb").exists():
        notebook = json.loads(source[0])
        notebook["metadata"].pop("widgets", None)
        for cell in notebook["cells"]:
            if "outputs" in cell:
                cell["outputs"] = [output for output in cell["outputs"] if WIDGET not in output.get("data", {})]
                for data in (output["data"] for output in cell["outputs"] if "text/markdown" in output.get("data", {})):
                    printed = "".join(data["text/markdown"])  # Sphinx follows the links of the text alone
                    data["text/markdown"] = re.sub(r"(\]\([^)\s:]+)\.(?:ipynb|md)(?=[)#])", r"\1.html", printed)
        source[0] = json.dumps(notebook)

    def shown(link: re.Match) -> str:
        target = (ROOT / docname).parent / link[2]
        return f"{link[1]} (`{target.resolve().relative_to(ROOT).as_posix()}`)" if target.is_dir() else link[0]

    source[0] = re.sub(r"\[([^\]\n]*)\]\(([^)\s:#]+)\)", shown, source[0])


def plain(app, what, name, thing, options, lines: list[str]) -> None:
    """Escape what reStructuredText would take for markup in |u| < a or *names, but not between backticks."""
    lines[:] = [re.sub(r"(`+[^`]*`+)|([|*]|(?<=\w)_(?!\w))", lambda m: m[1] or "\\" + m[2], line) for line in lines]


def skipped(app, what, name, thing, skip, options) -> bool | None:
    """Leave out `set`, which Matplotlib writes into each of its subclasses."""
    return True if name == "set" else None


def mathml(translator, node) -> None:
    """Write a formula as MathML, which browsers draw without a script."""
    from docutils import nodes
    from docutils.utils.math.latex2mathml import tex2mathml

    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app) -> None:
    app.connect("source-read", fill)
    app.connect("autodoc-skip-member", skipped)
    app.connect("autodoc-process-docstring", plain, priority=400)  # before Napoleon, which writes markup
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
