//! PSFEx models written as tables of every make, and read.

use std::path::Path;

use ndarray::{Array2, Array3, s};

use super::*;
use crate::BBox;
use crate::fits::{Column, ColumnValues, ExposureToWrite, TableHdu, WriteOptions, write_exposure};
use crate::header::{Card, Header};
use crate::psf::{FWHM_PER_SIGMA, Psf};

/// Of a width: images are written as `f32`.
const WIDTH: f64 = 1e-5;
const SIDE: usize = 25;
const BBOX: BBox = BBox::new(0, 0, 64, 32);

fn gaussian(fwhm: f64, centre: f64) -> Array2<f64> {
    let sigma = fwhm / FWHM_PER_SIGMA;
    Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
        let r2 = (row as f64 - 12.0).powi(2) + (column as f64 - 12.0 - centre).powi(2);
        (-0.5 * r2 / (sigma * sigma)).exp() / (sigma * sigma)
    })
}

/// What makes a star of one width one of another.
fn widening(from: f64, to: f64) -> Array2<f64> {
    gaussian(to, 0.0) - gaussian(from, 0.0)
}

/// A table of models, each a set of images; those of a model are stacked along the second axis.
fn table(models: &[Vec<Array2<f64>>], cards: Vec<Card>, columns: Vec<Column>) -> TableHdu {
    let (count, (height, width)) = (models[0].len(), models[0][0].dim());
    let mut images = Array3::zeros((models.len(), count * height, width));
    for (row, model) in models.iter().enumerate() {
        for (term, image) in model.iter().enumerate() {
            let place = s![row, term * height..(term + 1) * height, ..];
            images.slice_mut(place).assign(&image.mapv(|value| value as f32));
        }
    }
    let mask = Column { name: "PSF_MASK".into(), unit: String::new(), values: ColumnValues::Images(images) };
    TableHdu { name: "PSF_DATA".into(), columns: [vec![mask], columns].concat(), cards }
}

fn numbers(name: &str, values: &[f64]) -> Column {
    Column { name: name.into(), unit: String::new(), values: ColumnValues::F64(values.to_vec()) }
}

fn integers(name: &str, values: &[i64]) -> Column {
    Column { name: name.into(), unit: String::new(), values: ColumnValues::I64(values.to_vec()) }
}

fn texts(name: &str, values: &[&str]) -> Column {
    let values = values.iter().map(ToString::to_string).collect();
    Column { name: name.into(), unit: String::new(), values: ColumnValues::Text(values) }
}

/// The cards of a model of so many images whose axes are these: key, middle and scale, and group.
fn cards(count: usize, axes: &[(&str, f64, f64, i64)], degrees: &[i64]) -> Vec<Card> {
    let mut cards = vec![Card::new("POLNAXIS", axes.len() as i64)];
    for (n, (key, zero, scale, group)) in (1..).zip(axes) {
        cards.push(Card::new(&format!("POLGRP{n}"), *group));
        cards.push(Card::new(&format!("POLNAME{n}"), *key));
        cards.push(Card::new(&format!("POLZERO{n}"), *zero));
        cards.push(Card::new(&format!("POLSCAL{n}"), *scale));
    }
    cards.push(Card::new("POLNGRP", degrees.len() as i64));
    let degrees = (1..).zip(degrees).map(|(n, degree)| Card::new(&format!("POLDEG{n}"), *degree));
    cards.extend(degrees);
    cards.push(Card::new("PSF_SAMP", 1.0));
    let sizes = [("PSFAXIS1", SIDE), ("PSFAXIS2", SIDE), ("PSFAXIS3", count)];
    cards.extend(sizes.map(|(name, size)| Card::new(name, size as i64)));
    cards
}

fn constant() -> Vec<Card> {
    cards(1, &[], &[])
}

fn write(path: &Path, tables: Vec<TableHdu>) {
    let file = ExposureToWrite { tables, ..ExposureToWrite::default() };
    write_exposure(path, &file, WriteOptions { overwrite: true, compress: false }).unwrap();
}

/// The PSF in a file of these tables for an exposure with these cards, with the texts of its notes.
fn opened(
    tables: Vec<TableHdu>,
    header: &[Card],
    image: Option<(usize, usize)>,
) -> Result<(Psf, Vec<(bool, String)>), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exposure.psf");
    write(&path, tables);
    let mut exposure = Header::new();
    header.iter().for_each(|card| exposure.push(card.clone()));
    let owner = PsfOwner { bbox: &BBOX, chip: Chip::of_header(&exposure), image };
    let mut notes = vec![];
    let psf = Psf::open_for(&path, &owner, &mut notes).map_err(|error| error.to_string())?;
    Ok((psf, notes.into_iter().map(|note| (note.warning, note.text)).collect()))
}

