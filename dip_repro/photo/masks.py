"""Which pixels of a photo are missing: by a mask, by a colour painted over a copy, by transparency, by NaN."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from dip_repro import images
from dip_repro.photo.files import Picture
from dip_repro.runtime import UserError

HALF = 0.5
BETWEEN = 0.15  # from black and from white: such a pixel is of neither
MANY, SOME = 0.25, 0.05  # fractions of the pixels


def known_by(mask: Picture, photo: Picture, missing: str, name: str) -> Tensor:
    """Return what a mask says of a photo, (1, H, W): 1 = known; transparent pixels of the mask are missing too.

    missing : the colour in the mask of what is missing. name : of the mask, for messages.

    Raises
    ------
    UserError : a mask of another size than the photo; a copy of the photo where a mask is expected; a colour that more
        than half of a painted copy has.
    """
    ours, its = (x.pixels.shape[-2:] for x in (photo, mask))
    if ours != its:
        sizes = " and the photo ".join(f"{width}×{height}" for height, width in (its, ours))
        raise UserError(f"the mask is {sizes}: give them the same size")
    known = images.as_mask(mask.pixels, missing)
    if mask.alpha is not None:
        known = known * (mask.alpha >= HALF)
    share = float(1 - known.mean())
    if not images.is_black_or_white(missing):
        if share > HALF:
            raise UserError(
                f"{missing} in {name} marks {share:.0%} of the pixels as missing: paint the hole in a colour that the "
                "photo has nowhere else, or give a mask in black and white"
            )
        return known
    between = (
        torch.minimum(images.distance_to(mask.pixels, "black"), images.distance_to(mask.pixels, "white")) > BETWEEN
    )
    alike = (mask.pixels - photo.pixels).abs().amax(0, keepdim=True) < 0.1
    if between.float().mean() > MANY or (between.float().mean() > SOME and alike[between].float().mean() > HALF):
        raise UserError(
            f"{name} is not in black and white: if it is a copy of the photo, painted over, name the colour of the "
            "paint, such as --missing red"
        )
    return known


def with_holes(photo: Picture, known: Tensor | None) -> tuple[Picture, Tensor]:
    """Return a photo whose missing pixels are 0 and will be opaque, and what is known of it, (1, H, W).

    Missing is what a mask says; without one, what is transparent or NaN. Beside a mask, transparent pixels hold no
    colour to be fitted, so they are not known either, and stay transparent.

    Raises
    ------
    UserError : NaN where the mask says known; nothing is missing, or everything.
    """
    finite = torch.isfinite(photo.pixels).all(0, keepdim=True)
    clear = torch.zeros_like(finite) if photo.alpha is None else photo.alpha == 0
    if known is None:
        known = (finite & ~clear).float()
        if known.all():
            raise UserError("no pixel is missing, transparent or NaN: give a mask, or a copy that is painted over")
    elif broken := int((~finite & (known > 0)).sum()):
        raise UserError(f"{broken} pixels are NaN where the mask says known: mark them missing too")
    alpha = None if photo.alpha is None else torch.where(known > 0, photo.alpha, 1)
    if alpha is not None and alpha.min() == 1:
        alpha = None
    known = known * ~clear
    if not known.any():
        raise UserError("every pixel is missing, so there is nothing to go by; in a mask white means known")
    return replace(photo, pixels=torch.where(known > 0, photo.pixels, 0), alpha=alpha), known


def no_larger_than(photo: Picture, known: Tensor, side: int | None) -> tuple[Picture, Tensor]:
    """Return a photo with holes scaled down, and what is known of it: nothing of a hole runs into what is known."""
    small = photo.no_larger_than(side)
    if small is photo:
        return photo, known
    size = small.pixels.shape[-2:]
    whole = (F.interpolate(known[None], size, mode="area")[0] == 1).float()
    pixels, weight = (
        F.interpolate(x[None], size, mode="bicubic", antialias=True)[0] for x in (photo.pixels * known, known)
    )
    pixels = (pixels / weight.clamp(min=0.1)).clamp(0, 1) * whole
    if not whole.any() or whole.all():
        raise UserError(f"at --max-size {side} nothing is left of what is {'missing' if whole.all() else 'known'}")
    return replace(small, pixels=pixels), whole
