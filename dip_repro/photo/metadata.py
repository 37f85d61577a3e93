"""What a picture's file holds beside its pixels: colour profile, EXIF, XMP, resolution, and what one format alone has.

A file is split into a plain one, which has its pixels alone, and the rest. So nothing that is wrong with the rest stops
the pixels from being read. EXIF is not parsed and written anew, but changed in place where the picture changes.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LARGEST = 2**26  # bytes of a profile or an XMP packet, once it is decompressed
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
XMP_IN_JPEG, XMP_IN_PNG = b"http://ns.adobe.com/xap/1.0/\0", b"XML:com.adobe.xmp\0"
ICC_IN_JPEG, EXIF_IN_JPEG = b"ICC_PROFILE\0", b"Exif\0\0"
SEGMENT = 65533  # bytes of a JPEG segment at most
ORIENTATION, EXIF_IFD = 274, 34665  # tags of TIFF and EXIF
# PNG's chunks that are written again as they are: what the pixel values mean, and texts.
OF_PNG = {
    b"gAMA": "gamma",
    b"cHRM": "primaries",
    b"cICP": "cICP",
    b"sRGB": "",
    b"mDCV": "mDCV",
    b"cLLI": "cLLI",
} | dict.fromkeys((b"tEXt", b"zTXt", b"iTXt"), "text")
SRGB = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
# TIFF's tags that say how to decode the pixels; all others are left out of the plain file.
OF_PIXELS = {
    *range(254, 260),
    262,
    266,
    273,
    274,
    *range(277, 280),
    284,
    292,
    293,
    317,
    *range(320, 326),
    332,
    338,
    339,
}
OF_PIXELS |= {340, 341, 347, *range(512, 522), *range(529, 533)}


@dataclass(frozen=True)
class Metadata:
    """What a file holds beside its pixels.

    profile : the ICC colour profile.
    exif : without its header, upright: its orientation is applied to the pixels.
    xmp : the packet.
    dpi : pixels an inch, horizontally and vertically.
    own : (name for people, bytes) of what only the format `kind` holds, as it is written there.
    """

    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    kind: str = ""
    own: tuple[tuple[str, bytes], ...] = ()


def colours_of(profile: bytes | None) -> str:
    """Return the colour space that an ICC profile is of, "RGB", "GRAY", "CMYK" …; "" where it is no profile."""
    sound = profile and len(profile) >= 128 and profile[36:40] == b"acsp"
    return profile[16:20].decode("latin-1").strip() if profile and sound else ""


# ---- PNG -------------------------------------------------------------------------------------------------------------


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield PNG's chunks, each as its name and the whole of its bytes; what is no chunk comes last, nameless."""
    at = len(PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        yield data[at + 4 : at + 8], data[at : at + 12 + length]
        at += 12 + length
    if at < len(data):
        yield b"", data[at:]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def split_png(data: bytes) -> tuple[bytes, Metadata, list[str]]:
    """Return a PNG without what is not pixels, what that was, and what of it is damaged."""
    found: dict[str, Any] = {}
    plain, own, damaged = [PNG], [], []
    for name, whole in chunks(data):
        critical = not name or not name[0] & 0x20
        if critical or name in (b"tRNS", b"acTL", b"fcTL", b"fdAT"):
            plain.append(whole)
            continue
        body = whole[8:-4]
        if whole != chunk(name, body):
            damaged.append(f"its chunk {name.decode('latin-1')!a}")
            continue
        try:
            if name == b"iCCP":
                found["profile"] = inflated(body[body.index(0) + 2 :])
            elif name == b"eXIf":
                found["exif"] = body.removeprefix(EXIF_IN_JPEG)
            elif name == b"pHYs":
                x, y, unit = struct.unpack(">IIB", body)
                if unit == 1 and x and y:
                    found["dpi"] = x * 0.0254, y * 0.0254
            elif name == b"iTXt" and body.startswith(XMP_IN_PNG):
                compressed, rest = body[len(XMP_IN_PNG)], body[len(XMP_IN_PNG) + 2 :].split(b"\0", 2)[2]
                found["xmp"] = inflated(rest) if compressed else rest
            elif name in OF_PNG:
                own.append(("" if body == SRGB.get(name) else OF_PNG[name], whole))
        except (ValueError, IndexError, zlib.error, struct.error):
            damaged.append({b"iCCP": "its colour profile", b"iTXt": "its XMP", b"pHYs": "its resolution"}[name])
    return b"".join(plain), Metadata(kind="PNG", own=tuple(own), **found), damaged


def inflated(data: bytes) -> bytes:
    """Return zlib's data decompressed; ValueError where that is too much."""
    stream = zlib.decompressobj()
    whole = stream.decompress(data, LARGEST)
    if not stream.eof:
        raise ValueError("cut, or too large")
    return whole


def into_png(plain: bytes, data: Metadata) -> bytes:
    """Return a PNG with `data` put in before its pixels."""
    more = [whole for _, whole in data.own] if data.kind == "PNG" else []
    if data.profile:
        more.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(data.profile)))
    if data.exif:
        more.append(chunk(b"eXIf", data.exif))
    if data.dpi:
        more.append(chunk(b"pHYs", struct.pack(">IIB", *(round(x / 0.0254) for x in data.dpi), 1)))
    if data.xmp:
        more.append(chunk(b"iTXt", XMP_IN_PNG + b"\0\0\0\0" + data.xmp))
    head, *rest = (whole for _, whole in chunks(plain))
    return b"".join([PNG, head, *more, *rest])


