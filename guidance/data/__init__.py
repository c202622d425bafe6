"""Captioned pictures on disk: shards and folders → samples."""

from guidance.data.shards import Sample as Sample
from guidance.data.shards import Samples as Samples
from guidance.data.shards import read as read
