//! Choice of the mask, variance and PSF of an exposure, in its own file or in companions.
//!
//! A file or HDU named by a setting takes precedence over the exposure's own. HDUs are identified
//! by name ([`super::plane_names`]), and unnamed ones by order ([`super::guess`]). Companions found
//! by name come last ([`super::companions`]).

use std::path::Path;
use std::sync::OnceLock;

use dcr_physics::Assumption;

use super::FitsError;
use super::companions::{
    CompanionFile, is_same_file, mask_beside, refuse_dangling, weights_beside, weights_by_name,
};
use super::guess::guessed_plane;
use super::layout::{Hdu, PlaneSource, UncertaintyKind, find, find_one, inventory, survey};
use super::options::{MissingVariance, OpenOptions};
use super::placement::{SAME_PX, merged};
use super::plane_names::{StatedKind, stated_kind};
use super::reader::FitsReader;
use super::role::{Own, Role, distance};
use crate::Psf;
use crate::header::{Header, MaskCoding};
use crate::psf::PsfOwner;

/// Distance in px between the WCS of an image and its mask or weights above which to warn.
const DOUBTFUL_PX: f64 = 1.0;
/// Maximum distance between the two, as a share of the image diagonal.
const ELSEWHERE: f64 = 0.25;
/// Source of the variance.
#[derive(Debug)]
pub(super) enum VarianceSource {
    /// An image of uncertainties.
    Plane(PlaneSource, UncertaintyKind),
    /// The estimate, once computed.
    Estimate(OnceLock<f32>),
}

/// Mask with its coding, and variance, both of the size of the image.
pub(super) type ChosenPlanes = (Option<(PlaneSource, MaskCoding)>, VarianceSource);

/// A plane of the exposure, and the cards that describe it.
struct Plane {
    source: PlaneSource,
    hdu: Hdu,
    header: Header,
}

/// Opens a FITS file; a dangling link is an error that names its target.
///
/// # Errors
///
/// [`FitsError`] if it cannot be opened.
pub(super) fn open_file(path: &Path) -> Result<FitsReader, FitsError> {
    refuse_dangling(path)?;
    FitsReader::open(path)
}

/// Selects mask and variance of an exposure, and notes missing or questionable ones.
///
/// # Errors
///
/// [`FitsError`] for an unreadable file, an undecodable mask, a plane that is the image itself,
/// belongs to another image or has another size, and for a missing variance that may not be
/// estimated.
pub(super) fn choose_planes(
    reader: &mut FitsReader,
    own: &Own<'_>,
    options: &OpenOptions,
    notes: &mut Vec<Assumption>,
) -> Result<ChosenPlanes, FitsError> {
    let mask = match mask_plane(reader, own, options, notes)? {
        None => {
            notes.push(warning(
                "mask",
                "There is no mask; only pixels without a value or weight are bad.".into(),
            ));
            None
        }
        Some(Plane { source, header, .. }) => {
            let coding = MaskCoding::of(&header).map_err(|error| FitsError::Mask {
                path: source.path.clone(),
                hdu: source.label.clone(),
                source: error,
            })?;
            Some((source, coding))
        }
    };
    let variance = variance_plane(reader, own, options, notes)?;
    Ok((mask, variance))
}

fn mask_plane(
    reader: &mut FitsReader,
    own: &Own<'_>,
    options: &OpenOptions,
    notes: &mut Vec<Assumption>,
) -> Result<Option<Plane>, FitsError> {
    if let Some(file) = &options.mask {
        return companion_plane(Role::Mask, file, own, notes).map(Some);
    }
    if let Some(hdu) = named_plane(Role::Mask, own) {
        note_unread_masks(hdu, own, notes);
        return own_plane(Role::Mask, hdu, own, notes).map(Some);
    }
    let (guess, rejected) = guessed_plane(Role::Mask, reader, own)?;
    for reason in rejected {
        notes.push(warning("mask", format!("{reason}: it is not used as the mask.")));
    }
    if let Some(hdu) = guess {
        return own_plane(Role::Mask, hdu, own, notes).map(Some);
    }
    match mask_beside(own.path)?.filter(|_| options.find_companions) {
        Some(file) => companion_plane(Role::Mask, &file.into(), own, notes).map(Some),
        None => Ok(None),
    }
}

