"""A photo of your own, restored without training data and without the ground truth."""

from dip_repro.photo.files import open_picture
from dip_repro.photo.restore import dejpeg, denoise, inpaint, upscale

__all__ = ["dejpeg", "denoise", "inpaint", "open_picture", "upscale"]
