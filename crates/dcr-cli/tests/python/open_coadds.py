"""Opens the results of `dcr assemble` as their users do: with astropy, and with sep and photutils where these are there.

open_coadds.py RUN CATALOGUE: planes, mask plane names, WCS round trip, tables; then sources are detected in the stacked coadd and those of
the catalogue (columns x, y, flux; pixels from 0) that are bright and well inside the image are looked for among them.
"""
import csv
import importlib.util
import os
import sys
import warnings

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

run, catalogue = sys.argv[1:3]
warnings.simplefilter("error", fits.verify.VerifyWarning)


def there(module):
    if importlib.util.find_spec(module):
        return True
    print(f"skipped: {module} is not there")
    return False


def check_file(name, planes):
    """Planes, names of mask planes, WCS, PSF, tables; returns image, error and the pixels to leave out."""
    with fits.open(os.path.join(run, name), checksum=True) as hdus:
        hdus.verify("exception")
        names = [hdu.name for hdu in hdus]
        assert [plane for plane in planes if plane not in names] == [], f"{name}: {names}"
        image, mask, variance = (hdus[plane].data for plane in ("IMAGE", "MASK", "VARIANCE"))
        assert image.shape == mask.shape == variance.shape
        assert image.dtype.kind == "f" and mask.dtype.kind == "i"
        assert hdus["IMAGE"].header["BUNIT"] == "electron"
        bits = {card[3:]: bit for card, bit in hdus["MASK"].header.items() if card.startswith("MP_")}
        assert {"BAD", "SAT", "DETECTED", "NO_DATA", "CLIPPED", "INEXACT_PSF"} <= set(bits), bits
        assert np.any(mask & (1 << bits["DETECTED"])), f"{name}: nothing is detected"
        unknown = mask & ~np.bitwise_or.reduce([1 << bit for bit in bits.values()])
        assert not unknown.any(), f"{name}: bits without names"

        wcs = WCS(hdus["IMAGE"].header)
        y, x = np.mgrid[0 : image.shape[0] : 20, 0 : image.shape[1] : 20]
        sky = wcs.pixel_to_world(x, y)
        back = wcs.world_to_pixel(sky)
        assert np.allclose(back, (x, y), atol=1e-6), f"{name}: the WCS does not come back"

        psf = hdus["PSF"].data
        assert abs(psf.sum() - 1) < 1e-5 and np.unravel_index(psf.argmax(), psf.shape) == tuple(n // 2 for n in psf.shape)
        # The planes of the joint method have one PSF.
        assert name != "plain.fits" or "PSF_GRID" in names
        if "PSF_GRID" in names:
            grid = Table.read(hdus["PSF_GRID"])
            assert grid["STAMP"].shape[0] == len(grid) and np.allclose(grid["STAMP"].sum(axis=(1, 2)), 1, atol=1e-4)
        visits = Table.read(hdus["VISITS"])
        assert {"VISIT", "WEIGHT", "AIRMASS", "PARANGLE", "MJD_TAI", "PSF_FWHM", "METRIC"} <= set(visits.colnames)
        assert len(visits) > 1 and abs(visits["WEIGHT"].mean() - 1) < 1e-9
        curve = Table.read(hdus["TRANSMISSION"])
        assert (np.diff(curve["WAVELENGTH"]) > 0).all() and curve["THROUGHPUT"].max() > 0
        native = [plane.astype(plane.dtype.newbyteorder("=")) for plane in (image, variance)]
        return native[0], np.sqrt(native[1]), (mask & (1 << bits["NO_DATA"])) != 0


def find_truth(found, bright, what):
    """All bright sources are among those found, within a pixel."""
    lost = [source for source in bright if np.hypot(found[0] - source[0], found[1] - source[1]).min() > 1]
    assert not lost, f"{what} does not find {lost}"
    print(f"{what}: {len(found[0])} sources, all of {len(bright)} bright ones among them")


everywhere = ["IMAGE", "MASK", "VARIANCE", "PSF", "VISITS", "TRANSMISSION"]
subfilters = sorted(name for name in os.listdir(run) if name.startswith("subfilter_"))
total = 0
for name in subfilters:
    total = total + check_file(name, [*everywhere, "N_IMAGE"])[0]
check_file("plain.fits", everywhere)
image, error, missing = check_file("coadd.fits", [*everywhere, "N_IMAGE"])
assert np.allclose(image, total, atol=1e-3), "the subfilters add up to the coadd"

with fits.open(os.path.join(run, "input_map.fits"), checksum=True) as hdus:
    inputs, bits = Table.read(hdus["INPUTS"]), hdus["BITS_0"].data
    seen = [(bits >> int(bit)) & 1 for bit in inputs["BIT"]]
    assert bits.shape == image.shape and all(plane.mean() > 0.9 for plane in seen)

with open(catalogue, newline="") as file:
    sources = [[float(row[key]) for key in ("x", "y", "flux")] for row in csv.DictReader(file)]
inside = [s for s in sources if 10 < s[0] < image.shape[1] - 10 and 10 < s[1] < image.shape[0] - 10 and s[2] > 2e4]
# One that has a brighter one beside it may not be told apart.
apart = lambda s: all(t is s or t[2] < s[2] / 3 or np.hypot(s[0] - t[0], s[1] - t[1]) > 12 for t in sources)
bright = [s[:2] for s in inside if apart(s)]
assert len(bright) >= 3, "the catalogue has bright sources"

if there("sep"):
    import sep

    objects = sep.extract(np.ascontiguousarray(image), 5.0, err=np.ascontiguousarray(error), mask=missing)
    find_truth((objects["x"], objects["y"]), bright, "sep")
if there("photutils"):
    from photutils.detection import DAOStarFinder

    table = DAOStarFinder(threshold=5 * float(np.median(error)), fwhm=3.75)(image, mask=missing)
    column = lambda *names: np.asarray(table[next(name for name in names if name in table.colnames)])
    find_truth((column("x_centroid", "xcentroid"), column("y_centroid", "ycentroid")), bright, "photutils")
print("all is as it should be")
