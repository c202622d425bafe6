"""Training of the mini CLIP: ``data`` → ``text`` → ``clip``, each a command.

    python -m guidance.train.data   pictures and captions → uint8 arrays
    python -m guidance.train.text   captions → sentence embeddings → the text tower
    python -m guidance.train.clip   arrays + embeddings → the image tower → one weights file

Needs the ``train`` extra (`transformers`, `resvg-py`); nothing else in the package imports it.
"""
