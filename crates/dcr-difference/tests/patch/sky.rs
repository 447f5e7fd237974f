//! One sky drawn on several pixel grids, each analytically: what warped templates are held to.

use dcr_image::Wcs;
use dcr_sim::{Field, FieldConfig, Source, SourceSettings, VisitSettings};

use crate::field::{Warp, warp_again, wcs};

/// Stars and their places, in pixels of the grid that they were drawn for.
pub(crate) struct Sky {
    config: FieldConfig,
    stars: Vec<Source>,
}

/// A grid: its middle in arcsec East and North of the sky's own, its size, angle and scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) east: f64,
    pub(crate) north: f64,
    pub(crate) size: (usize, usize),
    pub(crate) rotation_deg: f64,
    pub(crate) scale: f64,
}

impl Grid {
    /// The sky's own.
    pub(crate) const fn own() -> Self {
        Self { east: 0.0, north: 0.0, size: (112, 96), rotation_deg: 25.0, scale: 0.2 }
    }
}

impl Sky {
    /// Stars in and around the grid [`Grid::own`].
    pub(crate) fn new(stars: usize) -> Self {
        let sources = SourceSettings { stars, galaxies: 0, margin_px: 70.0, ..SourceSettings::default() };
        let (width, height) = Grid::own().size;
        let config = FieldConfig { seed: 11, width, height, sources, ..FieldConfig::default() };
        let field = Field::draw(&config).unwrap();
        let stars = field.catalogue().map(|(source, _)| *source).collect();
        Self { config, stars }
    }

    /// The same with one more star, so many arcsec East and North of the middle.
    pub(crate) fn with_star(mut self, east: f64, north: f64, flux: f64) -> Self {
        let (_, own) = self.on(&Grid::own(), 1);
        let (x, y) = own.sky_to_pixel(self.place(east, north)).unwrap();
        // Nothing beside it.
        self.stars.retain(|star| (star.x - x).hypot(star.y - y) > 20.0);
        let id = self.stars.iter().map(|star| star.id).max().unwrap_or(0) + 1;
        self.stars.push(Source { id, x, y, flux, ..self.stars[0] });
        self
    }

    /// A place so many arcsec East and North of the middle.
    pub(crate) fn place(&self, east: f64, north: f64) -> dcr_physics::SkyPosition {
        let dec = self.config.dec_deg + north / 3600.0;
        dcr_physics::SkyPosition::from_degrees(
            self.config.ra_deg + east / 3600.0 / dec.to_radians().cos(),
            dec,
        )
    }

    /// The sky on a grid, and the grid's WCS.
    pub(crate) fn on(&self, grid: &Grid, visits: usize) -> (Field, Wcs) {
        self.seen_on(grid, VisitSettings { count: visits, ..VisitSettings::default() })
    }

    fn seen_on(&self, grid: &Grid, visits: VisitSettings) -> (Field, Wcs) {
        let place = self.place(grid.east, grid.north);
        let config = FieldConfig {
            width: grid.size.0,
            height: grid.size.1,
            scale_arcsec: grid.scale,
            ra_deg: place.ra.degrees(),
            dec_deg: place.dec.degrees(),
            rotation_deg: grid.rotation_deg,
            visits,
            ..self.config.clone()
        };
        let own = wcs(&Field::with_catalogue(&self.config, vec![]).unwrap(), 0.0);
        let there = wcs(&Field::with_catalogue(&config, vec![]).unwrap(), 0.0);
        let moved = self.stars.iter().map(|star| {
            let (x, y) = there.sky_to_pixel(own.pixel_to_sky(star.x, star.y).unwrap()).unwrap();
            Source { x, y, ..*star }
        });
        (Field::with_catalogue(&config, moved.collect()).unwrap(), there)
    }

    /// The warps of a grid.
    pub(crate) fn warps(&self, grid: &Grid, visits: usize) -> Vec<Warp> {
        let (field, _) = self.on(grid, visits);
        field.visits().iter().map(|plan| warp_again(&field, plan, 0)).collect()
    }

    /// An exposure of a grid at airmass 1.8, which is not one of its warps.
    pub(crate) fn exposure(&self, grid: &Grid) -> Warp {
        let low = VisitSettings { count: 1, held_out: 1, airmass: [1.8, 1.8], ..VisitSettings::default() };
        let (field, _) = self.seen_on(grid, low);
        warp_again(&field, &field.held_out()[0], 0)
    }
}
