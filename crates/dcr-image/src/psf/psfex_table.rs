//! PSFEx models in the tables of a file, and the choice of an exposure's model.
//!
//! PSFEx writes a table PSF_DATA for each extension of its catalogue, with numbers in cards.
//! Pipelines merge those of many CCDs into one table with a row for each, and numbers in columns.
//! All are candidates. The model whose name or number is that of the exposure's CCD is chosen
//! (columns or cards CCDNAME, CCDNUM, …, or EXTNAME), unless its exposure differs. Unnamed tables,
//! as many as the file has images, correspond to these in order. All other cases are errors,
//! because the model of another CCD would be plausible but wrong.

use ndarray::{Array3, s};

use super::centring::{Finding, Offset, peak_findings};
use super::owner::{PsfOwner, content};
use super::psfex::{AxisCards, Polynomial};
use super::{PsfEx, Stamp, StampError};
use crate::fits::{FitsError, FitsReader, Hdu, HduKind};
use crate::header::Chip;

/// The column of the models' images.
const IMAGES: &str = "PSF_MASK";
/// The name of every table of PSFEx.
const TABLE: &str = "PSF_DATA";
/// Maximum number of rows: more than any camera has CCDs.
const MOST_ROWS: i64 = 100_000;

/// A candidate model: a row of a table.
struct Candidate<'a> {
    hdu: &'a Hdu,
    row: usize,
    chip: Chip,
}

/// The PSFEx model of an exposure in a file, if there are PSFEx models. `hdus` lists the HDUs to
/// search.
///
/// # Errors
///
/// [`FitsError::Content`] for an unusable model, or if the choice is ambiguous.
pub(super) fn find_psfex<'a>(
    reader: &mut FitsReader,
    hdus: impl Iterator<Item = &'a Hdu>,
    owner: &PsfOwner<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<PsfEx>, FitsError> {
    let mut candidates = vec![];
    for hdu in hdus.filter(|hdu| hdu.kind == HduKind::Table) {
        reader.go_to(hdu.index)?;
        if reader.column(IMAGES).is_none() {
            continue;
        }
        let rows = hdu.header.i64("NAXIS2").unwrap_or(0);
        if !(1..=MOST_ROWS).contains(&rows) {
            return Err(content(reader, hdu, format!("it holds {rows} PSFEx models; expected at least one")));
        }
        for row in 0..rows as usize {
            let chip = Row { reader, hdu, row }.chip();
            candidates.push(Candidate { hdu, row, chip });
        }
    }
    let Some(chosen) = choose(&candidates, owner, reader)? else { return Ok(None) };
    if owner.chip.contradicts(&chosen.chip) {
        findings.push(Finding {
            text: format!(
                "The PSFEx model is of {}, and the exposure of {}.",
                chosen.chip.describe(),
                owner.chip.describe()
            ),
            warning: true,
        });
    }
    reader.go_to(chosen.hdu.index)?;
    let model = Row { reader, hdu: chosen.hdu, row: chosen.row }.model(owner, findings)?;
    check(&model, owner, findings).map_err(|error| content(reader, chosen.hdu, error.to_string()))?;
    Ok(Some(model))
}

/// The candidate for the exposure.
fn choose<'b, 'a>(
    candidates: &'b [Candidate<'a>],
    owner: &PsfOwner<'_>,
    reader: &FitsReader,
) -> Result<Option<&'b Candidate<'a>>, FitsError> {
    let [first, _, ..] = candidates else { return Ok(candidates.first()) };
    let own = |candidate: &&Candidate<'_>| {
        owner.chip.is_same_ccd(&candidate.chip) && !owner.chip.is_other_exposure(&candidate.chip)
    };
    let matching: Vec<_> = candidates.iter().filter(own).collect();
    if let [only] = matching[..] {
        return Ok(Some(only));
    }
    let nameless = candidates.iter().all(|candidate| candidate.chip == Chip::default());
    let one_each = candidates.iter().all(|candidate| candidate.row == 0);
    if let Some((rank, count)) =
        owner.image.filter(|(_, count)| nameless && one_each && *count == candidates.len())
    {
        debug_assert!(rank < count, "an image is one of its file's");
        return Ok(candidates.get(rank));
    }
    let which = match matching.len() {
        0 => "none is known to be",
        _ => "several may be",
    };
    let shown: Vec<String> = candidates.iter().take(5).map(Candidate::describe).collect();
    let more = if candidates.len() > shown.len() { ", …" } else { "" };
    Err(content(
        reader,
        first.hdu,
        format!(
            "of the {} PSFEx models ({}{more}) {which} that of the exposure ({}); give the HDU in brackets after the \
             file, as in input.psfs = \"{{dir}}/{{stem}}.psf[2]\", or give files with one model each",
            candidates.len(),
            shown.join(", "),
            owner.chip.describe(),
        ),
    ))
}

