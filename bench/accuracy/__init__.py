"""How well the road reads real images: three public sets, each with the split that is fair to it.

    python -m medkern.bench.accuracy pneumonia FOLDER --seeds 3   chest X-rays, the official split
    python -m medkern.bench.accuracy breast FOLDER    breast ultrasound, 5 folds by near-duplicate
                                                      group; --by-image shows the leak
    python -m medkern.bench.accuracy cells FOLDER     red blood cells, 5 folds by smear image

FOLDER holds the data; every run prints its table and writes it as JSON. Nothing is chosen on the
images that are judged: the recipes and settings are those of the commit that is run.
"""
