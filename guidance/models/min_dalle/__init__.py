"""DALL·E mini and mega, as min-dalle publishes them, behind the interfaces of writers and codecs.

`files` says which files there are and where, without torch; `tokens` reads texts, `network` is the
transformer, `writer` its use code by code, `detokeniser` paints, and `load` puts them together.
"""
