"""Deep Image Prior, reproduced: an untrained network, fitted to one corrupted image, restores it."""

from dip_repro.fitting import Fit, FitResult, fit
from dip_repro.networks import Hourglass, NetworkConfig
from dip_repro.runtime import UserError
from dip_repro.settings import Settings

__version__ = "0.2.0"
__all__ = ["Fit", "FitResult", "Hourglass", "NetworkConfig", "Settings", "UserError", "fit"]
