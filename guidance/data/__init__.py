"""Captioned pictures on disk: shards and folders → samples."""

from guidance.data.samples import Sample as Sample
from guidance.data.samples import Samples as Samples
from guidance.data.shards import read as read
