"""Rated pictures → a linear head on CLIP that rates others (`guidance.score.aesthetic`).

``FOLDER/ratings.csv`` has a row a picture and the columns ``image``, relative to the folder, and
``rating``, a number in any unit. The head is the ridge regression of the ratings on the image
embeddings, in closed form; its penalty has the least leave-one-out error.

    python -m guidance.train.aesthetic --data rated/ --clip mini --out aesthetic.safetensors
    python -m guidance.rerank --by aesthetic --aesthetic aesthetic.safetensors photos/
"""
