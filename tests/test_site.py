"""The website: built from what is stored, complete by itself, and shown by a real browser without an error."""

import functools
import http.client
import http.server
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

import pytest
import websocket
from bs4 import BeautifulSoup

from dip_repro.runtime import ROOT, UserError
from dip_repro.study import report, site

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0", "about:blank"),
)
PICTURES = "[...document.images].map(i => [i.alt, i.complete && i.naturalWidth > 0, i.closest('.math') !== null])"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    return folder, site.build(folder)


def test_every_notebook_and_page_is_there_and_stands_alone(built):
    folder, pages = built
    names = {path.relative_to(folder).as_posix() for path in pages}
    assert {f"notebooks/{path.stem}.html" for path in report.notebooks()} < names
    assert {"index.html", "README.html", "CONTRIBUTING.html", "data/INDEX.html", "data/GUIDE.html"} < names
    for path in pages:
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        assert soup.title.text and not soup.select("script, iframe") and soup.select("main h1"), path.name
        assert all(image["alt"] for image in soup.select("img")), path.name
        for link in [*(a["href"] for a in soup.select("a[href]")), *(i["src"] for i in soup.select("img"))]:
            parts = urlsplit(link)
            if not parts.scheme:
                there = (path.parent / parts.path).is_file() if parts.path else soup.find(id=parts.fragment)
                assert there, f"{path.name}: {link}"


def test_the_first_page_has_a_card_for_each_notebook(built):
    cards = BeautifulSoup((built[0] / "index.html").read_text(encoding="utf-8"), "html.parser").select(".cards li")
    assert [card.h2.text for card in cards] == [report.chapter(path).title for path in report.notebooks()]


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.md: the website has a link"):
        site.write(tmp_path, "page.html", '<h1>A page</h1><a href="none.md">here</a>', ROOT / "data")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="not this website"):
        site.build(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(built):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=built[0]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


class Tab:
    """A tab of a browser, over its DevTools protocol; what happens in it is in `events`."""

    def __init__(self, port: int):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("PUT", "/json/new?about:blank")
        where = json.loads(connection.getresponse().read())["webSocketDebuggerUrl"]
        self.socket = websocket.create_connection(where, suppress_origin=True, timeout=60)
        self.events, self.count = [], itertools.count(1)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")
        self.do("Network.setCacheDisabled", cacheDisabled=True)

    def do(self, method: str, **parameters) -> dict:
        number = next(self.count)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := self.receive()).get("id") != number:
            pass
        return message["result"]

    def receive(self) -> dict:
        message = json.loads(self.socket.recv())
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def open(self, url: str) -> list[tuple[str, dict]]:
        """Load a page, pictures and all, and return what happened."""
        self.events = []
        self.do("Page.navigate", url=url)
        while not any(name == "Page.loadEventFired" for name, _ in self.events):
            self.receive()
        return self.events

    def value(self, expression: str):
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if not BROWSER:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on the PATH")
    profile = tmp_path_factory.mktemp("browser")
    with subprocess.Popen([BROWSER, *FLAGS, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL) as browser:
        try:
            told, until = profile / "DevToolsActivePort", time.monotonic() + 60
            while not (told.exists() and "\n" in told.read_text()) and time.monotonic() < until:
                time.sleep(0.1)
            yield Tab(int(told.read_text().split()[0]))
        finally:
            browser.terminate()


def wrong(events: list[tuple[str, dict]], address: str) -> list[str]:
    """Return what a page should not have done: asked elsewhere or in vain, or written an error to the console."""
    found = []
    for name, event in events:
        if name == "Network.requestWillBeSent" and not event["request"]["url"].startswith((address, "data:")):
            found.append(f"asks for {event['request']['url']}")
        elif name == "Network.responseReceived" and event["response"]["status"] not in (0, 200):
            found.append(f"{event['response']['status']} {event['response']['url']}")
        elif name in ("Network.loadingFailed", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            found.append(f"{name} {event}")
    return found


def test_a_browser_shows_every_page_and_picture_and_reports_no_error(tab, address, built, capsys):
    seen, linked = Counter(), set()
    for path in built[1]:
        url = address + path.relative_to(built[0]).as_posix()
        assert not wrong(tab.open(url), address), url
        assert tab.value("document.body.innerText.length") > 200 and tab.value("location.href") == url
        pictures = tab.value(PICTURES)
        assert all(shown for _, shown, _ in pictures), (url, pictures)
        links = [urljoin(url, a) for a in tab.value("[...document.links].map(a => a.href)")]
        linked |= {a.partition("#")[0] for a in links if a.startswith(address)}
        formulas = sum(formula for *_, formula in pictures)
        seen += Counter(pages=1, pictures=len(pictures) - formulas, formulas=formulas, links=len(links))
    for url in sorted(linked):
        with urlopen(Request(url, method="HEAD")) as answer:
            assert answer.status == 200, url
    with capsys.disabled():
        print(f"\n{dict(seen)}, {len(linked)} addresses within the site: no error, no failed request")


def test_the_check_sees_what_is_wrong(tab, address, built):
    page = '<h1>Wrong</h1><img src="none.png"><script>console.error("no"); fetch("http://localhost:1/")</script>'
    (built[0] / "wrong.html").write_text(page)
    tab.open(address + "wrong.html")
    found = " ".join(wrong(tab.events, address))
    assert "404" in found and "consoleAPICalled" in found and "localhost:1" in found
    assert [shown for _, shown, _ in tab.value(PICTURES)] == [False]
