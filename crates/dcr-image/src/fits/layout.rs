//! HDUs of a file: kind, name, size and label.

use std::fmt;
use std::path::{Path, PathBuf};

use super::FitsError;
use super::reader::{FitsReader, HduKind};
use crate::header::Header;

/// Maximum number of HDUs listed in a message.
const LISTED: usize = 80;

/// Kind of an image of uncertainties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UncertaintyKind {
    /// The variance.
    Variance,
    /// Its inverse; 0 for pixels without data.
    InverseVariance,
    /// Its square root.
    StandardDeviation,
}

impl fmt::Display for UncertaintyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variance => "variance",
            Self::InverseVariance => "inverse variance",
            Self::StandardDeviation => "standard deviation",
        })
    }
}

/// One HDU of a file.
#[derive(Clone, Debug)]
pub(crate) struct Hdu {
    /// Its number, 0 being the primary.
    pub(crate) index: usize,
    /// EXTNAME, or EXTTYPE in old files; can be empty.
    pub(crate) name: String,
    pub(crate) kind: HduKind,
    pub(crate) header: Header,
}

/// An image of a file, with the information needed to read it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaneSource {
    pub(crate) path: PathBuf,
    pub(crate) index: usize,
    /// Label for messages, e.g. `HDU 2 (MASK)`.
    pub(crate) label: String,
    /// Rows and columns.
    pub(crate) shape: (usize, usize),
    /// Bits of a value in the file, negative for real numbers.
    pub(crate) bitpix: i64,
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

    /// Rows and columns of a two-dimensional image; trailing axes of length 1 are ignored.
    pub(crate) fn plane_shape(&self) -> Option<(usize, usize)> {
        match &self.kind {
            HduKind::Image { axes, .. } if axes.len() >= 2 && axes[2..].iter().all(|&length| length == 1) => {
                Some((axes[1], axes[0])).filter(|&(rows, columns)| rows > 0 && columns > 0)
            }
            _ => None,
        }
    }

    /// Whether the pixels are integers.
    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.kind, HduKind::Image { integer: true, .. })
    }

    /// EXTVER; 1 if the header lacks it (FITS standard 4.0, 4.4.2.6).
    pub(crate) fn version(&self) -> i64 {
        self.header.i64("EXTVER").unwrap_or(1)
    }

    fn is_named(&self, name: &str) -> bool {
        !name.is_empty() && self.name.trim().eq_ignore_ascii_case(name)
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
        let bitpix = self.header.i64("ZBITPIX").or_else(|| self.header.i64("BITPIX")).unwrap_or(0);
        Ok(PlaneSource { path: path.to_owned(), index: self.index, label: self.label(), shape, bitpix })
    }
}

/// Labels of the HDUs of a file in order, e.g. `HDU 2 (MASK)`.
///
/// # Errors
///
/// [`FitsError`] for an unreadable file or a damaged HDU.
pub fn hdu_labels(path: &Path) -> Result<Vec<String>, FitsError> {
    Ok(survey(&mut FitsReader::open(path)?)?.iter().map(Hdu::label).collect())
}

/// Reads the headers of all HDUs.
pub(crate) fn survey(reader: &mut FitsReader) -> Result<Vec<Hdu>, FitsError> {
    (0..reader.hdu_count())
        .map(|index| {
            let kind = reader.go_to(index)?;
            let header = reader.header().clone();
            let name = header
                .text("EXTNAME")
                // The name that fpack gives to a compressed primary image is ignored.
                .filter(|name| *name != "COMPRESSED_IMAGE")
                .or_else(|| header.text("EXTTYPE"))
                .unwrap_or("")
                .to_owned();
            Ok(Hdu { index, name, kind, header })
        })
        .collect()
}

/// All HDUs that match `wanted`: a name, a name with EXTVER (`SCI,2`), or a number.
///
/// Names are compared without case. A name takes precedence over a number.
pub(crate) fn find<'a>(hdus: &'a [Hdu], wanted: &str) -> Vec<&'a Hdu> {
    let wanted = wanted.trim();
    let of_name = |name: &str| hdus.iter().filter(|hdu| hdu.is_named(name)).collect::<Vec<_>>();
    let named = of_name(wanted);
    if !named.is_empty() {
        return named;
    }
    if let Some((name, version)) = wanted.rsplit_once(',')
        && let Ok(version) = version.trim().parse::<i64>()
    {
        return of_name(name.trim()).into_iter().filter(|hdu| hdu.version() == version).collect();
    }
    wanted.parse().ok().and_then(|number: usize| hdus.get(number)).into_iter().collect()
}

