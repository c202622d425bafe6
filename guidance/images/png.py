"""A PNG file without the texts and profiles that are too large to be read."""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# what pictures carry along: prompts, work flows of programs, editing histories, colour profiles
EXTRAS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"iCCP"))


def without_extras(data: bytes) -> bytes | None:
    """Return a PNG file without its chunks of `EXTRAS`; None if it is no PNG file.

    Pixels, transparency, orientation and frames stay as they are. Nothing is decompressed.
    """
    if not data.startswith(SIGNATURE):
        return None
    kept, place = [SIGNATURE], len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind not in EXTRAS:
            kept.append(data[place:end])
        place = end
    return b"".join(kept)
