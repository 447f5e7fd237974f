//! How spectra run inside the subfilters.

use dcr_physics::WavelengthGrid;
use dcr_solver::SpectralBasis;

use crate::config::Spectrum;

/// The basis in which the solver's fluxes make a spectrum on the grid.
pub fn spectral_basis(grid: &WavelengthGrid, spectrum: Spectrum) -> SpectralBasis {
    let n = grid.subfilters().len();
    match spectrum {
        Spectrum::Constant => SpectralBasis::constant(n),
        Spectrum::Smooth => {
            // A step without light has no share, and would leave its wavelength free.
            let lit = || grid.points().iter().filter(|point| point.weight > 0.0);
            SpectralBasis::smooth(
                &lit().map(|point| point.wavelength.nm()).collect::<Vec<_>>(),
                &lit().map(|point| point.weight).collect::<Vec<_>>(),
                &lit().map(|point| point.subfilter).collect::<Vec<_>>(),
                n,
            )
        }
    }
}
