"""Writes the small FITS files of this folder that only astropy can write as wanted.

Run from this folder: python make_files.py
"""

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


if __name__ == "__main__":
    main()
