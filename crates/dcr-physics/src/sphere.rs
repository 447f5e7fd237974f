//! Directions on the sky as unit vectors in ICRS axes: distances, position angles, aberration.

use crate::{Angle, SkyPosition};

/// A vector in ICRS axes: x to RA 0 on the equator, z to the pole.
pub(crate) type Vector = [f64; 3];

/// The pole of ICRS.
pub(crate) const ICRS_POLE: Vector = [0.0, 0.0, 1.0];

/// The unit vector towards a place.
pub(crate) fn direction(place: SkyPosition) -> Vector {
    let (sin_ra, cos_ra) = place.ra.radians().sin_cos();
    let (sin_dec, cos_dec) = place.dec.radians().sin_cos();
    [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
}

/// The directions of North and East at a place.
pub(crate) fn north_and_east(place: SkyPosition) -> (Vector, Vector) {
    let (sin_ra, cos_ra) = place.ra.radians().sin_cos();
    let (sin_dec, cos_dec) = place.dec.radians().sin_cos();
    ([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], [-sin_ra, cos_ra, 0.0])
}

pub(crate) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// `scale_a·a + scale_b·b`.
pub(crate) fn combine(scale_a: f64, a: Vector, scale_b: f64, b: Vector) -> Vector {
    std::array::from_fn(|i| scale_a * a[i] + scale_b * b[i])
}

/// The angle between two directions, in radians; accurate for small and large angles.
pub(crate) fn separation(a: Vector, b: Vector) -> f64 {
    let normal = cross(a, b);
    dot(normal, normal).sqrt().atan2(dot(a, b))
}

/// Position angle of `target` at `place`, North through East; 0 if undefined.
pub(crate) fn position_angle(place: SkyPosition, target: Vector) -> Angle {
    let (north, east) = north_and_east(place);
    Angle::from_radians(dot(target, east).atan2(dot(target, north)))
}

/// The angle at `from` between the directions to `pole` and `target`, in the sense of position
/// angles; 0 if undefined.
pub(crate) fn angle_from_pole(from: Vector, pole: Vector, target: Vector) -> Angle {
    let east = cross(pole, from);
    let north = cross(from, east);
    Angle::from_radians(dot(target, east).atan2(dot(target, north)))
}

/// The direction at distance `distance_rad` from a place, towards the given position angle.
pub(crate) fn towards(place: SkyPosition, position_angle: Angle, distance_rad: f64) -> Vector {
    let (north, east) = north_and_east(place);
    let (sin_q, cos_q) = position_angle.radians().sin_cos();
    combine(distance_rad.cos(), direction(place), distance_rad.sin(), combine(cos_q, north, sin_q, east))
}

/// Aberrated direction of light from `natural` for an observer of velocity `velocity` (in units of
/// the speed of light); with the velocity negated, the inverse.
pub(crate) fn aberrated(natural: Vector, velocity: Vector) -> Vector {
    let inverse_lorentz = (1.0 - dot(velocity, velocity)).sqrt();
    let along = dot(natural, velocity);
    let seen = combine(inverse_lorentz, natural, 1.0 + along / (1.0 + inverse_lorentz), velocity);
    let length = dot(seen, seen).sqrt();
    seen.map(|component| component / length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rounding of a few trigonometric functions, in radians.
    const ROUNDING: f64 = 1e-14;

    fn place() -> impl Strategy<Value = SkyPosition> {
        (0.0..360.0, -89.9..89.9).prop_map(|(ra, dec)| SkyPosition::from_degrees(ra, dec))
    }

    proptest! {
        #[test]
        fn towards_is_found_again_by_separation_and_position_angle(
            place in place(), q in -3.1..3.1_f64, distance in 1e-3..3.1_f64,
        ) {
            let target = towards(place, Angle::from_radians(q), distance);
            prop_assert!((separation(direction(place), target) - distance).abs() < ROUNDING);
            // A direction to something close by is only as good as its distance allows.
            prop_assert!((position_angle(place, target).radians() - q).abs() < 100.0 * ROUNDING / distance.sin().abs());
        }

        #[test]
        fn angle_from_the_icrs_pole_is_the_position_angle(place in place(), target in place()) {
            let (from, target) = (direction(place), direction(target));
            prop_assume!(separation(from, target) > 1e-3);
            let apart = angle_from_pole(from, ICRS_POLE, target).radians() - position_angle(place, target).radians();
            prop_assert!(Angle::from_radians(apart).wrapped().radians().abs() < 1e-9);
        }

        #[test]
        fn aberration_is_undone_by_the_opposite_velocity(
            place in place(), vx in -1e-4..1e-4_f64, vy in -1e-4..1e-4_f64, vz in -1e-4..1e-4_f64,
        ) {
            let natural = direction(place);
            let seen = aberrated(natural, [vx, vy, vz]);
            let back = aberrated(seen, [-vx, -vy, -vz]);
            prop_assert!(separation(natural, back) < ROUNDING);
            prop_assert!(separation(natural, seen) <= 1.8e-4);
        }
    }

    #[test]
    fn position_angle_is_north_through_east() {
        let place = SkyPosition::from_degrees(10.0, 20.0);
        let angle = |ra, dec| position_angle(place, direction(SkyPosition::from_degrees(ra, dec))).degrees();
        assert!(angle(10.0, 30.0).abs() < 1e-12);
        assert!((angle(10.001, 20.0) - 90.0).abs() < 1e-3);
        assert!((angle(10.0, 10.0).abs() - 180.0).abs() < 1e-12);
        assert_eq!(angle(10.0, 20.0).abs().rem_euclid(90.0), 0.0);
    }
}
