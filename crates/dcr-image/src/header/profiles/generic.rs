//! Headers of unknown origin, and of SWarp, which keeps what it was told to: the cards that many
//! instruments use.

use super::angle::Unit;
use super::profile::{
    Altitude, Corrector, HourAngle, LongitudeSign, Pointing, Profile, Time, ZeroPointCard,
};

/// Cards of the telescope's latitude, of observatories, archives, and camera and mount software.
pub(crate) const LATITUDES: &[&str] = &[
    "OBS-LAT", "OBSGEO-B", "SITELAT", "LATITUDE", "LAT-OBS", "OBSLAT", "GEOLAT", "GEO_LAT", "SITE-LAT", "SITE_LAT",
    "OBS_LAT", "LATOBS", "TELLAT", "TEL-LAT", "LAT", "ESO TEL GEOLAT",
];
/// Cards of its longitude.
pub(crate) const LONGITUDES: &[&str] = &[
    "OBS-LONG", "OBSGEO-L", "SITELONG", "LONGITUD", "LONGITUDE", "LONG-OBS", "OBSLONG", "GEOLON", "GEOLONG", "GEO_LON",
    "GEO_LONG", "SITELON", "SITE-LON", "SITE_LON", "SITELNG", "OBSLON", "OBS-LON", "OBS_LON", "OBS_LONG", "LON-OBS",
    "LONGOBS", "TELLON", "TELLONG", "TEL-LONG", "LONG", "LON", "ESO TEL GEOLON",
];
/// Cards of its height. ALTITUDE is one in some headers, and the telescope's altitude in most.
pub(crate) const ELEVATIONS: &[&str] = &[
    "OBS-ELEV", "OBSGEO-H", "SITEELEV", "ALT-OBS", "ELEVATIO", "HEIGHT", "GEOELEV", "GEOALT", "GEO_ALT", "SITEALT",
    "SITE-ALT", "SITE_ALT", "SITE_ELE", "SITEHGT", "OBSALT", "OBS-ALT", "OBS_ALT", "OBSELEV", "OBS_ELEV", "ALTOBS",
    "TELELEV", "ELEVATION", "ESO TEL GEOELEV", "ALTITUDE",
];

pub(crate) const GENERIC: Profile = Profile {
    name: "an unknown instrument",
    instrument: &["INSTRUME", "INSTRUMENT", "CAMERA", "TELESCOP"],
    filter: &["FILTER", "FILTNAM", "FILTNAME", "FILTER1", "FILTERS", "BAND"],
    visit: &["VISIT", "EXPNUM", "EXPID", "IDNUM", "OBSID"],
    time: &[
        Time::Mid("DATE-AVG"),
        Time::MidMjd("MJD-AVG"),
        Time::MidMjd("MJD-MID"),
        Time::BeginEnd("DATE-BEG", "DATE-END"),
        Time::Begin("DATE-BEG"),
        Time::Begin("DATE-OBS"),
        Time::BeginParts("DATE-OBS", "TIME-OBS"),
        Time::BeginParts("DATE-OBS", "UT-OBS"),
        Time::BeginParts("DATE-OBS", "UTC-OBS"),
        Time::BeginParts("DATE-OBS", "UT"),
        Time::BeginParts("DATE-OBS", "UTC"),
        Time::BeginParts("DATE-OBS", "UTSTART"),
        Time::BeginParts("DATE-OBS", "UT-START"),
        Time::BeginParts("DATE-OBS", "TIME"),
        Time::BeginMjd("MJD-OBS"),
        Time::BeginMjd("MJD"),
        Time::BeginJd("JD"),
    ],
    exposure: &["EXPTIME", "EXPOSURE", "EXPTOT", "ITIME"],
    pointing: &[
        Pointing::degrees("BORE-RA", "BORE-DEC"),
        Pointing::degrees("TELRA", "TELDEC"),
        Pointing::degrees("RA", "DEC"),
        Pointing::degrees("OBJCTRA", "OBJCTDEC"),
        Pointing::degrees("OBJRA", "OBJDEC"),
    ],
    altitude: &[
        Altitude::Altitude("ALTITUDE"),
        Altitude::Altitude("TELALT"),
        Altitude::Altitude("ALT"),
        Altitude::Altitude("EL"),
        Altitude::Altitude("OBJCTALT"),
        Altitude::Altitude("CENTALT"),
        Altitude::ZenithDistance("ZD"),
        Altitude::ZenithDistance("ZENDIST"),
    ],
    azimuth: &["AZIMUTH", "TELAZ", "AZ", "OBJCTAZ", "CENTAZ"],
    airmass: &["AIRMASS", "SECZ", "AMSTART"],
    hour_angle: &[
        HourAngle { card: "HA", number: Unit::Hours, at_start: true },
        HourAngle { card: "HOURANGL", number: Unit::Hours, at_start: true },
    ],
    parallactic_angle: &["PARANGLE", "PARALLAC", "PARANG", "BORE-PARANG"],
    latitude: LATITUDES,
    longitude: LONGITUDES,
    longitude_sign: LongitudeSign::Unsure,
    elevation: ELEVATIONS,
    temperature: &["AIRTEMP", "OUTTEMP", "AMBTEMP", "TEMPERAT", "ENVTEM", "TAMBIENT"],
    pressure: &["AIRPRESS", "PRESSURE", "ENVPRE", "BAROMETR", "PAMBIENT"],
    humidity: &["HUMIDITY", "RELHUMID", "ENVHUM", "HUMIDIT"],
    corrector: &[
        Corrector { card: "ADC-TYPE", absent: &["NONE", "OUT", "##NODATA##", "NULL"] },
        Corrector { card: "ADCSTAT", absent: &["OFF", "OUT", "NONE", "PARKED"] },
    ],
    fwhm_px: &["PSF-FWHM", "PSF_FWHM", "FWHM"],
    zero_point: &[
        ZeroPointCard::exposure("MAGZERO"),
        ZeroPointCard::exposure("MAGZPT"),
        ZeroPointCard::exposure("MAGZP"),
        ZeroPointCard::exposure("PHOTZP"),
        ZeroPointCard::exposure("ZEROPT"),
    ],
    ..Profile::EMPTY
};