/// The one HDU that matches `wanted`, see [`find`].
///
/// # Errors
///
/// [`FitsError::Missing`] if there is none, [`FitsError::Ambiguous`] if there are several.
pub(crate) fn find_one<'a>(path: &Path, hdus: &'a [Hdu], wanted: &str) -> Result<&'a Hdu, FitsError> {
    match find(hdus, wanted)[..] {
        [hdu] => Ok(hdu),
        [] => Err(FitsError::Missing {
            path: path.to_owned(),
            wanted: format!("HDU named or numbered {wanted}"),
            found: inventory(hdus),
        }),
        _ => Err(FitsError::Ambiguous {
            path: path.to_owned(),
            wanted: wanted.to_owned(),
            found: inventory(hdus),
        }),
    }
}

/// `HDU 0 (no data), HDU 1 (IMAGE, 64 × 32), HDU 2 (table)`; shared names have EXTVER.
///
/// Long lists are cut after [`LISTED`] HDUs.
pub(crate) fn inventory(hdus: &[Hdu]) -> String {
    if hdus.is_empty() {
        return "no HDU".to_owned();
    }
    let shared = |hdu: &Hdu| hdus.iter().filter(|other| other.is_named(&hdu.name)).count() > 1;
    let describe = |hdu: &Hdu| {
        let content = match &hdu.kind {
            HduKind::Table => "table".to_owned(),
            HduKind::Image { axes, .. } if axes.is_empty() => "no data".to_owned(),
            HduKind::Image { axes, .. } => {
                axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
            }
        };
        let name = match hdu.name.as_str() {
            "" => String::new(),
            name if shared(hdu) => format!("{name},{}, ", hdu.version()),
            name => format!("{name}, "),
        };
        format!("HDU {} ({name}{content})", hdu.index)
    };
    let mut list = hdus.iter().take(LISTED).map(describe).collect::<Vec<_>>().join(", ");
    if hdus.len() > LISTED {
        list.push_str(&format!(" and {} more", hdus.len() - LISTED));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    fn hdus(names: &[(&str, Option<i64>)]) -> Vec<Hdu> {
        let hdu = |(index, &(name, version)): (usize, &(&str, Option<i64>))| Hdu {
            index,
            name: name.to_owned(),
            kind: HduKind::Image { axes: vec![3, 2], integer: false },
            header: version.map(|version| Card::new("EXTVER", version)).into_iter().collect(),
        };
        names.iter().enumerate().map(hdu).collect()
    }

    #[test]
    fn hdus_by_name_version_and_number() {
        let hdus = hdus(&[("", None), ("SCI", Some(1)), ("DQ", None), ("SCI", Some(2)), ("1", None)]);
        let found = |wanted| find(&hdus, wanted).iter().map(|hdu| hdu.index).collect::<Vec<_>>();
        assert_eq!(found("sci"), [1, 3]);
        assert_eq!((found("SCI,2"), found("sci , 1"), found("DQ,1")), (vec![3], vec![1], vec![2]));
        assert_eq!((found("2"), found("0"), found(" 3 ")), (vec![2], vec![0], vec![3]));
        assert_eq!(found("1"), [4], "a name wins over a number");
        assert!(found("5").is_empty() && found("").is_empty() && found("-1").is_empty());
        assert!(found("SCI,3").is_empty() && found("SCI,x").is_empty() && found(",1").is_empty());
    }

    #[test]
    fn hdu_that_is_not_one_is_refused_with_the_list() {
        let hdus = hdus(&[("", None), ("SCI", Some(1)), ("SCI", Some(2))]);
        let message = |wanted| find_one(Path::new("a.fits"), &hdus, wanted).unwrap_err().to_string();
        let text = message("SCI");
        assert!(text.contains("HDU 1 (SCI,1, 3 × 2), HDU 2 (SCI,2, 3 × 2)"), "{text}");
        assert!(message("WGT").contains("found no HDU named or numbered WGT"));
    }
}