fn variance_plane(
    reader: &mut FitsReader,
    own: &Own<'_>,
    options: &OpenOptions,
    notes: &mut Vec<Assumption>,
) -> Result<VarianceSource, FitsError> {
    if let Some(file) = &options.weights {
        let plane = companion_plane(Role::Weights, file, own, notes)?;
        let by_name = weights_by_name(&plane.source.path);
        let kind = kind_of_companion(&plane, options.weights_hold, by_name, notes)?;
        return Ok(VarianceSource::Plane(plane.source, kind));
    }
    if let Some(hdu) = named_plane(Role::Weights, own) {
        let plane = own_plane(Role::Weights, hdu, own, notes)?;
        let kind = match stated_kind(hdu) {
            StatedKind::Stated(kind, note) => {
                notes.extend(note.map(|note| warning("variance", note)));
                kind
            }
            StatedKind::Unknown(utype) => return Err(unknown_kind(&plane, &utype)),
            StatedKind::Unstated => UncertaintyKind::Variance,
        };
        return Ok(VarianceSource::Plane(plane.source, kind));
    }
    let (guess, rejected) = guessed_plane(Role::Weights, reader, own)?;
    if let Some(hdu) = guess {
        let kind = match stated_kind(hdu) {
            StatedKind::Stated(kind, _) => kind,
            StatedKind::Unknown(_) | StatedKind::Unstated => UncertaintyKind::Variance,
        };
        return Ok(VarianceSource::Plane(own_plane(Role::Weights, hdu, own, notes)?.source, kind));
    }
    if let Some((file, by_name)) = weights_beside(own.path)?.filter(|_| options.find_companions) {
        let plane = companion_plane(Role::Weights, &file.into(), own, notes)?;
        let kind = kind_of_companion(&plane, options.weights_hold, Some(by_name), notes)?;
        return Ok(VarianceSource::Plane(plane.source, kind));
    }
    match options.missing_variance {
        MissingVariance::Estimate => {
            for reason in rejected {
                notes.push(warning("variance", format!("{reason}: it is not used as the variance.")));
            }
            notes.push(warning(
                "variance",
                "There is no variance; it is estimated from the noise of the image.".into(),
            ));
            Ok(VarianceSource::Estimate(OnceLock::new()))
        }
        MissingVariance::Refuse => Err(FitsError::NoVariance {
            path: own.path.to_owned(),
            found: inventory(own.hdus),
            rejected: rejected.into_iter().map(|reason| format!("{reason}: not a variance")).collect(),
        }),
    }
}

/// Kind of the uncertainties in a companion, in this order: the setting, UTYPE and HDU name, file
/// name, inverse variances.
fn kind_of_companion(
    plane: &Plane,
    setting: Option<UncertaintyKind>,
    by_file: Option<UncertaintyKind>,
    notes: &mut Vec<Assumption>,
) -> Result<UncertaintyKind, FitsError> {
    match (setting, stated_kind(&plane.hdu)) {
        (Some(setting), StatedKind::Stated(stated, None)) if stated != setting => {
            notes.push(warning(
                "variance",
                format!(
                    "{} holds {stated} by its name or UTYPE, and {setting} by input.weights_hold; the setting is \
                     followed.",
                    plane.source.label
                ),
            ));
            Ok(setting)
        }
        (Some(setting), _) => Ok(setting),
        (None, StatedKind::Stated(stated, note)) => {
            notes.extend(note.map(|note| warning("variance", note)));
            Ok(stated)
        }
        (None, StatedKind::Unknown(utype)) => Err(unknown_kind(plane, &utype)),
        (None, StatedKind::Unstated) => Ok(by_file.unwrap_or(UncertaintyKind::InverseVariance)),
    }
}

fn unknown_kind(plane: &Plane, utype: &str) -> FitsError {
    FitsError::Content {
        path: plane.source.path.clone(),
        hdu: plane.source.label.clone(),
        reason: format!(
            "UTYPE = '{utype}' states no kind of uncertainty; expected StdDevUncertainty, VarianceUncertainty or \
             InverseVariance; or name the HDU with input.weights = \"{{dir}}/{{stem}}.fits[{}]\" and its kind with \
             input.weights_hold",
            plane.hdu.index
        ),
    }
}

