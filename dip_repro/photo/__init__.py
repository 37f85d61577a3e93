"""A photo of your own, restored without training data and without the ground truth.

Here for tensors (C, H, W) in [0, 1], each as a `Restoration` to iterate over; in `dip_repro` for arrays.
"""

from dip_repro.photo.files import open_picture, save_picture
from dip_repro.photo.restore import dejpeg, denoise, inpaint, upscale

__all__ = ["dejpeg", "denoise", "inpaint", "open_picture", "save_picture", "upscale"]
