"""Our own training: each room is a command, ``python -m guidance.train.NAME``, with ``--help``.

In the order in which the package's own models came about::

    data         public sources → shards, the pictures and texts that the models learn from
    text         texts → sentence embeddings → a text tower
    clip         captioned pictures → a CLIP, of any open_clip architecture
    prior        pictures + a CLIP → its prior
    vqgan        pictures → a VQGAN
    latents      pictures + a CLIP + a VQGAN → what a diffusion model learns from
    diffusion    latents → a diffusion model, or its upsampler
    noise_aware  latents + a diffusion model → the head that sees through noise
    ship         a trained model → a weights file of the package

    aesthetic    rated pictures + a CLIP → a head that rates others

In each room ``options.py`` holds the options and the other files the work. What they share:
`guidance.train.loop` (the one training loop: clock, learning rate, weight average, checkpoints,
log), `guidance.train.losses`, and `guidance.train.samples` (how often a picture is shown).

The extra ``train`` has what some of them need; nothing else in the package imports them.
"""
