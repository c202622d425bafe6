"""Training of CLIPs, each step a command.

    python -m guidance.train.clip   captioned pictures → a CLIP, of any open_clip architecture
    python -m guidance.train.data   public sources → the shards that the mini CLIP learned from
    python -m guidance.train.text   texts → sentence embeddings → a text tower
    python -m guidance.train.prior  pictures + a CLIP → its prior
    python -m guidance.train.ship   a trained CLIP → a weights file of the package

The extra ``train`` has what some of them need; nothing else in the package imports them.
"""
