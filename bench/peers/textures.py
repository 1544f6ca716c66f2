"""Who else measures every texture family at once: Nyxus and PyRadiomics.

Nyxus gets the regions already quantised and takes them as they are (`ibsi`), at pixel distance 1;
without that its pairs are at distance 0. It rounds its logarithms, and counts a few zones less:
compared are three features that show that levels, pairs and neighbourhoods are the same.

PyRadiomics gets each region as an image of SimpleITK and quantises it itself, by fixed bin number,
as we do. Its feature classes are called one by one, without the extractor around them, which would
check and crop every region again. It has no distance zones and two features of the histogram.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from medkern.engine.pyradiomics import CLASSES

from ..machine import cores
from .glcm import quantised
from .peer import Peer, Row, Run

_CHUNKS = 4  # pieces of work a core: evens out regions of different sizes
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # our values are float32
_FAMILIES = ("histogram", "glcm", "ngldm", "glrlm", "glszm", "ngtdm")
_NAMES = {
    (group, feature): rule.source
    for group, features in CLASSES.items()
    for feature, rule in features.items()
    if rule.change is None and rule.source.split(".")[0] in _FAMILIES
}


_NYXUS = {
    "GLCM_ASM_AVE": "glcm.angular_second_moment",
    "GLCM_CONTRAST_AVE": "glcm.contrast",
    "NGTDM_COARSENESS": "ngtdm.coarseness",
}
_FAMILIES_OF_NYXUS = ("GLCM", "GLRLM", "GLSZM", "GLDM", "GLDZM", "NGLDM", "NGTDM")


def _nyxus(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    from nyxus import Nyxus  # pyright: ignore[reportMissingImports]

    levels = parameters["levels"]
    inside = np.ones(images.shape, np.uint16) if masks is None else (masks != 0).astype(np.uint16)
    grey = quantised(images, inside, levels).astype(np.uint16)
    groups = [f"*ALL_{family}*" for family in _FAMILIES_OF_NYXUS]
    engine = Nyxus(groups, n_feature_calc_threads=cores(), coarse_gray_depth=levels, ibsi=True)
    engine.set_metaparam("glcm/offset=1")
    # named at each call: its default list of names grows from call to call
    names = [f"image {k}" for k in range(len(grey))], [f"region {k}" for k in range(len(grey))]
    return lambda: engine.featurize(grey, inside, *names)[list(_NYXUS)].to_numpy()


def pyradiomics_features(images: np.ndarray, masks: np.ndarray, levels: int) -> np.ndarray:
    """(n, features) in the order of `_NAMES`."""
    import logging

    import radiomics  # pyright: ignore[reportMissingImports]
    import SimpleITK as sitk

    radiomics.setVerbosity(logging.CRITICAL)
    kinds = {group: radiomics.getFeatureClasses()[group] for group, _ in _NAMES}
    wanted = {group: [f for g, f in _NAMES if g == group] for group in kinds}
    rows = []
    for image, mask in zip(images, masks, strict=True):
        pair = sitk.GetImageFromArray(image), sitk.GetImageFromArray((mask != 0).astype(np.uint8))
        row = []
        for group, kind in kinds.items():
            measure = kind(*pair, binCount=levels)
            for feature in wanted[group]:
                measure.enableFeatureByName(feature)
            found = measure.execute()
            row += [float(found[feature]) for feature in wanted[group]]
        rows.append(row)
    return np.array(rows)


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    from joblib import Parallel, delayed

    inside = np.ones(images.shape, np.uint8) if masks is None else masks
    pieces = min(len(images), _CHUNKS * cores())
    chunks = list(zip(np.array_split(images, pieces), np.array_split(inside, pieces), strict=True))
    pool, levels = Parallel(n_jobs=cores()), parameters["levels"]

    def run() -> np.ndarray:
        rows: Any = pool(delayed(pyradiomics_features)(*chunk, levels) for chunk in chunks)
        return np.concatenate(rows)

    return run


def _refuses(library: str, dtype: str, **parameters: Any) -> str:
    equal = {"binning": "count", "directions": "averaged", "slices": "volume", "distance": 1}
    for name, value in (equal | {"coarseness": 0}).items():
        if parameters.get(name) != value:
            return f"{library} is asked with {name}={value!r}, not {parameters.get(name)!r}"
    return ""


def _difference(
    sources: Iterable[str], ours: tuple[np.ndarray, tuple[str, ...]], theirs: np.ndarray, **_: Any
) -> str:
    values, names = ours
    places = {".".join(name.split(".")[:2]): k for k, name in enumerate(names)}
    for column, source in enumerate(sources):
        own = values[:, places[source]].astype(np.float64)
        apart = np.abs(own - theirs[:, column])
        worst = int(np.argmax(apart - _RELATIVE * np.abs(own)))
        if not apart[worst] <= _RELATIVE * abs(own[worst]) + _ABSOLUTE:
            return f"{source} of region {worst}: ours {own[worst]}, {theirs[worst, column]}"
    return ""


_CLOSE = f"relative {_RELATIVE:g}, absolute {_ABSOLUTE:g}: our features are float32"

PEERS = (
    Peer(
        name="nyxus:Nyxus",
        ndim=(3,),
        package="nyxus",
        distribution="nyxus",
        modes={"own threads": _nyxus},
        refuses=partial(_refuses, "Nyxus"),
        difference=partial(_difference, tuple(_NYXUS.values())),
        agreement=f"{len(_NYXUS)} of 118 features, {_CLOSE}",
    ),
    Peer(
        name="radiomics:featureextractor",
        package="radiomics",
        distribution="pyradiomics",
        modes={"process pool": _in_processes},
        refuses=partial(_refuses, "PyRadiomics"),
        difference=partial(_difference, tuple(_NAMES.values())),
        agreement=f"{len(_NAMES)} of 118 features, {_CLOSE}",
    ),
)

ROWS = (
    *(Row("cell-rois-1000x64x64", "uint16", {"levels": levels}) for levels in (32, 64)),
    Row("organ-1x144", "int16", {"levels": 32}),
)
