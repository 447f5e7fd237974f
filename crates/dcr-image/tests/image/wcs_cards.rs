//! WCS whose cards contradict each other, are of an old form, or make no image of the sky.

use dcr_image::header::{Card, Header};
use dcr_image::wcs::Distortions;
use dcr_image::{BBox, Wcs, WcsError};

/// Agreement of two WCS that are one.
const SAME_PX: f64 = 1e-6;

/// A TAN of 0.18″ without a matrix, 100 px wide.
fn start() -> Header {
    [
        Card::new("NAXIS1", 100_i64),
        Card::new("NAXIS2", 80_i64),
        Card::new("CTYPE1", "RA---TAN"),
        Card::new("CTYPE2", "DEC--TAN"),
        Card::new("CRVAL1", 53.0),
        Card::new("CRVAL2", -28.0),
        Card::new("CRPIX1", 50.5),
        Card::new("CRPIX2", 40.5),
    ]
    .into_iter()
    .collect()
}

fn with(cards: &[(&str, f64)]) -> Header {
    let mut header = start();
    cards.iter().for_each(|(keyword, value)| header.set(keyword, *value));
    header
}

fn read(header: &Header) -> Wcs {
    Wcs::from_header(header, (0, 0)).unwrap_or_else(|error| panic!("{error}: {header:?}"))
}

fn apart(a: &Wcs, b: &Wcs) -> f64 {
    a.difference_px(b, &BBox::new(0, 0, 100, 80)).unwrap()
}

fn said(wcs: &Wcs) -> String {
    wcs.notes().join(" ")
}

/// 5e-5 degrees per pixel, turned by 25°.
const CD: [(&str, f64); 4] = [
    ("CD1_1", -4.531_538_9e-5),
    ("CD1_2", 2.113_091_3e-5),
    ("CD2_1", 2.113_091_3e-5),
    ("CD2_2", 4.531_538_9e-5),
];
/// The same as PC.
const PC: [(&str, f64); 6] = [
    ("CDELT1", 5e-5),
    ("CDELT2", 5e-5),
    ("PC1_1", -0.906_307_78),
    ("PC1_2", 0.422_618_26),
    ("PC2_1", 0.422_618_26),
    ("PC2_2", 0.906_307_78),
];

#[test]
fn matrix_in_its_old_form_is_read() {
    let old = |cards: &[(&str, f64)]| -> Header {
        let renamed = |name: &str| match name.split_at(2) {
            (root @ ("PC" | "CD"), ij) if ij.contains('_') => {
                format!("{root}00{}00{}", &ij[..1], &ij[2..])
            }
            _ => name.to_owned(),
        };
        let mut header = start();
        cards.iter().for_each(|(keyword, value)| header.set(&renamed(keyword), *value));
        header
    };
    for (new, old) in [(with(&PC), old(&PC)), (with(&CD), old(&CD))] {
        let (new, old) = (read(&new), read(&old));
        assert!(apart(&new, &old) < SAME_PX);
        assert!(new.notes().is_empty() && old.notes().is_empty(), "{} {}", said(&new), said(&old));
        // Written cards can be read again.
        let written: Header = old.to_cards((0, 0)).into_iter().collect();
        assert!(apart(&old, &read(&written)) < SAME_PX);
    }
    // As Pan-STARRS has it: CDELT positive, the mirror in PC001001.
    let mirrored = with(&[("CDELT1", 5e-5), ("CDELT2", 5e-5), ("PC001001", -1.0), ("PC002002", 1.0)]);
    let plain = with(&[("CDELT1", -5e-5), ("CDELT2", 5e-5)]);
    assert!(apart(&read(&mirrored), &read(&plain)) < SAME_PX);
}

