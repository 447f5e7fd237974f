"""Writes the small FITS files of this folder that only astropy can write as wanted.

Run from this folder: python make_files.py
"""

import pathlib

import numpy as np
from astropy.io import fits

SHAPE = (24, 32)


def header():
    h = fits.Header()
    for key, value in (("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 53.0), ("CRVAL2", -28.0),
                       ("CRPIX1", 16.5), ("CRPIX2", 12.5), ("CD1_1", -5e-5), ("CD2_2", 5e-5)):
        h[key] = value
    return h


def ramp():
    y, x = np.indices(SHAPE)
    data = (100.0 + x - 0.5 * y + 3.0 * np.sin(x * y)).astype(np.float32)
    data[3, 5] = np.nan
    data[20, 31] = np.nan
    return data


def compressed(name, data, h=None, **how):
    return fits.CompImageHDU(data, h or header(), name=name, **how)


def main():
    mask = np.zeros(SHAPE, np.int32)
    mask[3, 5] = 1 << 8
    h = header()
    h["MP_NO_DATA"] = 8
    fits.HDUList([
        fits.PrimaryHDU(),
        compressed("IMAGE", ramp(), compression_type="RICE_1", quantize_level=64.0, quantize_method=1,
                   dither_seed=7),
        compressed("MASK", mask, h, compression_type="RICE_1"),
        compressed("VARIANCE", np.full(SHAPE, 4.0, np.float32), compression_type="GZIP_1", quantize_level=0.0),
    ]).writeto("rice_quantised.fits", overwrite=True, checksum=True)


def quantised(name, algorithm, method, tile):
    """An image of real numbers, its mask and variance, quantised and compressed by an algorithm."""
    data = ramp()
    if algorithm == "HCOMPRESS_1":
        data = np.nan_to_num(data, nan=100.0)
    mask = (np.indices(SHAPE).sum(axis=0) % 7 == 0).astype(np.int32) * 3
    fits.HDUList([
        fits.PrimaryHDU(),
        compressed("IMAGE", data, compression_type=algorithm, quantize_level=16.0, quantize_method=method,
                   dither_seed=77, tile_shape=tile),
        compressed("MASK", mask, compression_type="PLIO_1", tile_shape=tile),
        compressed("VARIANCE", np.full(SHAPE, 4.0, np.float32), compression_type="GZIP_2", quantize_level=0.0),
    ]).writeto(name, overwrite=True, checksum=True)


def integers(name, algorithm):
    """Counts of 16 bits with BZERO."""
    data = np.nan_to_num(ramp(), nan=0.0).astype(np.uint16) + 40000
    fits.HDUList([fits.PrimaryHDU(), compressed("IMAGE", data, compression_type=algorithm)]).writeto(
        name, overwrite=True, checksum=True)


def tree(name):
    """An exposure whose description is a JSON tree in a variable-length column, as lsst-images writes it."""
    text = b'{"metadata": {"visit": 12}, "psf": NaN, "note": "a \\" b"}'
    column = fits.Column(name="JSON", format="QB()", array=np.array([np.frombuffer(text, np.uint8)], dtype=object))
    table = fits.BinTableHDU.from_columns([column], name="JSON")
    fits.HDUList([
        fits.PrimaryHDU(),
        fits.ImageHDU(ramp(), header(), name="IMAGE"),
        fits.ImageHDU(np.full(SHAPE, 4.0, np.float32), name="VARIANCE"),
        fits.ImageHDU(np.ones((2, 2, 5, 5)), name="PSF"),
        table,
    ]).writeto(name, overwrite=True, checksum=True)


def psfex(name):
    """A PSFEx model of degree 1 as PSFEx writes it."""
    y, x = np.indices((15, 15)) - 7
    star = np.exp(-(x**2 + y**2) / 8.0)
    terms = np.stack([star, 0.01 * star * x, 0.01 * star * y]).astype(np.float32)
    column = fits.Column(name="PSF_MASK", format="675E", dim="(15, 15, 3)", array=terms[None])
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    for key, value in (("POLNAXIS", 2), ("POLGRP1", 1), ("POLNAME1", "X_IMAGE"), ("POLZERO1", 30.0), ("POLSCAL1", 60.0),
                       ("POLGRP2", 1), ("POLNAME2", "Y_IMAGE"), ("POLZERO2", 25.0), ("POLSCAL2", 50.0), ("POLNGRP", 1),
                       ("POLDEG1", 1), ("PSF_FWHM", 4.7), ("PSF_SAMP", 1.0), ("PSFNAXIS", 3), ("PSFAXIS1", 15),
                       ("PSFAXIS2", 15), ("PSFAXIS3", 3)):
        table.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(name, overwrite=True, checksum=True)


def tiles():
    """Compressed images, each with what astropy decodes from it as a plain image DECODED_…"""
    quantised("tiles_hcompress.fits", "HCOMPRESS_1", -1, (8, 16))
    quantised("tiles_rice_dither_2.fits", "RICE_1", 2, (7, 13))
    quantised("tiles_gzip_dither_1.fits", "GZIP_2", 1, (24, 32))
    integers("tiles_hcompress_u16.fits", "HCOMPRESS_1")
    integers("tiles_rice_u16.fits", "RICE_1")
    for name in sorted(pathlib.Path().glob("tiles_*.fits")):
        with fits.open(name) as file:
            decoded = [(hdu.name, hdu.data.astype(np.float32)) for hdu in file[1:]]
        for hdu_name, data in decoded:
            fits.append(name, data, fits.Header([("EXTNAME", "DECODED_" + hdu_name)]), checksum=True)


if __name__ == "__main__":
    main()
    tiles()
    tree("json_tree.fits")
    psfex("psfex.fits")
