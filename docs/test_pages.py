"""The website as built, looked at by a real browser: `make check-site`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed: pip install 'dip_repro[docs]'")

DOCS = Path(__file__).resolve().parent
SITE = DOCS.parent / "build" / "site"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
WIDE = """const page = document.documentElement, text = document.querySelector(".content");
return page.scrollWidth > window.innerWidth || text !== null && text.scrollWidth > text.clientWidth"""
MISSING = "return [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program, driver = next(filter(None, map(shutil.which, NAMES)), None), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip(f"no browser here: one of {', '.join(NAMES)}, and chromedriver, must be on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as opened:
        yield opened


def faults(browser, page: Path, site: Path) -> list[str]:
    """Open a page and return what is wrong with it: errors, pictures not shown, requests elsewhere, too wide."""
    for log in ("browser", "performance"):
        browser.get_log(log)  # what is left of the page before
    browser.set_window_size(1400, 1000)
    browser.get(page.as_uri())
    found = [f"console: {entry['message']}" for entry in browser.get_log("browser")]
    found += [f"not shown: {source}" for source in browser.execute_script(MISSING)]
    for entry in browser.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if not url.startswith((site.as_uri(), "data:", "chrome:")):  # the last: of the browser's own first page
                found.append(f"asks for {url}")
    for width in (1400, 1100, 700, 390):  # the last: a phone
        browser.set_window_size(width, 1000)
        if browser.execute_script(WIDE):
            found.append(f"wider than a window of {width} pixels")
    return found


def test_every_page_is_shown_without_a_fault_and_every_link_within_the_site_leads_somewhere(browser):
    pages = sorted(SITE.rglob("*.html"))
    assert pages, "build the website first: make site"
    names, links, pictures, formulas = {}, {}, 0, 0
    for page in pages:
        assert not faults(browser, page, SITE), page
        names[page] = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
        links[page] = browser.execute_script("return [...document.links].map(a => a.href)")
        pictures += browser.execute_script("return document.images.length")
        formulas += browser.execute_script("return document.querySelectorAll('math').length")
    within = {(page, urlsplit(link)) for page in pages for link in links[page] if link.startswith(SITE.as_uri())}
    for page, link in within:
        target = Path(unquote(link.path))
        assert target.is_file(), (page, link.geturl())
        if target in names and link.fragment:
            assert unquote(link.fragment) in names[target], (page, link.geturl())
    assert formulas, "no formula is drawn"
    print(f"\n{len(pages)} pages, {pictures} pictures, {formulas} formulas, {len(within)} links within the site")


def test_the_check_sees_what_is_wrong(browser, tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text(
        '<h1 style="width: 1200px">Wrong</h1><img src="none.png"><script>console.error("no")</script>'
        '<script src="http://localhost:1/elsewhere.js"></script>'
    )
    found = "\n".join(faults(browser, page, tmp_path))
    for fault in ("not shown", '"no"', "asks for http://localhost:1", "wider than a window of 1100 pixels"):
        assert fault in found


def build(folder: Path, text: str) -> subprocess.CompletedProcess:
    """Build a website of one page with the configuration of the study's."""
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(text)
    sphinx = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-c",
        DOCS,
        "-d",
        folder / "doctrees",
        folder,
        folder / "site",
    ]
    return subprocess.run(sphinx, capture_output=True, text=True)


@pytest.mark.parametrize("link", ["none.md", "none/", "#none", "../figures/none.png"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path, link):
    done = build(tmp_path, f"# A page\n\n[a link]({link})\n")
    assert done.returncode and link.strip("#") in done.stderr


def test_a_build_leaves_the_files_of_others_alone(tmp_path):
    (tmp_path / "site").mkdir()
    thesis = tmp_path / "site" / "thesis.tex"
    thesis.write_text("a year of work")
    done = build(tmp_path, "# A page\n\nA formula: $\\|f_\\theta(z) - x_0\\|^2$\n")
    assert not done.returncode, done.stderr
    assert "<math" in (tmp_path / "site" / "docs" / "index.html").read_text()
    assert thesis.read_text() == "a year of work"