#[test]
fn matrix_pc_goes_before_cd_and_says_so_where_they_differ() {
    let mut both = with(&PC);
    CD.iter().for_each(|(keyword, value)| both.set(keyword, *value));
    let pc = read(&with(&PC));
    assert!(read(&both).notes().is_empty(), "{}", said(&read(&both)));
    // The camera's matrix, left behind by resampling.
    for (keyword, value) in [("CD1_1", 0.0), ("CD1_2", 5.55e-5), ("CD2_1", 5.55e-5), ("CD2_2", 0.0)] {
        both.set(keyword, value);
    }
    let chosen = read(&both);
    assert!(apart(&chosen, &pc) < SAME_PX);
    assert!(said(&chosen).contains("PCi_j") && said(&chosen).contains("CDi_j"), "{}", said(&chosen));
    // As astropy writes it: PC in degrees, CDELT 1 or none.
    for steps in [true, false] {
        let mut header = start();
        for (keyword, value) in &PC[2..] {
            header.set(keyword, value * 5e-5);
        }
        if steps {
            header.set("CDELT1", 1.0);
            header.set("CDELT2", 1.0);
        }
        assert!(apart(&read(&header), &pc) < 1e-5 && read(&header).notes().is_empty());
    }
}

#[test]
fn matrix_without_a_plausible_pixel_gives_way() {
    // An identity left behind beside a good CD.
    let mut header = with(&CD);
    header.set("PC1_1", 1.0);
    header.set("PC2_2", 1.0);
    let chosen = read(&header);
    assert!(apart(&chosen, &read(&with(&CD))) < SAME_PX);
    assert!(said(&chosen).contains("PCi_j"), "{}", said(&chosen));
}

#[test]
fn matrix_and_a_rotation_that_contradicts() {
    let rotated = |angle: f64| {
        let mut header = with(&CD);
        header.set("CDELT1", -5e-5);
        header.set("CDELT2", 5e-5);
        header.set("CROTA2", angle);
        said(&read(&header))
    };
    assert_eq!((rotated(0.0), rotated(-25.0)), (String::new(), String::new()), "left behind, or the same");
    assert!(rotated(90.0).contains("CROTA2"));
}

/// CD and a SIP of four pixels at the corner.
fn sip(suffix: &str) -> Header {
    let mut header = with(&CD);
    header.set("CTYPE1", format!("RA---TAN{suffix}"));
    header.set("CTYPE2", format!("DEC--TAN{suffix}"));
    for (keyword, value) in
        [("A_ORDER", 2.0), ("B_ORDER", 2.0), ("A_2_0", 8e-4), ("B_0_2", -8e-4), ("A_1_1", 3e-4)]
    {
        header.set(keyword, value);
    }
    header
}

#[test]
fn sip_without_its_suffix_is_applied_said_and_written_with_it() {
    let (named, bare) = (read(&sip("-SIP")), read(&sip("")));
    assert!(apart(&named, &bare) < SAME_PX);
    assert!(
        said(&bare).contains("SIP") && said(&bare).contains("2.") && !said(&named).contains("CTYPE1"),
        "{}",
        said(&bare)
    );
    let written: Header = bare.to_cards((0, 0)).into_iter().collect();
    assert_eq!(written.text("CTYPE1"), Some("RA---TAN-SIP"));
    assert!(apart(&bare, &read(&written)) < SAME_PX);
    // Dropped on request, with what would be passed on.
    let dropped = Wcs::read(&sip(""), (0, 0), Distortions::Ignored).unwrap();
    assert!(apart(&dropped, &read(&with(&CD))) < SAME_PX && dropped.notes().is_empty());
    assert!(!dropped.to_cards((0, 0)).iter().any(|card| card.keyword.starts_with("A_")));
    // Terms without their order are none, and said.
    let orderless: Header = sip("").iter().filter(|card| !card.keyword.ends_with("ORDER")).cloned().collect();
    assert!(
        apart(&read(&orderless), &read(&with(&CD))) < SAME_PX && said(&read(&orderless)).contains("A_ORDER")
    );
    // Terms that are all 0 are none.
    let mut none = sip("");
    for keyword in ["A_2_0", "B_0_2", "A_1_1"] {
        none.set(keyword, 0.0);
    }
    assert!(read(&none).notes().is_empty());
}

