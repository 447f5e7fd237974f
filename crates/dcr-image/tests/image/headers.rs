//! Header dumps of real instruments, where the shared folder is present.
use crate::support::shared;
use dcr_image::header::{Card, Header, Value, VisitHeader};
use std::path::Path;

/// The cards of a header dump: YAML lists `[KEY, Type, value, comment]` on one line or with an item
/// on each, or a mapping `KEY: value` or JSON, one card to a line.
pub(crate) fn dump(text: &str) -> Header {
    let mut header = Header::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(list) = line.strip_prefix("- [") {
            let mut parts = list.splitn(3, ", ");
            if let (Some(key), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                let value = if let Some(quoted) = rest.strip_prefix('\'') {
                    quoted.split_once('\'').map_or("", |(value, _)| value)
                } else {
                    rest.split_once(", ").map_or(rest, |(value, _)| value)
                };
                header.push(Card::new(key, scalar(value, rest.starts_with('\''))));
            }
        } else if let Some(key) = line.strip_prefix("- - ") {
            let mut item = || lines.next().and_then(|line| line.strip_prefix("  - ")).unwrap_or("");
            let (_, value) = (item(), item());
            header.push(Card::new(key, scalar(value.trim_matches('\''), value.starts_with('\''))));
        } else if let Some((key, value)) = line.split_once(':') {
            let key = key.trim().trim_matches(['"', ' ']);
            let value = value.trim().trim_end_matches(',');
            if !key.is_empty() && !key.starts_with(['#', '!']) {
                let quoted = value.starts_with(['"', '\'']);
                header.push(Card::new(key, scalar(value.trim_matches(['"', '\'']), quoted)));
            }
        }
    }
    header
}

fn scalar(text: &str, quoted: bool) -> Value {
    if quoted {
        return Value::Text(text.to_owned());
    }
    match text {
        "null" | "" => Value::Undefined,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text
            .parse()
            .map(Value::Int)
            .or_else(|_| text.parse().map(Value::Float))
            .unwrap_or_else(|_| Value::Text(text.to_owned())),
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "smoke")]
fn smoke_dumps() {
    let Some(dir) = shared("realdata/headers_amt") else { return };
    for e in std::fs::read_dir(dir).unwrap() {
        let p = e.unwrap().path();
        let h = dump(&std::fs::read_to_string(&p).unwrap());
        let v = VisitHeader::read(&h, Path::new(&p), None).visit;
        show(&p, &v);
    }
    for f in ["realdata/hatp32_series/HATP-32171220050312.FITS"] {
        let _ = f;
    }
}

#[expect(clippy::print_stderr, reason = "smoke")]
pub(crate) fn show(p: &Path, v: &dcr_physics::VisitInfo) {
    eprintln!(
        "{:?} visit {} {:?} {:?} mjd {:?} exp {:?}\n  sky {:?} alt {:?} az {:?} X {:?} ha {:?} era {:?} rot {:?}\n  site {:?} wx {:?} adc {:?} fwhm {:?} zp {:?}",
        p.file_name().unwrap(),
        v.visit,
        v.instrument,
        v.filter,
        v.mid_time.map(|t| t.jd1 - 2400000.5 + t.jd2),
        v.exposure_s,
        v.boresight.map(|b| (b.ra.degrees(), b.dec.degrees())),
        v.altitude.map(|a| a.degrees()),
        v.azimuth.map(|a| a.degrees()),
        v.airmass,
        v.hour_angle.map(|a| a.degrees()),
        v.earth_rotation_angle.map(|a| a.degrees()),
        v.rotator_angle.map(|a| a.degrees()),
        v.site.map(|s| (s.latitude.degrees(), s.longitude.degrees(), s.elevation_m)),
        v.weather,
        v.dispersion_corrector,
        v.psf_fwhm_px,
        v.zero_point_mag
    );
    for a in &v.assumptions {
        eprintln!("   {} {}: {}", if a.warning { "WARN" } else { "note" }, a.quantity, a.text)
    }
    let g = dcr_physics::ZenithGeometry::resolve(v, dcr_physics::GeometrySource::Auto);
    match g {
        Ok(g) => eprintln!("   GEO {:?}", g.boresight().map(|b| format!("{b:?}"))),
        Err(e) => eprintln!("   GEO ERR {e}"),
    }
}
