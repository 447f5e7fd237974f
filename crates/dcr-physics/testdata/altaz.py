"""Makes altaz.csv: apparent altitude and parallactic angle of random places, by astropy.

Earth orientation is switched off (UT1 = UTC, no polar motion), as in the crate. The parallactic angle is
the position angle, North through East in ICRS, of a point a little nearer the zenith than the place.

Written with astropy 8.0.2 and pyerfa 2.0.1.5:  python altaz.py > altaz.csv
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

iers.conf.auto_download = False
table = iers.IERS_B.open()
for column in ("UT1_UTC", "PM_x", "PM_y", "dX_2000A", "dY_2000A"):
    if column in table.colnames:
        table[column] = 0 * table[column]

rng = np.random.default_rng(20260101)
print("jd1_tai,jd2_tai,longitude_deg,latitude_deg,height_m,temperature_c,pressure_pa,humidity_percent,"
      "ra_deg,dec_deg,altitude_deg,azimuth_deg,parallactic_angle_deg")
with iers.earth_orientation_table.set(table):
    made = 0
    while made < 40:
        jd1 = 2451544.5 + int(rng.integers(0, 9100))
        jd2 = float(rng.uniform())
        time = Time(jd1, jd2, format="jd", scale="tai")
        longitude, latitude = rng.uniform(-180, 180), rng.uniform(-75, 75)
        height = rng.uniform(0, 5000)
        temperature = rng.uniform(-10, 25)
        pressure = 101325 * np.exp(-height / 8300) * rng.uniform(0.98, 1.02)
        humidity = rng.uniform(0, 100)
        altitude, azimuth = rng.uniform(20, 89), rng.uniform(0, 360)
        frame = AltAz(
            obstime=time, location=EarthLocation.from_geodetic(longitude, latitude, height),
            temperature=temperature * u.deg_C, pressure=pressure * u.Pa,
            relative_humidity=humidity / 100, obswl=0.55 * u.micron,
        )
        place = SkyCoord(az=azimuth * u.deg, alt=altitude * u.deg, frame=frame).icrs
        seen = place.transform_to(frame)
        nearer = SkyCoord(az=seen.az, alt=seen.alt + 0.01 * u.deg, frame=frame).icrs
        q = place.position_angle(nearer).wrap_at(180 * u.deg).deg
        print(",".join(repr(float(value)) for value in (
            jd1, jd2, longitude, latitude, height, temperature, pressure, humidity,
            place.ra.deg, place.dec.deg, seen.alt.deg, seen.az.deg, q)))
        made += 1
