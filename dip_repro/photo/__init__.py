"""A photo of one's own, restored: no training data, no ground truth."""

from dip_repro.photo.restore import dejpeg, denoise, inpaint, upscale

__all__ = ["dejpeg", "denoise", "inpaint", "upscale"]
