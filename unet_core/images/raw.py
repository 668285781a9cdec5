"""Camera RAW files through LibRaw, the optional extra ``raw``."""

from __future__ import annotations

import io

from PIL import Image

from unet_core.images.errors import UnsupportedImage, shown
from unet_core.images.files import ImageFile, check_pixels


def develop(file: ImageFile, *, max_pixels: int) -> Image.Image:
    """The RAW photo as 8-bit sRGB (mode RGB), upright, with the camera's white balance.

    Brightness is not adjusted: the frames of one shoot must stay alike. Raises
    ``UnsupportedImage`` without the extra, ``ImageTooLarge``, or what LibRaw raises.
    """
    try:
        import rawpy
    except ImportError as error:
        raise UnsupportedImage(
            f"{shown(file.path)} is a camera RAW photo, and RAW support is not installed",
            code="needs-raw",
            cure="Install it with: pip install rawpy, or export the photo as JPEG.",
        ) from error
    with rawpy.imread(io.BytesIO(file.data)) as raw:
        check_pixels(file, (raw.sizes.width, raw.sizes.height), max_pixels)
        pixels = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            output_bps=8,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=(2.4, 12.92),  # sRGB's curve; LibRaw's own default is BT.709's
        )
    return Image.fromarray(pixels)
