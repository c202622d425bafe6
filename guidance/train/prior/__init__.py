"""Pictures + weights → the prior of a CLIP (`guidance.clip.prior`).

It remembers the training pictures by caption: photos, and drawings on white. Composed scenes are
better left out: a prompt that is the caption of one would be aimed at that one picture. Pictures of
one caption are one entry, so that a common word counts no more than a rare one. An ImageNet
classifier adds an entry for each of its classes, last, where `Prior.rivals` looks for them.

    python -m guidance.train.prior --clip runs/guide/clip --photos "shards/photos-*.tar" \\
        --drawings "shards/drawings-*.tar" --classifier lite0.pth \\
        --val "shards/test-flickr8k-*.tar" --out mini-clip-prior.safetensors
"""
