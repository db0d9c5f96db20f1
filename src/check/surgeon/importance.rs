//! Cases of `surgeon.importance`.

use crate::check::FACTOR;
use crate::check::comparator::{Report, UNWRITTEN, compare};
use crate::check::{Draws, Setting, at_every_size, bits, preset, read, run, second_step, sums, used_part};
use crate::cpu::layers::add_squares;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::surgeon::{IMPORTANCE, Importance, ImportanceArguments, ImportanceShape};

/// A layer's derivatives, of fewer samples than there is room for.
struct Case {
    shape: ImportanceShape,
    samples: usize,
}

/// The cases that every device must pass: a single number, around a workgroup of a dense layer, rows that are no
/// power of two, and the paper's layers.
fn cases() -> Vec<Case> {
    let case = |capacity, samples, runs, length, units| Case {
        shape: ImportanceShape { capacity, runs, length, units },
        samples,
    };
    vec![
        case(1, 1, 1, 1, 1),
        case(8, 7, 1, 1, 9),
        case(4, 4, 1, 1, 16),
        case(6, 5, 1, 1, 13),
        case(3, 2, 5, 7, 3),
        case(1, 1, 28, 28, 8),
        case(256, 251, 1, 1, 30),
        case(33, 32, 14, 14, 16),
    ]
}

/// Runs the kernel on seeded sums and derivatives, and compares with the twin.
fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let gpu = on.gpu;
    let Case { shape, samples } = *case;
    let ImportanceShape { capacity, runs, length, units } = shape;
    let mut draws = Draws::new((shape.sums() * length) as u32);
    let gradient = draws.numbers(shape.sums() * length);
    let used = samples * runs * units;
    let before: Vec<f32> = draws.numbers(used).into_iter().map(f32::abs).collect();
    let mut words = bits(&before);
    words.resize(shape.sums(), UNWRITTEN);
    let changed = preset(gpu, &words)?;
    let arguments = ImportanceArguments {
        shape,
        steps: &second_step(gpu, capacity, samples)?,
        gradient: &Buffer::from_slice(gpu, "gradient", &gradient)?,
        sums: &changed,
    };
    let bound = Importance::new(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    let name = format!("n{samples}_{runs}x{length}x{units}");
    run(gpu, &name, |recorder| bound.record(recorder, 1, samples))?;
    let expected = sums(1, FACTOR, |_, number| {
        let (gradient, mut sums) = (number(&gradient), number(&before));
        for (run, sums) in gradient.chunks_exact(length * units).zip(sums.chunks_exact_mut(units)) {
            add_squares(run, sums);
        }
        sums
    });
    let found = used_part(read(gpu, &changed)?, shape.sums(), used);
    Ok(vec![compare(IMPORTANCE.name, name, &found, &expected)])
}

/// Checks all cases, the small ones with every size of workgroups.
pub(super) fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let settings: Vec<Setting<'_>> = settings.iter().filter(|on| !on.naive).copied().collect();
    at_every_size(&settings, &cases(), |case| case.shape.sums() < 1000, check)
}
