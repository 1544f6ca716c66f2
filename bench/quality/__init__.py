"""What denoising is worth: every method on images whose truth is known, beside its peers.

python -m medkern.bench.quality FOLDER --out quality.html --json quality.json
"""
