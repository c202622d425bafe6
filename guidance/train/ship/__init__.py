"""A trained model → a weights file of the package, with its hash in ``SHA256SUMS`` beside it.

    python -m guidance.train.ship --clip runs/mini/clip \\
        --out guidance/pretrained/mini-clip.safetensors
    python -m guidance.train.ship --clip runs/guide/clip --part image \\
        --out guidance/pretrained/mini-clip-guide.safetensors
    python -m guidance.train.ship --vqgan runs/vqgan/vqgan \\
        --out guidance/pretrained/mini-vqgan.safetensors
    python -m guidance.train.ship --diffusion runs/diffusion \\
        --out guidance/pretrained/mini-diffusion.safetensors
    python -m guidance.train.ship --dalle runs/dalle --out mini-dalle.safetensors
"""