/// The PSF in the file named by the setting.
///
/// # Errors
///
/// [`FitsError`] for a file that is unreadable, has no PSF, or only the image itself.
pub(super) fn named_psf(
    file: &CompanionFile,
    own: &Own<'_>,
    owner: &PsfOwner<'_>,
    notes: &mut Vec<Assumption>,
) -> Result<Psf, FitsError> {
    let file = file.resolved()?;
    let itself = is_same_file(&file.path, own.path);
    let mut reader = open_file(&file.path)?;
    let hdus = survey(&mut reader)?;
    let chosen: Vec<Hdu> = match &file.hdu {
        Some(wanted) => vec![one_of(&file.path, &hdus, wanted, own)?.clone()],
        // Without a name, the first image of a file counts as its PSF, which here is the sky.
        None if itself => {
            let may_be = |hdu: &&Hdu| hdu.plane_shape().is_none() || Role::Psf.is_named(hdu);
            hdus.iter().filter(may_be).cloned().collect()
        }
        None => hdus.clone(),
    };
    let is_image = |hdu: &Hdu| itself && hdu.index == own.image.index;
    if chosen.iter().any(is_image) {
        return Err(its_own_image(Role::Psf, &file.path, &hdus));
    }
    Psf::among(&mut reader, &chosen, owner, notes).map_err(|error| match error {
        FitsError::Missing { .. } if itself => its_own_image(Role::Psf, &file.path, &hdus),
        other => other,
    })
}

/// The plane in a companion named by the setting or found beside the image.
fn companion_plane(
    role: Role,
    file: &CompanionFile,
    own: &Own<'_>,
    notes: &mut Vec<Assumption>,
) -> Result<Plane, FitsError> {
    let file = file.resolved()?;
    let itself = is_same_file(&file.path, own.path);
    let mut reader = open_file(&file.path)?;
    let hdus = survey(&mut reader)?;
    let refuse = || its_own_image(role, &file.path, &hdus);
    let hdu = match &file.hdu {
        Some(wanted) => one_of(&file.path, &hdus, wanted, own)?,
        None if itself => named_plane(role, own).ok_or_else(refuse)?,
        None => plane_of_file(role, &file.path, &hdus, own)?,
    };
    if itself && hdu.index == own.image.index {
        return Err(refuse());
    }
    plane(&file.path, &hdus, hdu, own, role, notes)
}

/// The named HDU; among several of one name, the one with the EXTVER of the image.
fn one_of<'a>(path: &Path, hdus: &'a [Hdu], wanted: &str, own: &Own<'_>) -> Result<&'a Hdu, FitsError> {
    let found = find(hdus, wanted);
    let mut of_version = found.iter().filter(|hdu| hdu.version() == own.image.version());
    match (found.len() > 1, of_version.next(), of_version.next()) {
        (true, Some(hdu), None) => Ok(hdu),
        _ => find_one(path, hdus, wanted),
    }
}

/// The plane of a companion file, in this order: by plane name, by the name of the image, the only
/// plane, the only one with the WCS of the image.
fn plane_of_file<'a>(role: Role, path: &Path, hdus: &'a [Hdu], own: &Own<'_>) -> Result<&'a Hdu, FitsError> {
    let is_plane = |hdu: &&Hdu| hdu.plane_shape().is_some();
    let planes: Vec<&Hdu> = hdus.iter().filter(is_plane).collect();
    let by_role = nearest(planes.iter().copied().filter(|hdu| role.is_named(hdu)), own.image);
    let by_name =
        || planes.iter().copied().find(|hdu| !own.image.name.is_empty() && hdu.name == own.image.name);
    if let Some(hdu) = by_role.or_else(by_name) {
        return Ok(hdu);
    }
    let of_size: Vec<&Hdu> =
        planes.iter().copied().filter(|hdu| hdu.plane_shape() == Some(own.shape)).collect();
    let here = |hdu: &&&Hdu| distance(own, hdus, hdu).is_some_and(|px| px <= SAME_PX);
    let on_place: Vec<&Hdu> = of_size.iter().filter(here).copied().collect();
    match (&planes[..], &of_size[..], &on_place[..]) {
        ([hdu], ..) | (_, [hdu], _) | (.., [hdu]) => Ok(hdu),
        ([], ..) => Err(FitsError::Missing {
            path: path.to_owned(),
            wanted: "two-dimensional image".into(),
            found: inventory(hdus),
        }),
        ([first, ..], [], _) => Ok(first),
        _ => Err(FitsError::SeveralPlanes {
            path: path.to_owned(),
            names: role.hdu_names(),
            setting: role.setting(),
            found: inventory(hdus),
        }),
    }
}

