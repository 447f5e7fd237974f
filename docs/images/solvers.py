"""Draws solvers.png of the book: differences with the standard coadd and with either solver's templates, in steady and in troubled exposures.

    cargo xtask field steady --side 256 --visits 12
    cargo xtask field troubled --side 256 --visits 16 --troubled
    for field in steady troubled; do
        for method in iterative joint; do
            dcr assemble $field -o $field-$method --set solver.method=$method
            dcr subtract $field-$method -e $field/heldout -o $field-$method-less
        done
    done
    python docs/images/solvers.py

Needs numpy, astropy and matplotlib.
"""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

VISIT = 5001
PART = np.s_[90:220, 90:220]


def read(path):
    with fits.open(path) as hdus:
        return hdus["IMAGE"].data.astype(float), hdus["VARIANCE"].data, hdus[0].header


figure, axes = plt.subplots(2, 4, figsize=(10.4, 5.6))
for row, field, about in zip(axes, ["steady", "troubled"], ["seeing 0.75″", "seeing 0.6 to 1.3″, artefacts"]):
    exposure, variance, header = read(f"{field}/heldout/warp_{VISIT}.fits")
    plain, _, _ = read(f"{field}-joint/plain.fits")
    sigma = np.sqrt(np.median(variance))
    panels = [
        (exposure, f"exposure, airmass {header['BORE-AIRMASS']:.2f}", (-5 * sigma, 40 * sigma)),
        (exposure - plain, "− standard coadd", (-7 * sigma, 7 * sigma)),
        (read(f"{field}-iterative-less/difference_{VISIT}.fits")[0], "− iterative template", (-7 * sigma, 7 * sigma)),
        (read(f"{field}-joint-less/difference_{VISIT}.fits")[0], "− joint template", (-7 * sigma, 7 * sigma)),
    ]
    for axis, (plane, title, (low, high)) in zip(row, panels):
        axis.imshow(plane[PART], origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    row[0].set_ylabel(about, fontsize=10)
figure.tight_layout()
figure.savefig("docs/images/solvers.png", dpi=64)
