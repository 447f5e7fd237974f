//! The sky and the air of one exposure: where the zenith was, and how refraction is computed.

use dcr_image::Exposure;
use dcr_physics::{
    Angle, Assumption, LocalSky, Refraction, RefractionModel, Site, SkyPosition, VisitInfo, Weather,
    ZenithGeometry,
};

use crate::config::{InputConfig, OnDisagreement};
use crate::error::InputError;

/// Where the zenith was during an exposure, and the air.
pub struct Sky {
    /// The visit as its header states it.
    pub visit: VisitInfo,
    /// The zenith.
    pub geometry: ZenithGeometry,
    /// The air.
    pub weather: Weather,
    /// Refraction in that air.
    pub air: Box<dyn Refraction + Send + Sync>,
    /// Assumptions, each once.
    pub notes: Vec<Assumption>,
}

impl Sky {
    /// The sky of an opened exposure.
    ///
    /// # Errors
    ///
    /// [`InputError`] if the header leaves the zenith unknown, contradicts itself where the
    /// settings refuse this, or states neither height nor pressure of the telescope.
    pub fn of(
        exposure: &dyn Exposure,
        input: &InputConfig,
        model: RefractionModel,
    ) -> Result<Self, InputError> {
        let path = || exposure.path().to_owned();
        let visit = exposure.visit().clone();
        let geometry = ZenithGeometry::resolve(&visit, input.geometry)
            .map_err(|source| InputError::Geometry { path: path(), source })?;
        if geometry.disagreement().is_some() && input.on_disagreement == OnDisagreement::Refuse {
            let contradiction = geometry.assumptions().iter().rfind(|note| note.warning);
            let contradiction = contradiction.map_or_else(String::new, |note| note.text.clone());
            return Err(InputError::Disagreement { path: path(), contradiction });
        }
        let mut notes = visit.assumptions.clone();
        notes.extend(geometry.assumptions().iter().cloned());
        let site = match visit.site {
            Some(site) => site,
            None => {
                let height = input.site.and_then(|site| site.elevation_m);
                let known = match (height, visit.weather.pressure_pa) {
                    (Some(_), _) => "input.site gives the height",
                    (None, Some(_)) => "the air pressure is known",
                    (None, None) => return Err(InputError::NoSite { path: path() }),
                };
                notes.push(Assumption {
                    quantity: "site".into(),
                    text: format!(
                        "The header has no site; gravity is that of latitude 45° (0.3 % of refraction at most), for \
                         {known}."
                    ),
                    warning: true,
                });
                Site {
                    latitude: Angle::from_degrees(45.0),
                    longitude: Angle::default(),
                    elevation_m: height.unwrap_or(0.0),
                }
            }
        };
        let (weather, assumed) = visit.weather.complete(site.elevation_m);
        notes.extend(assumed);
        let air = model.at(&site, &weather);
        let mut once: Vec<Assumption> = Vec::with_capacity(notes.len());
        for note in notes {
            if !once.contains(&note) {
                once.push(note);
            }
        }
        Ok(Self { visit, geometry, weather, air, notes: once })
    }

    /// The sky at a place.
    pub fn at(&self, place: SkyPosition) -> LocalSky {
        self.geometry.at(place)
    }
}