fn width(psf: &Psf, (x, y): (f64, f64)) -> f64 {
    psf.fwhm_px(x, y).unwrap()
}

fn is(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < WIDTH, "{got} is not {expected}");
}

#[test]
fn axes_are_those_that_are_named() {
    // 4 px in the middle; 6 px at y = 32 from 1, whichever axis that is.
    let images = |y_first: bool| {
        let (nothing, wider) = (Array2::zeros((SIDE, SIDE)), widening(4.0, 6.0));
        let varying = if y_first { [wider, nothing] } else { [nothing, wider] };
        [vec![gaussian(4.0, 0.0)], varying.to_vec()].concat()
    };
    for (keys, y_first) in [(["Y_IMAGE", "X_IMAGE"], true), (["X_IMAGE", "Y_IMAGE"], false)] {
        let middle = |key: &str| if key == "Y_IMAGE" { (16.0, 16.0) } else { (32.5, 32.0) };
        let axes = keys.map(|key| (key, middle(key).0, middle(key).1, 1));
        let model = table(&[images(y_first)], cards(3, &axes, &[1]), vec![]);
        let (psf, notes) = opened(vec![model], &[], None).unwrap();
        is(width(&psf, (31.5, 15.0)), 4.0);
        is(width(&psf, (5.0, 31.0)), 6.0);
        is(width(&psf, (60.0, 31.0)), 6.0);
        assert_eq!(notes, []);
    }
}

#[test]
fn constant_model_is_the_same_everywhere() {
    // As PSFEx writes it: POLNAXIS = 0, POLNGRP = 0, no POLDEG1. The second has left-over cards.
    let bare = table(&[vec![gaussian(4.0, 0.0)]], constant(), vec![]);
    let mut left_over = bare.clone();
    left_over.cards.retain(|card| card.keyword != "POLNGRP");
    left_over.cards.push(Card::new("POLNGRP", 1_i64));
    let mut of_degree_0 = bare.clone();
    of_degree_0.cards = cards(1, &[("X_IMAGE", 1.0, 1.0, 1), ("Y_IMAGE", 1.0, 1.0, 1)], &[0]);
    for model in [bare, left_over, of_degree_0] {
        let (psf, _) = opened(vec![model], &[], None).unwrap();
        is(width(&psf, (0.0, 0.0)), 4.0);
        is(width(&psf, (1e6, -1e6)), 4.0);
    }
}

#[test]
fn groups_multiply() {
    // x and y in two groups: 1, x, y, xy. Widths differ from 4 px in the corner x' = y' = 1 alone.
    let nothing = || Array2::zeros((SIDE, SIDE));
    let images = vec![gaussian(4.0, 0.0), nothing(), nothing(), widening(4.0, 6.0)];
    let axes = [("X_IMAGE", 1.0, 63.0, 1), ("Y_IMAGE", 1.0, 31.0, 2)];
    let (psf, _) = opened(vec![table(&[images], cards(4, &axes, &[1, 1]), vec![])], &[], None).unwrap();
    is(width(&psf, (63.0, 0.0)), 4.0);
    is(width(&psf, (0.0, 31.0)), 4.0);
    is(width(&psf, (63.0, 31.0)), 6.0);
}