# ---- JPEG ------------------------------------------------------------------------------------------------------------


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield JPEG's segments before its pixels, each as its marker and the whole of its bytes; last the rest, as 0."""
    at = len(JPEG)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0x00, 0xDA, *range(0xD0, 0xDA), 0xFF) or length < 2 or at + 2 + length > len(data):
            break
        yield marker, data[at : at + 2 + length]
        at += 2 + length
    yield 0, data[at:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def split_jpeg(data: bytes) -> tuple[bytes, Metadata, list[str]]:
    """Return a JPEG without what is not pixels, what that was, and what of it is damaged or not kept."""
    found: dict[str, Any] = {}
    plain, own, lost, profile = [JPEG], [], [], {}
    for marker, whole in segments(data):
        body = whole[4:]
        if marker not in (*range(0xE1, 0xEE), 0xEF, 0xFE):  # APP14 says what the colours are
            plain.append(whole)
            if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
                unit, x, y = struct.unpack(">BHH", body[7:12])
                if unit in (1, 2) and x and y:
                    found["dpi"] = (x, y) if unit == 1 else (2.54 * x, 2.54 * y)
        elif marker == 0xE1 and body.startswith(b"Exif\0"):
            found.setdefault("exif", body[len(EXIF_IN_JPEG) :])
        elif marker == 0xE1 and body.startswith(XMP_IN_JPEG):
            found["xmp"] = body[len(XMP_IN_JPEG) :]
        elif marker == 0xE2 and body.startswith(ICC_IN_JPEG) and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker in (0xED, 0xFE):
            own.append(("IPTC" if marker == 0xED else "a comment", whole))
        elif not body.startswith(b"MPF\0"):  # previews
            lost.append(f"its segment APP{marker - 0xE0}")
    if profile:
        found["profile"] = b"".join(profile[number] for number in sorted(profile))
    return b"".join(plain), Metadata(kind="JPEG", own=tuple(own), **found), sorted(set(lost))


def into_jpeg(plain: bytes, data: Metadata) -> bytes:
    """Return a JPEG with `data` put in behind its first segment, JFIF."""
    more = []
    if data.exif:
        more.append(segment(0xE1, EXIF_IN_JPEG + data.exif))
    if data.xmp:
        more.append(segment(0xE1, XMP_IN_JPEG + data.xmp))
    if data.profile:
        size = SEGMENT - 14
        parts = [data.profile[at : at + size] for at in range(0, len(data.profile), size)]
        for number, part in enumerate(parts, 1):
            more.append(segment(0xE2, ICC_IN_JPEG + bytes([number, len(parts)]) + part))
    more += [whole for _, whole in data.own] if data.kind == "JPEG" else []
    (_, head), *rest = segments(plain)
    return b"".join([JPEG, head, *more, *(whole for _, whole in rest)])


# ---- TIFF ------------------------------------------------------------------------------------------------------------


def plain_tiff(data: bytes) -> bytes:
    """Return a TIFF whose first picture has only the tags that its pixels need; as it is where it cannot be done."""
    try:
        order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        entries = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
        after = data[at + 2 + 12 * count : at + 6 + 12 * count]
        kept = [entry for entry in entries if struct.unpack_from(f"{order}H", entry)[0] in OF_PIXELS]
    except (KeyError, struct.error):
        return data
    directory = b"".join([struct.pack(f"{order}H", len(kept)), *kept, after])
    return data[:at] + directory + data[at + len(directory) :]


# ---- EXIF and XMP ----------------------------------------------------------------------------------------------------


def entries(exif: bytes, pointer: int) -> tuple[dict[int, int], int]:
    """Return where the entries of the directory at `*pointer` are, by tag, and where the pointer to the next one is.

    Raises struct.error or KeyError where it is not within the bytes, or no EXIF.
    """
    order = order_of(exif)
    (at,) = struct.unpack_from(f"{order}I", exif, pointer)
    (count,) = struct.unpack_from(f"{order}H", exif, at)
    after = at + 2 + 12 * count
    struct.unpack_from(f"{order}I", exif, after)
    places = range(at + 2, after, 12)
    return {struct.unpack_from(f"{order}H", exif, place)[0]: place for place in reversed(places)}, after


def order_of(exif: bytes) -> str:
    return {b"II*\0": "<", b"MM\0*": ">"}[exif[:4]]


def value(exif: bytes, place: int) -> int | None:
    """Return the value of an entry that is one whole number, else None."""
    order = order_of(exif)
    kind, count = struct.unpack_from(f"{order}HI", exif, place + 2)
    letter = {1: "B", 3: "H", 4: "I"}.get(kind)
    return struct.unpack_from(order + letter, exif, place + 8)[0] if letter and count == 1 else None


def orientation_of(exif: bytes | None) -> int:
    """Return EXIF's orientation, 1 to 8; 1, upright, where there is none or it is damaged."""
    try:
        place = entries(exif or b"", 4)[0][ORIENTATION]
        found = value(exif or b"", place)
    except (KeyError, struct.error):
        return 1
    return found if found and found < 9 else 1


def upright_exif(exif: bytes, size: tuple[int, ...]) -> bytes | None:
    """Return the EXIF of the picture turned upright, of `size` = (H, W); None where it is damaged.

    In place: the orientation is 1, the sizes are those, and the directory of the thumbnail is left out.
    """
    new, order = bytearray(exif), ""
    height, width = size
    try:
        order = order_of(exif)
        first, after = entries(exif, 4)
        struct.pack_into(f"{order}I", new, after, 0)  # the thumbnail shows the picture as it was
        here = dict(first)
        if EXIF_IFD in first and value(exif, first[EXIF_IFD]):
            with contextlib.suppress(struct.error):  # the rest of the bytes is kept as it is
                here |= {tag: place for tag, place in entries(exif, first[EXIF_IFD] + 8)[0].items() if tag > 40000}
        for tag, new_value in {ORIENTATION: 1, 256: width, 257: height, 40962: width, 40963: height}.items():
            if tag in here and value(exif, here[tag]) is not None:
                kind = struct.unpack_from(f"{order}H", exif, here[tag] + 2)[0]
                if new_value < 2 ** {1: 8, 3: 16, 4: 32}[kind]:
                    struct.pack_into(order + {1: "B", 3: "H", 4: "I"}[kind], new, here[tag] + 8, new_value)
    except (KeyError, struct.error):
        return None
    return bytes(new)


def upright_xmp(xmp: bytes, size: tuple[int, ...]) -> bytes:
    """Return the XMP packet of the picture turned upright, of `size` = (H, W)."""
    height, width = size
    values = {b"tiff:Orientation": 1, b"tiff:ImageWidth": width, b"tiff:ImageLength": height}
    values |= {b"exif:PixelXDimension": width, b"exif:PixelYDimension": height}
    for name, new in values.items():
        xmp = re.sub(rb"(%s(?:=[\"']|>))\d+" % name, rb"\g<1>%d" % new, xmp)
    return xmp
