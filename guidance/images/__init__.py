"""Files ↔ tensors: the one reader of pictures, RGB ``[1, 3, H, W]`` in [0, 1]; masks, sizes, films.

Whatever reads a picture in this package does so by `load_image`. Its rules: 8 bits a channel in
sRGB, turned as the EXIF says, transparency laid over white, of an animation or of several pages
the first. Files are untrusted: their size is checked before any pixel is decoded, and only
decoders that start no program are used.
"""

from guidance.images.names import SUFFIXES as SUFFIXES
from guidance.images.names import exists as exists
from guidance.images.names import is_image_name as is_image_name
from guidance.images.names import is_image_path as is_image_path
from guidance.images.names import is_named_file as is_named_file
from guidance.images.read import MAX_PIXELS as MAX_PIXELS
from guidance.images.read import check_image as check_image
from guidance.images.read import hide_warnings as hide_warnings
from guidance.images.read import load_image as load_image
from guidance.images.tensors import ImageLike as ImageLike
from guidance.images.tensors import as_tensor as as_tensor
from guidance.images.tensors import to_pil as to_pil
from guidance.images.tensors import to_tensor as to_tensor