#[test]
fn models_that_cannot_be_evaluated_are_refused_with_the_reason() {
    let star = || gaussian(4.0, 0.0);
    let reason = |images: Vec<Array2<f64>>, cards: Vec<Card>| {
        let error = opened(vec![table(&[images], cards, vec![])], &[], None).unwrap_err();
        assert!(error.contains("exposure.psf") && error.contains("HDU 1 (PSF_DATA)"), "{error}");
        error
    };
    let magnitude = [("X_IMAGE", 1.0, 1.0, 1), ("Y_IMAGE", 1.0, 1.0, 1), ("MAG_AUTO", 15.0, 2.0, 1)];
    let text = reason(vec![star(); 4], cards(4, &magnitude, &[1]));
    assert!(text.contains("varies with MAG_AUTO (POLNAME3)") && text.contains("PSFVAR_KEYS"), "{text}");
    let position = [("X_IMAGE", 1.0, 1.0, 1), ("Y_IMAGE", 1.0, 1.0, 1)];
    let fewer = reason(vec![star(); 2], cards(2, &position, &[1]));
    assert!(fewer.contains("2 images of 25 × 25; its polynomial has 3 terms"), "{fewer}");
    let more = reason(vec![star(); 3], cards(3, &position, &[0]));
    assert!(more.contains("3 images, but its polynomial has 1 terms"), "{more}");
    let without = |name: &str| {
        let mut cards = cards(3, &position, &[1]);
        cards.retain(|card| card.keyword != name);
        reason(vec![star(); 3], cards)
    };
    for name in ["POLDEG1", "POLZERO2", "POLSCAL1", "PSF_SAMP"] {
        assert!(without(name).contains(&format!("has neither a card nor a column {name}")), "{name}");
    }
    let with = |name: &str, value: f64| {
        let mut cards = cards(3, &position, &[1]);
        cards.retain(|card| card.keyword != name);
        cards.push(Card::new(name, value));
        reason(vec![star(); 3], cards)
    };
    assert!(with("POLDEG1", -1.0).contains("POLDEG1 of the PSFEx model is -1"));
    assert!(with("POLDEG1", 1.5).contains("POLDEG1 of the PSFEx model is 1.5"));
    assert!(with("POLNAXIS", 1e9).contains("POLNAXIS of the PSFEx model is 1000000000"));
    assert!(with("PSF_SAMP", 0.0).contains("PSF_SAMP"));
    assert!(with("PSFAXIS1", 26.0).contains("26 × 25"), "{}", with("PSFAXIS1", 26.0));
    assert!(reason(vec![Array2::ones((SIDE, SIDE))], constant()).contains("no peak"));
    assert!(reason(vec![-star()], constant()).contains("add up to"));
    let mut holed = star();
    holed[[2, 2]] = f64::NAN;
    assert!(reason(vec![holed], constant()).contains("not finite"));
}

#[test]
fn model_off_its_middle_is_told_of_and_centred() {
    let off = table(&[vec![gaussian(4.0, 0.4)]], constant(), vec![]);
    let (psf, notes) = opened(vec![off], &[], None).unwrap();
    assert!(notes[0].0 && notes[0].1.contains("(+0.40, "), "{notes:?}");
    let moments = psf.stamp_at(0.0, 0.0).unwrap().moments().unwrap();
    assert!((moments.x - 12.0).abs() < 0.02, "{moments:?}");
}

/// Three CCDs, with widths of 3, 4 and 5 px.
fn ccds() -> Vec<Vec<Array2<f64>>> {
    [3.0, 4.0, 5.0].map(|fwhm| vec![gaussian(fwhm, 0.0)]).to_vec()
}

#[test]
fn one_of_several_tables_is_that_of_the_ccd() {
    let tables = |name: &dyn Fn(usize) -> Option<Card>| -> Vec<TableHdu> {
        let table = |(i, model): (usize, &Vec<Array2<f64>>)| {
            table(std::slice::from_ref(model), [constant(), name(i).into_iter().collect()].concat(), vec![])
        };
        ccds().iter().enumerate().map(table).collect()
    };
    let numbered = tables(&|i| Some(Card::new("CCDNUM", i as i64 + 1)));
    let (psf, _) = opened(numbered.clone(), &[Card::new("CCDNUM", 2_i64)], None).unwrap();
    is(width(&psf, (0.0, 0.0)), 4.0);
    let named = tables(&|i| Some(Card::new("CCDNAME", ["N1", "N2", "N3"][i])));
    let (psf, _) = opened(named, &[Card::new("EXTNAME", "n3")], None).unwrap();
    is(width(&psf, (0.0, 0.0)), 5.0);
    let nameless = tables(&|_| None);
    let (psf, _) = opened(nameless.clone(), &[], Some((0, 3))).unwrap();
    is(width(&psf, (0.0, 0.0)), 3.0);
    for (tables, header, image) in [
        (nameless.clone(), vec![], None),
        (nameless, vec![Card::new("CCDNUM", 2_i64)], Some((0, 2))),
        (numbered, vec![Card::new("CCDNUM", 7_i64)], Some((1, 3))),
    ] {
        let error = opened(tables, &header, image).unwrap_err();
        assert!(error.contains("of the 3 PSFEx models") && error.contains("HDU 3 (PSF_DATA)"), "{error}");
        assert!(
            error.contains("none is known to be that of the exposure") && error.contains("psf[2]"),
            "{error}"
        );
    }
}

