"""Captioned pictures → a CLIP: symmetric contrastive training (Radford et al. 2021, section 2.3).

    python -m guidance.train.clip --data photos/ --config tiny --out runs/mine
    python -m guidance.train.clip --data "shards/*.tar" --config lit --architecture ViT-B-32 \\
        --init ViT-B-32/openai --log-dir runs/log --out runs/lit
    python -m guidance.clipdraw "a fox at sunrise" --clip runs/mine/clip

Each step contrasts every picture of the batch with every caption, in both directions. Beyond that
the model may learn from teachers (`guidance.train.clip.teachers`): an ImageNet classifier that it
must not forget, another CLIP, a sentence encoder. With ``--eps`` each step adds a second pass on
pictures moved against the loss (`guidance.train.clip.adversarial`), so that its gradients show
things instead of noise; the classifier looks at the picture before noise, blur and holes
(Schlarmann et al. 2024, arXiv:2402.12336).
"""
