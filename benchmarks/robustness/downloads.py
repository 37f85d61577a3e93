"""Downloads from a local server that cuts, lies, drips, hangs or vanishes, and a registry that leads outside."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from files import PICTURE, encoded
from folders import fill
from trial import TOLD, Row, command, mounted, side_by_side

DATA = encoded(PICTURE, "png")
NAME = "repository/photo.png"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers /<behaviour>/photo.png."""

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        with contextlib.suppress(OSError):  # who asked has gone
            getattr(self, behaviour)()

    def log_message(self, *arguments) -> None:
        pass

    def head(self, length: int | None, status: int = 200) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def good(self) -> None:
        self.head(len(DATA))
        self.wfile.write(DATA)

    def cut(self) -> None:
        self.head(len(DATA))
        self.wfile.write(DATA[: len(DATA) // 2])

    def cut_of_no_length(self) -> None:
        self.head(None)
        self.wfile.write(DATA[: len(DATA) // 2])

    def empty(self) -> None:
        self.head(0)

    def wrong_hash(self) -> None:
        self.head(len(DATA))
        self.wfile.write(DATA[:-1] + b"x")

    def page(self) -> None:
        self.head(None)
        self.wfile.write(b"<html>Please sign in to this network</html>")

    def longer(self) -> None:
        self.head(None)
        self.wfile.write(DATA + bytes(10**6))

    def drip(self) -> None:
        self.head(len(DATA))
        for byte in DATA:
            self.wfile.write(bytes([byte]))
            time.sleep(1)

    def slow_but_whole(self) -> None:
        self.head(len(DATA))
        for at in range(0, len(DATA), 512):
            self.wfile.write(DATA[at : at + 512])
            time.sleep(0.5)

    def hang(self) -> None:
        time.sleep(600)

    def hang_within(self) -> None:
        self.head(len(DATA))
        self.wfile.write(DATA[:100])
        time.sleep(600)

    def vanish(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def missing(self) -> None:
        self.head(0, 404)

    def broken(self) -> None:
        self.head(0, 500)

    def circle(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def noise(self) -> None:
        self.wfile.write(os.urandom(300))


FAILING = ("cut", "cut_of_no_length", "empty", "wrong_hash", "page", "longer", "drip", "hang", "hang_within")
FAILING += ("vanish", "missing", "broken", "circle", "noise")


@contextlib.contextmanager
def serving() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def prelude(address: str, registry: Path) -> str:
    """Return Python that turns the package to this address and this registry."""
    return (
        "from pathlib import Path; from dip_repro import images\n"
        f"images.ADDRESSES = dict.fromkeys(images.ADDRESSES, {address!r}); images.REGISTRY = Path({str(registry)!r})"
    )


def denoised(address: str, folder: Path, cache: Path, may_finish: bool = False, name: str = NAME) -> str:
    """Denoise the image `name` from `address`; what fails must leave no file in the cache."""
    folder.mkdir(exist_ok=True)
    registry, out = folder / "registry.txt", folder / "out.png"
    registry.write_text(f"{hashlib.sha256(DATA).hexdigest()} {name}\n")
    became = command(
        *("denoise", name, "--out", out, "--iterations", 2, "--device", "cpu"),
        prelude=prelude(address, registry),
        right=(lambda: (cache / "dip_repro" / name).read_bytes() == DATA) if may_finish else None,
        XDG_CACHE_HOME=str(cache),
        DIP_REPRO_MIRROR="",
    )
    left = [path for path in folder.rglob("*") if path.name == "photo.png" or path.name.startswith("evil")]
    return f"{address}: told, but {left[0]} is there" if became == TOLD and left else became


def downloads() -> list[Row]:
    failing = Row("downloads", "a server that cuts, lies, drips, hangs, vanishes, redirects in a circle, is not there")
    again = Row("downloads", "after each of these, from a sound server")
    other = Row("downloads", "a slow but whole download; one killed within and done again; half a file in the cache")
    full = Row("downloads", "to a full, and to a read-only cache")
    with tempfile.TemporaryDirectory() as name, serving() as address, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        folder = Path(name)
        addresses = [f"{address}/{behaviour}" for behaviour in FAILING] + [nobody, "http://nowhere.invalid"]
        places = [folder / str(number) for number in range(len(addresses))]
        calls = [functools.partial(denoised, a, p, p / "cache") for a, p in zip(addresses, places, strict=True)]
        failing.count(*side_by_side(calls, 4))  # most of them wait
        good = f"{address}/good"
        again.count(*(denoised(good, place, place / "cache", True) for place in places))

        other.count(denoised(f"{address}/slow_but_whole", folder / "slow", folder / "slow/cache", True))
        other.count(after_a_kill(address, folder / "killed"))
        half = folder / "half/cache/dip_repro" / NAME
        half.parent.mkdir(parents=True)
        half.write_bytes(DATA[:1000])
        other.count(denoised(good, folder / "half", folder / "half/cache", True))

        with mounted("64k") as cache:
            fill(cache, 0)
            full.count(denoised(good, folder / "full", cache))
        with mounted("64k") as cache:
            subprocess.run(["mount", "-o", "remount,ro", cache], check=True)
            full.count(denoised(good, folder / "read-only", cache))
    return [failing, again, other, full]


def after_a_kill(address: str, folder: Path) -> str:
    """Kill a download that drips, see that nothing of it is counted, and download anew."""
    folder.mkdir()
    registry = folder / "registry.txt"
    registry.write_text(f"{hashlib.sha256(DATA).hexdigest()} {NAME}\n")
    code = f"{prelude(f'{address}/drip', registry)}\nimages.open_image({NAME!r})"
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "DIP_REPRO_MIRROR": ""}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    while not list(folder.rglob("cache/dip_repro/repository/*")):
        time.sleep(0.1)
    process.kill()
    process.wait()
    if (folder / "cache/dip_repro" / NAME).exists():
        return "killed: a part of the file has its name"
    return denoised(f"{address}/good", folder, folder / "cache", True)


def registry() -> list[Row]:
    row = Row("registry", "an entry that leads outside the cache: refused, and nothing written outside")
    names = ("repository/../../evil.png", "repository/a/../../../evil.png", "../../evil.png", "repository/../evil.png")
    with tempfile.TemporaryDirectory() as name, serving() as address:
        for number, entry in enumerate((*names, f"{name}/evil.png", "unknown/evil.png")):
            folder = Path(name) / str(number)
            became = denoised(f"{address}/good", folder, folder / "cache", name=entry)
            written = list(Path(name).rglob("evil*"))
            row.count(f"{entry}: written to {written[0]}" if written else became)
    return [row]
