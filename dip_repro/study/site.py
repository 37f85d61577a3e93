"""The study as a website: notebooks and pages of Markdown as they are stored; no scripts, nothing from elsewhere.

Formulas are drawn by Matplotlib, so that a page needs no MathJax.
"""

from __future__ import annotations

import base64
import html
import io
import logging
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from bs4 import BeautifulSoup
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image
from pygments.formatters import HtmlFormatter

from dip_repro.runtime import ROOT, UserError
from dip_repro.study import report

FOLDERS = (ROOT, ROOT / "data", ROOT / "notebooks", ROOT / "benchmarks")
MENU = {
    "README.html": "Read me",
    "data/INDEX.html": "Figures and tables",
    "data/GUIDE.html": "Guide",
    "notebooks/README.html": "What did not hold",
    "CONTRIBUTING.html": "Contributing",
    "CHANGELOG.html": "Changes",
}
THUMBNAIL = (640, 320)
STYLE = """
:root { color-scheme: light; --ink: #222; --soft: #666; --line: #ddd; --link: #2166ac; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; color: var(--ink); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; padding: .7rem 1rem; border-bottom: 1px solid var(--line); }
nav b { flex-grow: 1; }
main { max-width: 60rem; margin: 0 auto; padding: .5rem 1rem 3rem; overflow-wrap: break-word; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
h1 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
img { max-width: 100%; height: auto; }
img.math { max-width: none; }
pre { overflow-x: auto; padding: .6rem .8rem; margin: .5rem 0; font-size: .82rem; line-height: 1.45;
  background: #f6f7f9; border-radius: 4px; }
.output_area pre { background: none; padding: .2rem .8rem; color: var(--soft); }
code { font-size: .86em; background: #f6f7f9; padding: .1em .25em; border-radius: 3px; }
pre code { background: none; padding: 0; font-size: inherit; }
.scroll { overflow-x: auto; }
table { border: 0; border-collapse: collapse; margin: .8rem 0; font-size: .86rem; }
th, td { padding: .3rem .6rem; border: 0 solid var(--line); border-bottom-width: 1px; text-align: left;
  vertical-align: top; }
.prompt { display: none; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.2rem; padding: 0; }
.cards li { list-style: none; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.cards > li > a > img { display: block; width: 100%; aspect-ratio: 2; object-fit: cover; object-position: left top;
  border-bottom: 1px solid var(--line); }
.cards div { padding: .2rem .9rem .4rem; font-size: .88rem; }
.cards h2 { margin: .5rem 0; font-size: 1.05rem; line-height: 1.3; }
.cards p { margin: .4rem 0; }
.soft { color: var(--soft); }
.turn { display: flex; justify-content: space-between; gap: 1rem; margin-top: 3rem; }
"""


class Renderer(IPythonRenderer):
    """nbconvert's, with formulas drawn."""

    def inline_math(self, body: str) -> str:
        drawn = io.StringIO()
        depth = math_to_image(f"${body}$", drawn, dpi=72, format="svg")  # 10 points a letter
        height = float(re.findall(r'height="([\d.]+)pt"', drawn.getvalue())[0])
        data = base64.b64encode(drawn.getvalue().encode()).decode()
        style = f"height: {height / 10:.2f}em; vertical-align: {-depth / 10:.2f}em"
        return f'<img class="math" style="{style}" src="data:image/svg+xml;base64,{data}" alt="{html.escape(body)}">'

    block_math = inline_math

    def heading(self, text: str, level: int, **attributes) -> str:
        """Name a heading as GitHub does, so that a link within a page finds it."""
        name = re.sub(r"[^\w\- ]", "", re.sub(r"<.*?>", "", text)).lower().replace(" ", "-")
        return f'<h{level} id="{name}">{text}</h{level}>\n'


def of_markdown(text: str) -> str:
    return MarkdownWithMath(renderer=Renderer(escape=False, exclude_anchor_links=True)).render(text)


class Exporter(HTMLExporter):
    """nbconvert's HTML of cells, without a page around them."""

    template_name = "basic"

    def default_filters(self):
        yield from super().default_filters()
        yield "markdown2html", of_markdown


def build(site: Path) -> list[Path]:
    """Write the website to the folder `site`, which is emptied first, and return its pages.

    Raises
    ------
    UserError : a link leads nowhere, or `site` holds something else.
    """
    if site.exists() and any(site.iterdir()) and not (site / "style.css").exists():
        raise UserError(f"{site}: holds something that is not this website; name another folder")
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    (site / "style.css").write_text(STYLE + HtmlFormatter().get_style_defs(".highlight"), encoding="utf-8")
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # it misses the texts that `write` gives to pictures
    exporter, pages = Exporter(), [write(site, "index.html", contents(site), ROOT)]
    for source in sources():
        if source.suffix == ".md":
            body = of_markdown(source.read_text(encoding="utf-8"))
        else:
            body = exporter.from_notebook_node(nbformat.read(source, as_version=4))[0] + turn(source)
        pages.append(write(site, as_page(source.relative_to(ROOT).as_posix()), body, source.parent))
    return pages


