"""Texts → sentence embeddings → the text tower.

``embed`` runs a sentence encoder, all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957;
sentence-transformers), once over every caption of the shards, every line of ``--texts`` and the
names of the ImageNet classes, and writes `SentenceTable` into ``--out``.

``distil`` trains the text tower of a CLIP to give the same embeddings: cosine distance plus the KL
divergence of the similarities within a batch (Hinton et al. 2015, arXiv:1503.02531).

    python -m guidance.train.text embed --minilm all-MiniLM-L6-v2 --data "shards/*.tar" \\
        --texts shards/texts.txt --out sentences
    python -m guidance.train.text distil --minilm all-MiniLM-L6-v2 --sentences sentences \\
        --out text.safetensors --minutes 60
"""
