//! Which HDUs of a file are the image, the mask and the variance.

use std::path::{Path, PathBuf};

use super::FitsError;
use super::reader::{FitsReader, HduKind};
use crate::header::Header;

/// Names of the image's HDU, in EXTNAME or EXTTYPE.
const IMAGE_NAMES: [&str; 3] = ["IMAGE", "SCI", "SCIENCE"];
/// Names of the mask's HDU.
const MASK_NAMES: [&str; 4] = ["MASK", "BPM", "DQ", "FLAGS"];
/// Names of the HDU of uncertainties, and what it holds.
const VARIANCE_NAMES: [(&str, UncertaintyKind); 8] = [
    ("VARIANCE", UncertaintyKind::Variance),
    ("VAR", UncertaintyKind::Variance),
    ("WEIGHT", UncertaintyKind::InverseVariance),
    ("WHT", UncertaintyKind::InverseVariance),
    ("INVVAR", UncertaintyKind::InverseVariance),
    ("IVAR", UncertaintyKind::InverseVariance),
    ("ERR", UncertaintyKind::StandardDeviation),
    ("ERROR", UncertaintyKind::StandardDeviation),
];

/// What an image of uncertainties holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UncertaintyKind {
    /// The variance.
    Variance,
    /// Its inverse; 0 for pixels without data.
    InverseVariance,
    /// Its square root.
    StandardDeviation,
}

/// One HDU of a file.
#[derive(Clone, Debug)]
pub(crate) struct Hdu {
    /// Its number, 0 being the primary.
    pub(crate) index: usize,
    /// EXTNAME, or EXTTYPE in old files, or empty.
    pub(crate) name: String,
    pub(crate) kind: HduKind,
    pub(crate) header: Header,
}

/// An image of a file: enough to open the file anew and read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaneSource {
    pub(crate) path: PathBuf,
    pub(crate) index: usize,
    /// As in messages: `HDU 2 (MASK)`.
    pub(crate) label: String,
    /// Rows and columns.
    pub(crate) shape: (usize, usize),
}

impl Hdu {
    /// `HDU 2 (MASK)`.
    pub(crate) fn label(&self) -> String {
        if self.name.is_empty() {
            format!("HDU {}", self.index)
        } else {
            format!("HDU {} ({})", self.index, self.name)
        }
    }

    /// Rows and columns of a two-dimensional image with pixels; further axes of length 1 are no axes.
    pub(crate) fn plane_shape(&self) -> Option<(usize, usize)> {
        match &self.kind {
            HduKind::Image { axes, .. } if axes.len() >= 2 && axes[2..].iter().all(|&length| length == 1) => {
                Some((axes[1], axes[0])).filter(|&(rows, columns)| rows > 0 && columns > 0)
            }
            _ => None,
        }
    }

    fn is_integer(&self) -> bool {
        matches!(self.kind, HduKind::Image { integer: true, .. })
    }

    fn is_named<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| self.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn source(&self, path: &Path) -> Result<PlaneSource, FitsError> {
        let shape = self.plane_shape().ok_or_else(|| FitsError::NotAnImage {
            path: path.to_owned(),
            hdu: self.label(),
            axes: match &self.kind {
                HduKind::Image { axes, .. } => axes.clone(),
                HduKind::Table => Vec::new(),
            },
        })?;
        Ok(PlaneSource { path: path.to_owned(), index: self.index, label: self.label(), shape })
    }
}

/// Reads the headers of all HDUs.
pub(crate) fn survey(reader: &mut FitsReader) -> Result<Vec<Hdu>, FitsError> {
    (0..reader.hdu_count()?)
        .map(|index| {
            let kind = reader.go_to(index)?;
            let header = reader.header()?;
            let name = header
                .text("EXTNAME")
                // fpack's name for a compressed primary image says nothing.
                .filter(|name| *name != "COMPRESSED_IMAGE")
                .or_else(|| header.text("EXTTYPE"))
                .unwrap_or("")
                .to_owned();
            Ok(Hdu { index, name, kind, header })
        })
        .collect()
}

/// The HDUs that make an exposure.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) image: &'a Hdu,
    pub(crate) mask: Option<&'a Hdu>,
    pub(crate) variance: Option<(&'a Hdu, UncertaintyKind)>,
}

/// Picks the HDUs by name, or, if there is none of the image's names, by order and type: the first
/// image is the image, and of those of the same size that follow, the first of integers is the
/// mask and the first of real numbers the variance. Other names than ours stop that guess: an
/// HDU called BACKGROUND is no variance.
pub(crate) fn choose<'a>(
    path: &Path,
    hdus: &'a [Hdu],
    wanted: Option<&str>,
) -> Result<Layout<'a>, FitsError> {
    let missing =
        |what: String| FitsError::Missing { path: path.to_owned(), wanted: what, found: inventory(hdus) };
    let image = match wanted {
        Some(name) => hdus
            .iter()
            .find(|hdu| hdu.is_named([name].into_iter()) || name.parse() == Ok(hdu.index))
            .ok_or_else(|| missing(format!("HDU named or numbered {name}")))?,
        None => hdus
            .iter()
            .find(|hdu| hdu.is_named(IMAGE_NAMES.into_iter()))
            .or_else(|| hdus.iter().find(|hdu| hdu.plane_shape().is_some()))
            .ok_or_else(|| {
                missing("two-dimensional image (an HDU called IMAGE, or the first with two axes)".into())
            })?,
    };
    let shape = image.source(path)?.shape;
    let rest = || hdus.iter().filter(|hdu| hdu.index > image.index);
    let unnamed = |hdu: &&Hdu| hdu.name.is_empty() && hdu.plane_shape() == Some(shape);
    let mask = rest()
        .find(|hdu| hdu.is_named(MASK_NAMES.into_iter()))
        .or_else(|| rest().find(|hdu| unnamed(hdu) && hdu.is_integer()));
    let variance = rest()
        .find_map(|hdu| {
            let (_, kind) = VARIANCE_NAMES.iter().find(|(name, _)| hdu.name.eq_ignore_ascii_case(name))?;
            Some((hdu, *kind))
        })
        .or_else(|| {
            let hdu = rest().find(|hdu| unnamed(hdu) && !hdu.is_integer())?;
            Some((hdu, UncertaintyKind::Variance))
        });
    Ok(Layout { image, mask, variance })
}

/// `HDU 0 (no data), HDU 1 (IMAGE, 64 × 32), HDU 2 (table)`.
pub(crate) fn inventory(hdus: &[Hdu]) -> String {
    if hdus.is_empty() {
        return "no HDU".to_owned();
    }
    let describe = |hdu: &Hdu| {
        let content = match &hdu.kind {
            HduKind::Table => "table".to_owned(),
            HduKind::Image { axes, .. } if axes.is_empty() => "no data".to_owned(),
            HduKind::Image { axes, .. } => {
                axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
            }
        };
        let name = if hdu.name.is_empty() { String::new() } else { format!("{}, ", hdu.name) };
        format!("HDU {} ({name}{content})", hdu.index)
    };
    hdus.iter().map(describe).collect::<Vec<_>>().join(", ")
}