#[test]
fn row_of_a_merged_table_is_that_of_ccd_and_exposure() {
    let names = ["N1", "N2", "N1"];
    let columns = || {
        vec![
            texts("ccdname", &names),
            integers("expnum", &[7, 7, 8]),
            integers("polnaxis", &[2; 3]),
            texts("polname1", &["X_IMAGE"; 3]),
            texts("polname2", &["Y_IMAGE"; 3]),
            numbers("polzero1", &[1.0; 3]),
            numbers("polzero2", &[1.0; 3]),
            numbers("polscal1", &[1.0; 3]),
            numbers("polscal2", &[1.0; 3]),
            integers("poldeg1", &[0; 3]),
            numbers("psf_samp", &[1.0; 3]),
            integers("psfaxis1", &[25; 3]),
            integers("psfaxis2", &[25; 3]),
        ]
    };
    let exposure = |name: &str, number: i64| vec![Card::new("CCDNAME", name), Card::new("EXPNUM", number)];
    for (header, expected) in [(exposure("N1", 7), 3.0), (exposure("n2", 7), 4.0), (exposure("N1", 8), 5.0)] {
        let (psf, notes) = opened(vec![table(&ccds(), vec![], columns())], &header, None).unwrap();
        is(width(&psf, (0.0, 0.0)), expected);
        assert_eq!(notes, []);
    }
    let error = opened(vec![table(&ccds(), vec![], columns())], &exposure("N1", 9), None).unwrap_err();
    assert!(error.contains("none is known") && error.contains("CCD N1, exposure 9"), "{error}");
    let ambiguous = [Card::new("CCDNAME", "N1")];
    let error = opened(vec![table(&ccds(), vec![], columns())], &ambiguous, None).unwrap_err();
    assert!(error.contains("several may be"), "{error}");
    // Alone in its file, a model of another CCD or exposure is used, with a warning.
    let alone = vec![texts("ccdname", &["N1"]), integers("expnum", &[7])];
    let alone = table(&[vec![gaussian(4.0, 0.0)]], constant(), alone);
    let (_, notes) = opened(vec![alone], &exposure("N1", 8), None).unwrap();
    assert!(notes[0].0 && notes[0].1.contains("CCD N1, exposure 7"), "{notes:?}");
}

#[test]
fn padding_of_merged_tables_is_cut_off() {
    // A model of 15 × 15 in a table for 25 × 25, from the first pixel on.
    let mut padded = Array2::zeros((SIDE, SIDE));
    let small = gaussian(3.0, 0.0).slice(s![5..20, 5..20]).to_owned();
    padded.slice_mut(s![..15, ..15]).assign(&small);
    let mut cards = constant();
    cards.retain(|card| !card.keyword.starts_with("PSFAXIS"));
    cards.extend([
        Card::new("PSFAXIS1", 15_i64),
        Card::new("PSFAXIS2", 15_i64),
        Card::new("PSFAXIS3", 1_i64),
    ]);
    let (psf, notes) =
        opened(vec![table(&[vec![padded.clone()]], cards.clone(), vec![])], &[], None).unwrap();
    is(width(&psf, (0.0, 0.0)), 3.0);
    assert_eq!(psf.stamp_at(0.0, 0.0).unwrap().pixels().dim(), (15, 15));
    assert_eq!(notes, []);
    padded[[20, 20]] = 0.1;
    let error = opened(vec![table(&[vec![padded]], cards, vec![])], &[], None).unwrap_err();
    assert!(error.contains("there is light beyond"), "{error}");
}

#[test]
fn axes_without_names_are_those_of_the_image_and_told_of() {
    let images = vec![gaussian(4.0, 0.0), widening(4.0, 6.0), Array2::zeros((SIDE, SIDE))];
    let mut cards = cards(3, &[("X_IMAGE", 1.0, 63.0, 1), ("Y_IMAGE", 1.0, 31.0, 1)], &[1]);
    cards.retain(|card| !card.keyword.starts_with("POLNAME") && card.keyword != "POLNAXIS");
    let (psf, notes) = opened(vec![table(&[images], cards, vec![])], &[], None).unwrap();
    is(width(&psf, (63.0, 0.0)), 6.0);
    assert_eq!(notes.len(), 2);
    assert!(notes[0].0 && notes[0].1.contains("POLNAME1"), "{notes:?}");
}
