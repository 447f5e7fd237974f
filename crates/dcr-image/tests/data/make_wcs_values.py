"""Writes wcs_values.json: pixel <-> sky and zenith directions by astropy, to check our WCS against.

Run from this folder: python make_wcs_values.py [folder with real files]
Headers are invented, each of a kind met in real files. For real files (not part of the repository)
only the numbers are stored.
"""

import json
import sys
from pathlib import Path

import astropy
import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

SHAPE = (600, 800)
ANGLES = [0.0, 33.0, 90.0, -151.3, 179.9]


def base(ctype="TAN", ra=53.0, dec=-28.0):
    return {
        "CTYPE1": f"RA---{ctype}", "CTYPE2": f"DEC--{ctype}", "CRVAL1": ra, "CRVAL2": dec,
        "CRPIX1": 401.25, "CRPIX2": 300.5, "CUNIT1": "deg", "CUNIT2": "deg",
    }


def rotated(angle, scale=0.2 / 3600, mirror=-1.0):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return {"CD1_1": mirror * scale * c, "CD1_2": scale * s, "CD2_1": -mirror * scale * s, "CD2_2": scale * c}


def cases():
    yield "tan_north_up_east_left", base() | rotated(0.0) | {"RADESYS": "ICRS"}
    yield "tan_mirrored", base() | rotated(0.0, mirror=1.0)
    for angle in (17.0, 90.0, 155.0, -100.0):
        yield f"tan_rotated_{angle:g}", base() | rotated(angle) | {"RADESYS": "FK5", "EQUINOX": 2000.0}
        yield f"tan_mirrored_rotated_{angle:g}", base() | rotated(angle, mirror=1.0)
    yield "tan_near_the_pole", base(dec=89.7) | rotated(30.0)
    yield "tan_at_ra_zero", base(ra=0.0, dec=5.0) | rotated(30.0)
    yield "pc_cdelt", base() | {"CDELT1": -7.1e-5, "CDELT2": 7.3e-5, "PC1_1": 0.8, "PC1_2": -0.6,
                               "PC2_1": 0.6, "PC2_2": 0.8}
    yield "pc_in_degrees", base(ra=150.1, dec=2.2) | {
        "PC1_1": -5.5e-5, "PC2_2": 5.5e-5, "CDELT1": 1.0, "CDELT2": 1.0, "LONPOLE": 180.0, "LATPOLE": 2.2,
        "PV1_3": 180.0, "PV1_4": 2.2, "RADESYS": "ICRS"}
    yield "cdelt_crota", base() | {"CDELT1": -2.0e-4, "CDELT2": 2.0e-4, "CROTA1": 12.0, "CROTA2": 12.0}
    yield "cd_with_leftover_cdelt", base() | rotated(8.0) | {"CDELT1": 1.0, "CDELT2": 1.0}
    sip = {"A_ORDER": 3, "B_ORDER": 3, "A_2_0": 6.1e-6, "A_1_1": -3.8e-6, "A_0_2": 2.2e-6, "A_3_0": -3.3e-10,
           "A_1_2": -2.2e-10, "B_2_0": -1.9e-6, "B_1_1": 4.1e-6, "B_0_2": -4.6e-6, "B_2_1": -1.9e-10,
           "B_0_3": -1.7e-10}
    yield "tan_sip", base("TAN-SIP") | rotated(-75.0, 0.168 / 3600, 1.0) | sip
    yield "tan_sip_with_inverse", base("TAN-SIP") | rotated(5.0) | sip | {
        "AP_ORDER": 2, "BP_ORDER": 2, "AP_2_0": -6.1e-6, "AP_1_1": 3.8e-6, "AP_0_2": -2.2e-6,
        "BP_2_0": 1.9e-6, "BP_1_1": -4.1e-6, "BP_0_2": 4.6e-6}
    tpv = {"PV1_0": 1.2e-3, "PV1_1": 1.01, "PV1_2": 2.4e-3, "PV1_4": -6.0e-3, "PV1_5": 4.1e-3, "PV1_6": -2.2e-3,
           "PV1_7": 2.5e-3, "PV1_8": -1.1e-3, "PV1_9": 3.0e-3, "PV1_10": -9.0e-4, "PV2_0": -2.2e-3, "PV2_1": 1.013,
           "PV2_2": -1.9e-3, "PV2_4": -5.0e-3, "PV2_5": 2.5e-3, "PV2_6": 1.7e-3, "PV2_7": -4.0e-4,
           "PV2_8": 3.3e-3, "PV2_9": 1.2e-3, "PV2_10": 2.0e-4}
    far = {"CRPIX1": -9000.5, "CRPIX2": 4200.25}
    yield "tpv", base("TPV") | {"CD1_1": 1.0e-7, "CD1_2": 7.3e-5, "CD2_1": -7.3e-5, "CD2_2": -1.3e-7} | tpv | far
    yield "tpv_under_the_name_tan", base("TAN") | {
        "CD1_1": 1.0e-7, "CD1_2": 7.3e-5, "CD2_1": -7.3e-5, "CD2_2": -1.3e-7} | tpv | far


def header_of(cards):
    header = fits.Header()
    for key, value in cards.items():
        header[key] = value
    return header


def values(header, shape):
    wcs = WCS(header, naxis=2)
    ny, nx = shape
    points = [(0.0, 0.0), (nx - 1.0, 0.0), (0.0, ny - 1.0), (nx - 1.0, ny - 1.0), (0.3 * nx, 0.6 * ny + 0.25)]
    out = []
    for n, (x, y) in enumerate(points):
        ra, dec = wcs.all_pix2world([[x, y]], 0)[0]
        q = ANGLES[n % len(ANGLES)]
        here = SkyCoord(ra, dec, unit="deg")
        step = 1.0 * u.arcsec
        ahead, behind = (here.directional_offset_by((q + turn) * u.deg, step) for turn in (0, 180))
        pixels = wcs.all_world2pix([[p.ra.deg, p.dec.deg] for p in (ahead, behind)], 0, tolerance=1e-12, maxiter=100)
        dx, dy = (pixels[0] - pixels[1]) / 2
        length = float(np.hypot(dx, dy))
        out.append({"x": x, "y": y, "ra": float(ra), "dec": float(dec), "q": q, "dx": float(dx / length),
                    "dy": float(dy / length), "arcsec_per_px": 1.0 / length})
    return out


def lines(result):
    """JSON with one case to a line, so that a change of one shows as one."""
    yield f'{{"made_by": {json.dumps(result["made_by"])}'
    for kind in ("invented", "real"):
        yield f',\n"{kind}": [\n' + ",\n".join(json.dumps(case) for case in result[kind]) + "\n]"
    yield "}\n"


def main():
    result = {"made_by": f"make_wcs_values.py, astropy {astropy.__version__}", "invented": [], "real": []}
    for name, cards in cases():
        result["invented"].append({"name": name, "cards": list(cards.items()),
                                   "points": values(header_of(cards), SHAPE)})
    if len(sys.argv) > 1:
        root = Path(sys.argv[1])
        for path, hdu in (("afw/calexp_hsc_i.fits", 1),
                          ("decam_cp_legacypipe/testcase3/images/decam/CP/V4.8.2a/CP20180808/"
                           "c4d_180809_002630_ooi_g_ls9.N12.fits", 1),
                          ("swarp_psfex/sci.0001.resamp.fits", 0)):
            with fits.open(root / path) as hdus:
                header, shape = hdus[hdu].header, hdus[hdu].shape
            result["real"].append({"name": path, "points": values(header, shape)})
    Path("wcs_values.json").write_text("".join(lines(result)))


if __name__ == "__main__":
    main()