impl Candidate<'_> {
    fn describe(&self) -> String {
        format!("{} row {}: {}", self.hdu.label(), self.row + 1, self.chip.describe())
    }
}

/// Refuses a model without a valid PSF at the centre of the exposure, and notes anomalies.
fn check(model: &PsfEx, owner: &PsfOwner<'_>, findings: &mut Vec<Finding>) -> Result<(), StampError> {
    let (x, y) = owner.bbox.centre();
    let raw = model.raw_at(x, y);
    let stamp = Stamp::new(raw.clone())?;
    findings.extend(peak_findings(raw.view())?);
    findings.extend(Offset::of(&stamp).and_then(Offset::finding));
    model.stamp_at(x, y).map(|_| ())
}

/// A row of a table with its cards: values missing in the cards are in the row.
struct Row<'r, 'h> {
    reader: &'r mut FitsReader,
    hdu: &'h Hdu,
    row: usize,
}

impl Row<'_, '_> {
    fn number(&mut self, name: &str) -> Result<Option<f64>, FitsError> {
        if let Some(value) = self.hdu.header.f64(name) {
            return Ok(Some(value));
        }
        let Some(column) = self.reader.column(name) else { return Ok(None) };
        Ok(self.reader.cell::<f64>(column, self.row)?.first().copied().filter(|value| value.is_finite()))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, FitsError> {
        if let Some(text) = self.hdu.header.text(name) {
            return Ok(Some(text.to_owned()));
        }
        match self.reader.column(name) {
            Some(column) => self.reader.text_cell(column, self.row).map(Some),
            None => Ok(None),
        }
    }

    fn needed(&mut self, name: &str) -> Result<f64, FitsError> {
        let value = self.number(name)?;
        value.ok_or_else(|| self.refuse(format!("the PSFEx model has neither a card nor a column {name}")))
    }

    /// A nonnegative integer value.
    fn count(&mut self, name: &str, most: usize) -> Result<Option<usize>, FitsError> {
        let Some(value) = self.number(name)? else { return Ok(None) };
        if value >= 0.0 && value <= most as f64 && value.fract() == 0.0 {
            return Ok(Some(value as usize));
        }
        Err(self.refuse(format!("{name} of the PSFEx model is {value}; it must be 0 to {most}")))
    }

    fn refuse(&self, reason: String) -> FitsError {
        content(self.reader, self.hdu, reason)
    }

    /// The CCD of the model. The name of the table names the CCD, unless it is PSFEx's own.
    fn chip(&mut self) -> Chip {
        // Rows take precedence over cards: a merged table has one set of cards.
        let mut texts = |name: &str| {
            let column = self.reader.column(name)?;
            self.reader.text_cell(column, self.row).ok().filter(|text| !text.is_empty())
        };
        let of_row: Vec<(String, Option<String>)> =
            Chip::text_keywords().map(|name| (name.to_owned(), texts(name))).collect();
        let mut numbers = |name: &str| {
            let column = self.reader.column(name)?;
            self.reader.cell::<i64>(column, self.row).ok()?.first().copied()
        };
        let number_of_row: Vec<(String, Option<i64>)> =
            Chip::number_keywords().map(|name| (name.to_owned(), numbers(name))).collect();
        let header = &self.hdu.header;
        let text = |name: &str| {
            let row = of_row.iter().find(|(own, _)| own == name).and_then(|(_, text)| text.clone());
            row.or_else(|| header.text(name).map(str::to_owned))
        };
        let number = |name: &str| {
            let row = number_of_row.iter().find(|(own, _)| own == name).and_then(|(_, number)| *number);
            row.or_else(|| header.i64(name))
        };
        let extension = Some(self.hdu.name.as_str());
        let extension = extension.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(TABLE));
        let in_row = of_row.iter().find(|(name, _)| name == "EXTNAME").and_then(|(_, text)| text.as_deref());
        Chip::of(text, number).with_extension(in_row.or(extension))
    }

    fn model(&mut self, owner: &PsfOwner<'_>, findings: &mut Vec<Finding>) -> Result<PsfEx, FitsError> {
        let polynomial = self.polynomial(findings)?;
        let step = self.needed("PSF_SAMP")?;
        let terms = self.terms()?;
        PsfEx::new(terms, polynomial, step, (owner.bbox.x0, owner.bbox.y0))
            .map_err(|error| self.refuse(error.to_string()))
    }

