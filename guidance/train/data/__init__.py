"""Public sources → training and test shards (`guidance.data.shards`).

Writes into ``--out``:

    photos-*.tar    the captioned photos, paintings and folders that are given
    drawings-*.tar  icons, clip art, stamps and doodles, with transparency
    painted-*.tar   photos and drawings repainted with strokes and the like
    scenes-*.tar    drawings in front of places (`guidance.train.data.scenes`)
    flowers-*.tar   flowers made up (`guidance.train.data.flora`)
    clutter-*.tar   pictures of nothing, with no caption
    test-*.tar      held out: photos of Flickr8k and ImageNet, and the OpenMoji drawing style
    texts.txt       texts without pictures: WordNet words and glosses, made-up prompts
    summary.json    options, and pictures by source and licence

Near-duplicates of a test picture are left out of training. Every sample names its licence. The
same sources and seed give the same files.

    python -m guidance.train.data --iconify iconify-json/package --photos "data/*.tar" --out shards
"""
