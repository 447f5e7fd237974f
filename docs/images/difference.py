"""Draws difference.png of the README: an exposure that the coadd has not seen, less the standard coadd and less dcr's template.

    dcr assemble testdata/field -o coadds
    dcr template coadds -e testdata/heldout/*.fits -o templates
    python docs/images/difference.py templates

Needs numpy, astropy and matplotlib.
"""
import glob
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits


def read(path):
    with fits.open(path) as hdus:
        return hdus["IMAGE"].data.astype(float), hdus["VARIANCE"].data, hdus[0].header


warps = [read(path) for path in sorted(glob.glob("testdata/field/*.fits"))]
plain = np.mean([image for image, _, _ in warps], axis=0)
held = [(path, *read(path)) for path in sorted(glob.glob("testdata/heldout/*.fits"))]
path, image, variance, header = max(held, key=lambda exposure: exposure[3]["BORE-AIRMASS"])
template, _, _ = read(f"{sys.argv[1]}/template_{header['VISIT']}.fits")
sigma = np.sqrt(np.median(variance))

panels = [
    (image, f"exposure, airmass {header['BORE-AIRMASS']:.2f}", (-5 * sigma, 40 * sigma)),
    (image - plain, "exposure − standard coadd", (-7 * sigma, 7 * sigma)),
    (image - template, "exposure − dcr template", (-7 * sigma, 7 * sigma)),
]
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.5))
for axis, (plane, title, (low, high)) in zip(axes, panels):
    axis.imshow(plane, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axis.set_title(title, fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
figure.tight_layout()
figure.savefig("docs/images/difference.png", dpi=100)
print(f"airmass {header['BORE-AIRMASS']:.2f}; rms/sigma plain {np.std((image - plain)[8:-8, 8:-8]) / sigma:.2f}, dcr {np.nanstd((image - template)[8:-8, 8:-8]) / sigma:.2f}")