    /// Axes and degrees. A model without POLNAXIS has as many axes as it names.
    fn polynomial(&mut self, findings: &mut Vec<Finding>) -> Result<Polynomial, FitsError> {
        let count = match self.count("POLNAXIS", 100)? {
            Some(count) => count,
            None => {
                let mut count = 0;
                while self.number(&format!("POLZERO{}", count + 1))?.is_some() {
                    count += 1;
                }
                count
            }
        };
        let mut axes = Vec::with_capacity(count);
        for n in 1..=count {
            let key = match self.text(&format!("POLNAME{n}"))?.filter(|key| !key.trim().is_empty()) {
                Some(key) => key,
                None if n <= 2 => {
                    let key = ["X_IMAGE", "Y_IMAGE"][n - 1];
                    findings.push(Finding {
                        text: format!(
                            "The PSFEx model does not name its axis {n} (POLNAME{n}); {key} is assumed."
                        ),
                        warning: true,
                    });
                    key.to_owned()
                }
                None => {
                    return Err(
                        self.refuse(format!("the PSFEx model has neither a card nor a column POLNAME{n}"))
                    );
                }
            };
            axes.push(AxisCards {
                key,
                zero: self.needed(&format!("POLZERO{n}"))?,
                scale: self.needed(&format!("POLSCAL{n}"))?,
                group: self.count(&format!("POLGRP{n}"), 100)?.unwrap_or(1),
            });
        }
        let of_axes = axes.iter().map(|axis| axis.group).max().unwrap_or(0);
        let groups = self.count("POLNGRP", 100)?.unwrap_or(of_axes);
        let mut degrees = Vec::with_capacity(groups);
        // Without axes there are no groups, whatever the cards contain.
        for group in (1..=groups).filter(|_| count > 0) {
            let name = format!("POLDEG{group}");
            let degree = self.count(&name, 100)?;
            let missing = || self.refuse(format!("the PSFEx model has neither a card nor a column {name}"));
            degrees.push(degree.ok_or_else(missing)?);
        }
        Polynomial::new(&axes, &degrees).map_err(|error| self.refuse(error.to_string()))
    }

    /// The images in the order of the terms, in the layout of TDIM or else PSFAXISn. If the layout
    /// exceeds PSFAXISn, as in merged tables of models of several sizes, the first part.
    fn terms(&mut self) -> Result<Array3<f64>, FitsError> {
        let Some(column) = self.reader.column(IMAGES) else {
            return Err(self.refuse(format!("the column {IMAGES} is missing")));
        };
        let values: Vec<f64> = self.reader.cell(column, self.row)?;
        let axes = [self.count("PSFAXIS1", 1 << 20)?, self.count("PSFAXIS2", 1 << 20)?];
        let third = self.count("PSFAXIS3", 1 << 20)?;
        let stated = match axes {
            [Some(width), Some(height)] => Some([width, height, third.unwrap_or(1)]),
            _ => None,
        };
        let written = self.written_axes(column);
        let size = |axes: &[usize; 3]| axes.iter().try_fold(1_usize, |size, axis| size.checked_mul(*axis));
        let whole = |axes: &[usize; 3]| size(axes) == Some(values.len()) && !values.is_empty();
        // Images of all terms can be stacked along the second of two axes.
        let images_in = |axes: [usize; 3]| match axes {
            [width, height, 1] => {
                let count = values.len().checked_div(width.checked_mul(height)?)?;
                Some([width, height, count]).filter(|_| count > 0)
            }
            axes => Some(axes).filter(|axes| size(axes).is_some_and(|size| size <= values.len() && size > 0)),
        };
        let layout = match (written, stated) {
            (Some(written), Some(stated)) if !whole(&written) || written[2] == 1 => {
                if whole(&stated) {
                    Some(stated)
                } else {
                    images_in(written)
                }
            }
            (Some(written), _) => images_in(written),
            (None, Some(stated)) => images_in(stated),
            (None, None) => None,
        };
        let Some([width, height, count]) = layout else {
            return Err(self.refuse(format!(
                "the {} numbers of {IMAGES} do not fit the image size in TDIM or PSFAXISn",
                values.len()
            )));
        };
        let kept = values.into_iter().take(width * height * count).collect();
        let terms = Array3::from_shape_vec((count, height, width), kept)
            .map_err(|error| self.refuse(format!("the PSFEx model has no shape: {error}")))?;
        let [w, h, n] = stated.unwrap_or([width, height, count]);
        if w > width || h > height || n > count || w * h * n == 0 {
            return Err(self.refuse(format!(
                "PSFAXISn of the PSFEx model say {w} × {h} × {n}, and its images are {width} × {height} × {count}"
            )));
        }
        let (part, rest) = (terms.slice(s![.., ..h, ..w]), terms.sum());
        if (part.sum() - rest).abs() > 1e-6 * rest.abs() {
            return Err(self.refuse(format!(
                "PSFAXISn of the PSFEx model say {w} × {h}, and there is light beyond in its {width} × {height} pixels"
            )));
        }
        Ok(part.to_owned())
    }

    /// Up to three axes of a column's TDIM; further ones have length 1.
    fn written_axes(&self, column: i32) -> Option<[usize; 3]> {
        let text = self.hdu.header.text(&format!("TDIM{column}"))?;
        let axes: Option<Vec<usize>> =
            text.trim().trim_matches(['(', ')']).split(',').map(|axis| axis.trim().parse().ok()).collect();
        match axes?[..] {
            [width, height] => Some([width, height, 1]),
            [width, height, count] => Some([width, height, count]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
