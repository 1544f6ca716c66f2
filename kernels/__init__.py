"""Arrays in, arrays out: the table of contents of medkern's kernels.

from medkern import kernels as mk
clean = mk.nlm(images)                               images (n, h, w), the result likewise
values, names = mk.glcm(images, masks, levels=32)    values (n, features)
"""

from ._kernel import (
    Cost as Cost,
    Feature as Feature,
    Filter as Filter,
    Kernel as Kernel,
    Measure as Measure,
    Parameter as Parameter,
    Quality as Quality,
)
from ._regions import (
    RegionMeasure as RegionMeasure,
    Regions as Regions,
    regions as regions,
    windows as windows,
)

# in reading order, not in that of the alphabet
# isort: off
from .denoise.noise import noise as noise
from .denoise._recommend import Recommendation as Recommendation, recommend as recommend
from .denoise.gaussian import gaussian as gaussian
from .denoise.dog import dog as dog
from .denoise.median import median as median
from .denoise.bilateral import bilateral as bilateral
from .denoise.guided import guided as guided
from .denoise.nlm import nlm as nlm
from .denoise.collaborative import collaborative as collaborative
from .denoise.tv import tv as tv
from .denoise.diffusion import diffusion as diffusion
from .denoise.wavelet import wavelet as wavelet
from .denoise.lee import lee as lee
from .denoise.kuan import kuan as kuan
from .denoise.frost import frost as frost
from .denoise.srad import srad as srad
from .denoise.anscombe import anscombe as anscombe, anscombe_inverse as anscombe_inverse
from .denoise.rician import rician as rician, rician_inverse as rician_inverse
from .enhance.clahe import clahe as clahe
from .enhance.mean_filter import mean_filter as mean_filter
from .enhance.laplacian import laplacian as laplacian
from .enhance.laws import laws as laws
from .enhance.subband import subband as subband
from .enhance.gabor import gabor as gabor
from .texture.statistics import statistics as statistics
from .texture.intensity import intensity as intensity
from .texture.colocalisation import colocalisation as colocalisation
from .texture.histogram import histogram as histogram
from .texture.ivh import ivh as ivh
from .texture.local import local as local
from .texture.glcm import glcm as glcm
from .texture.haralick import haralick as haralick
from .texture.glrlm import glrlm as glrlm
from .texture.glszm import glszm as glszm
from .texture.gldzm import gldzm as gldzm
from .texture.ngtdm import ngtdm as ngtdm
from .texture.ngldm import ngldm as ngldm
from .texture.lbp import lbp as lbp
from .texture.hog import hog as hog
from .texture.zernike import zernike as zernike
from .texture.granularity import granularity as granularity
from .texture.fractal import fractal as fractal
from .texture.radial import radial as radial
from .texture.colour import colour as colour
from .texture.stains import stains as stains
from .texture.coherence import coherence as coherence
from .texture.colour_glcm import colour_glcm as colour_glcm
from .texture.morphology import morphology as morphology
from .texture.shape2d import shape2d as shape2d
from .texture.lesion import lesion as lesion
from .texture.moments import moments as moments
from .texture.neighbours import neighbours as neighbours
from .texture.textures import textures as textures
# isort: on


def catalogue() -> dict[str, Kernel]:
    """Every kernel by name, in reading order."""
    return {name: item for name, item in globals().items() if isinstance(item, Kernel)}