/// The plane with a given use in the exposure's own file, by name.
fn named_plane<'a>(role: Role, own: &Own<'a>) -> Option<&'a Hdu> {
    let named = own.hdus.iter().filter(|hdu| hdu.index != own.image.index && role.is_named(hdu));
    nearest(named, own.image)
}

/// The HDU with the EXTVER of the image, else the next after the image, else the nearest before.
fn nearest<'a>(hdus: impl Iterator<Item = &'a Hdu>, image: &Hdu) -> Option<&'a Hdu> {
    hdus.min_by_key(|hdu| {
        let other_version = hdu.version() != image.version();
        (other_version, hdu.index < image.index, hdu.index.abs_diff(image.index))
    })
}

/// A plane of the exposure's own file.
fn own_plane(role: Role, hdu: &Hdu, own: &Own<'_>, notes: &mut Vec<Assumption>) -> Result<Plane, FitsError> {
    plane(own.path, own.hdus, hdu, own, role, notes)
}

/// The plane in an HDU, with size and WCS verified.
fn plane(
    path: &Path,
    hdus: &[Hdu],
    hdu: &Hdu,
    own: &Own<'_>,
    role: Role,
    notes: &mut Vec<Assumption>,
) -> Result<Plane, FitsError> {
    let source = hdu.source(path)?;
    if source.shape != own.shape {
        return Err(FitsError::Shape {
            path: path.to_owned(),
            hdu: source.label,
            got: source.shape,
            expected: own.shape,
        });
    }
    if let Some(distance_px) = distance(own, hdus, hdu) {
        let (rows, columns) = own.shape;
        if distance_px > ELSEWHERE * (rows as f64).hypot(columns as f64) {
            return Err(FitsError::Elsewhere {
                path: path.to_owned(),
                hdu: source.label,
                image: own.path.to_owned(),
                distance_px,
            });
        }
        if distance_px > DOUBTFUL_PX {
            notes.push(warning(
                role.name(),
                format!(
                    "The WCS of the {} in {} is {distance_px:.1} px from the image's; pixels are taken one for \
                     one.",
                    role.name(),
                    source.label
                ),
            ));
        }
    }
    Ok(Plane { source, hdu: hdu.clone(), header: merged(hdus, hdu) })
}

/// Warns of masks that are not read: lsst-images splits many planes over several HDUs.
fn note_unread_masks(chosen: &Hdu, own: &Own<'_>, notes: &mut Vec<Assumption>) {
    let others: Vec<String> = own
        .hdus
        .iter()
        .filter(|hdu| hdu.index != chosen.index && hdu.name == chosen.name)
        .filter(|hdu| hdu.plane_shape() == Some(own.shape))
        .filter(|hdu| distance(own, own.hdus, hdu).is_none_or(|px| px <= SAME_PX))
        .map(Hdu::label)
        .collect();
    let images = own.hdus.iter().filter(|hdu| hdu.name == own.image.name && hdu.plane_shape().is_some());
    if !others.is_empty() && images.count() == 1 {
        let text = format!("Of several masks {} is read; {} is not.", chosen.label(), others.join(", "));
        notes.push(warning("mask", text));
    }
}

fn its_own_image(role: Role, path: &Path, hdus: &[Hdu]) -> FitsError {
    FitsError::ItsOwnImage {
        path: path.to_owned(),
        role: role.name(),
        setting: role.setting(),
        found: inventory(hdus),
    }
}

fn warning(quantity: &str, text: String) -> Assumption {
    Assumption { quantity: quantity.to_owned(), text, warning: true }
}
