"""Interrogate: the words that fit a picture best, from lists of phrases."""

from guidance.interrogate.options import InterrogateOptions as InterrogateOptions
from guidance.interrogate.technique import interrogate as interrogate
