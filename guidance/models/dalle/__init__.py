"""Our DALL·E: a transformer that writes pictures as codes, told what they show by CLIP.

`config` says how one is built, without torch; `attention` what its positions see, `transformer` is
the network, `writer` its use code by code, and `load` finds its weights by name.
"""