#[test]
fn tpv_under_the_name_of_tan_is_known_by_its_linear_terms() {
    const PV: [(&str, f64); 6] = [
        ("PV1_0", 0.001),
        ("PV1_1", 1.0001),
        ("PV1_2", 2e-5),
        ("PV2_0", 0.001),
        ("PV2_1", 1.0001),
        ("PV2_2", 2e-5),
    ];
    let named = |projection: &str, terms: &[(&str, f64)]| {
        let mut header = with(&CD);
        header.set("CTYPE1", format!("RA---{projection}"));
        header.set("CTYPE2", format!("DEC--{projection}"));
        terms.iter().for_each(|(keyword, value)| header.set(keyword, *value));
        read(&header)
    };
    let (tpv, tan) = (named("TPV", &PV), named("TAN", &PV));
    assert!(apart(&tpv, &tan) < SAME_PX);
    assert!(tpv.notes().is_empty() && said(&tan).contains("TPV"), "{} / {}", said(&tpv), said(&tan));
    // TAN's own parameters: the native coordinates of the reference point.
    let own = named("TAN", &[("PV1_0", 0.0), ("PV1_1", 0.0), ("PV1_2", 90.0), ("PV1_3", 180.0)]);
    assert!(apart(&own, &read(&with(&CD))) < SAME_PX && own.notes().is_empty(), "{}", said(&own));
    // Of neither kind.
    let odd = named("TAN", &[("PV2_1", 45.0)]);
    assert!(apart(&odd, &read(&with(&CD))) < SAME_PX && said(&odd).contains("PV2_m"));
}

#[test]
fn tpv_beside_another_sip_is_said() {
    let mut header = sip("");
    header.set("CTYPE1", "RA---TPV");
    header.set("CTYPE2", "DEC--TPV");
    header.set("PV1_1", 1.0001);
    header.set("PV2_1", 1.0001);
    let wcs = read(&header);
    assert!(said(&wcs).contains("TPV (PVi_m)") && said(&wcs).contains("SIP"), "{}", said(&wcs));
}

#[test]
fn pixels_that_no_telescope_has_are_refused_or_doubted() {
    for scale in [1e-12 / 3600.0, 1e-4 / 3600.0, 0.2, 5.0] {
        let error = Wcs::from_header(&with(&[("CD1_1", -scale), ("CD2_2", scale)]), (0, 0)).unwrap_err();
        assert!(matches!(error, WcsError::Implausible { .. }), "{scale}: {error}");
        assert!(error.to_string().contains("0.001"), "{error}");
    }
    let error = Wcs::from_header(&with(&[("CD1_1", -5e-9), ("CD2_2", 5e-5 * 1e3)]), (0, 0)).unwrap_err();
    assert!(matches!(error, WcsError::Implausible { .. }), "{error}");
    let long = read(&with(&[("CD1_1", -5e-5), ("CD2_2", 5e-4)]));
    assert!(said(&long).contains("10.0 times"), "{}", said(&long));
    for good in [0.05 / 3600.0, 0.2 / 3600.0, 20.0 / 3600.0] {
        assert!(read(&with(&[("CD1_1", -good), ("CD2_2", good)])).notes().is_empty(), "{good}");
    }
}

#[test]
fn distortions_that_change_pixels_much_are_doubted() {
    let mut strong = sip("-SIP");
    strong.set("A_2_0", 3e-3);
    assert!(said(&read(&strong)).contains("changes by"), "{}", said(&read(&strong)));
    let mut folded = sip("-SIP");
    folded.set("A_2_0", 5e-2);
    let error = Wcs::from_header(&folded, (0, 0)).unwrap_err();
    assert!(matches!(error, WcsError::Implausible { .. }), "{error}");
    let mut far = with(&CD);
    far.set("CRPIX1", -1.5e6);
    assert!(said(&read(&far)).contains("reference point"), "{}", said(&read(&far)));
}
