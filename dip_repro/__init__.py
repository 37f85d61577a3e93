"""Deep Image Prior, reproduced: an untrained network, fitted to one corrupted image, restores it.

For a picture of your own: `denoise`, `remove_jpeg`, `upscale`, `inpaint`, `watch`, `open_picture`, `save_picture`.
For an operator of your own: `fit`, `Fit`, `Settings`, `Hourglass`, `NetworkConfig`.
Each name is imported where it is first asked for, so that `import dip_repro` takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dip_repro.config import NetworkConfig, Settings
    from dip_repro.fitting import Fit, FitResult, fit
    from dip_repro.networks import Hourglass
    from dip_repro.photo.arrays import denoise, inpaint, remove_jpeg, upscale, watch
    from dip_repro.photo.files import open_picture, save_picture
    from dip_repro.runtime import UserError

__version__ = "0.2.0"
__all__ = [
    "Fit",
    "FitResult",
    "Hourglass",
    "NetworkConfig",
    "Settings",
    "UserError",
    "denoise",
    "fit",
    "inpaint",
    "open_picture",
    "remove_jpeg",
    "save_picture",
    "upscale",
    "watch",
]
MODULES = ("config", "images", "networks", "operators", "photo", "presets", "stopping")
HOMES = dict.fromkeys(("Fit", "FitResult", "fit"), "fitting")
HOMES |= dict.fromkeys(("NetworkConfig", "Settings"), "config")
HOMES |= dict.fromkeys(("denoise", "inpaint", "remove_jpeg", "upscale", "watch"), "photo.arrays")
HOMES |= dict.fromkeys(("open_picture", "save_picture"), "photo.files")
HOMES |= {"UserError": "runtime", "Hourglass": "networks"}


def __getattr__(name: str):
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