def sources() -> list[Path]:
    """Return what becomes a page: Markdown, and the numbered notebooks."""
    return [path for folder in FOLDERS for path in sorted(folder.glob("*.md"))] + report.notebooks()


def as_page(path: str) -> str:
    return path.rpartition(".")[0] + ".html"


def contents(site: Path) -> str:
    """Return the first page: a card a notebook."""
    cards = []
    for chapter in map(report.chapter, report.notebooks()):
        picture = f"thumbnails/{chapter.path.stem}.jpg"
        (site / picture).parent.mkdir(exist_ok=True)
        with Image.open(chapter.figure) as image:
            scale = max(side / full for side, full in zip(THUMBNAIL, image.size, strict=True))
            small = image.convert("RGB").resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
        small.crop((0, 0, *THUMBNAIL)).save(site / picture, quality=85)
        link, title = f"notebooks/{chapter.path.name}", html.escape(chapter.title)
        cards.append(
            f'<li><a href="{link}"><img src="{picture}" alt="{title}"></a><div><h2><a href="{link}">{title}</a></h2>'
            f'<p class="soft">{html.escape(chapter.place)}</p>{of_markdown(chapter.claim)}'
            f'<p class="soft">claims: {chapter.verdict}</p></div></li>'
        )
    about = report.README.read_text(encoding="utf-8").partition("\n![")[0]
    return f'{of_markdown(about)}<ul class="cards">{"".join(cards)}</ul>'


def turn(source: Path) -> str:
    """Return the links to the notebooks before and after."""
    every = report.notebooks()
    i = every.index(source)
    links = [f'<a href="{path.name}">← {path.stem[:2]}</a>' for path in every[:i][-1:]]
    links += [f'<a href="{path.name}">{path.stem[:2]} →</a>' for path in every[i + 1 :][:1]]
    return f'<div class="turn">{"".join(links)}</div>'


def write(site: Path, page: str, body: str, folder: Path) -> Path:
    """Write a page of `body`, whose links are those of a file in `folder` of the repository."""
    soup = BeautifulSoup(body, "html.parser")
    for tag, attribute in (("a", "href"), ("img", "src")):
        for element in soup.select(f"{tag}[{attribute}]"):
            element[attribute] = linked(site, str(element[attribute]), folder)
    for image in soup.select('img[alt^="No description"]'):
        if heading := image.find_previous(["h1", "h2"]):
            image["alt"] = heading.text
    for table in soup.select("table"):
        table.wrap(soup.new_tag("div", attrs={"class": "scroll"}))
    up = "../" * page.count("/")
    menu = "".join(f'<a href="{up}{target}">{name}</a>' for target, name in MENU.items())
    path = site / page
    title = html.escape(soup.h1.text if soup.h1 else path.stem)
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="{up}style.css"><title>{title}</title></head>'
        f'<body><nav><b><a href="{up}index.html">Deep Image Prior, reproduced</a></b>{menu}</nav>'
        f"<main>{soup}</main></body></html>\n",
        encoding="utf-8",
    )
    return path


def linked(site: Path, link: str, folder: Path) -> str:
    """Return where a page finds what the repository has at `link` of `folder`: a page, or a copy."""
    parts = urlsplit(link)
    if parts.scheme or not parts.path:
        return link
    target = (folder / unquote(parts.path)).resolve()
    place = site / target.relative_to(ROOT)
    if place.is_file():
        return link
    if not target.exists():
        raise UserError(f"{folder.relative_to(ROOT) / link}: the website has a link to it, and there is no such file")
    if target in sources():
        return link.replace(parts.path, as_page(parts.path))
    if target.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, place)
        return link
    if not (place / "index.html").exists():
        # Pictures that show an image of the paper as it is stay out.
        ignored = shutil.ignore_patterns("*.figure.png", ".*", "*.lock")
        shutil.copytree(target, place, ignore=ignored, dirs_exist_ok=True)
        items = "".join(f'<li><a href="{path.name}">{path.name}</a></li>' for path in sorted(place.iterdir()))
        listing = f"{place.relative_to(site).as_posix()}/index.html"
        write(site, listing, f"<h1>{target.name}</h1><ul>{items}</ul>", target)
    return link.rstrip("/") + "/index.html"
