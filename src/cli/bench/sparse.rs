//! `holdfast bench --sparse`: from which share of its weights on a network is evaluated faster weight by weight.

use super::super::output;
use super::super::progress::Reporter;
use super::BenchArguments;
use crate::engine::Watch;
use crate::error::Result;
use crate::lab::sparse::{self, CROSSOVER, Crossover, DENSITIES};
use crate::network::Architecture;
use crate::study::Control;
use crate::study::numbers::{percent, significant};
use serde_json::json;

/// The paper's DNN, one of wide layers, and a CNN of 32 filters, on images of 28 x 28.
fn networks() -> [(&'static str, Architecture); 3] {
    let paper = Architecture::dnn(28, 28, [30; 6], 10);
    let cnn = Architecture { convolutions: Architecture::paper_convolutions(32), ..paper.clone() };
    [
        ("dnn, 6 layers of 30", paper),
        ("dnn, 4 layers of 512", Architecture::dnn(28, 28, [512; 4], 10)),
        ("cnn, 32 filters", cnn),
    ]
}

pub(super) fn run(arguments: &BenchArguments) -> Result<()> {
    let say = &arguments.output;
    let reporter = Reporter::new(say.quiet);
    let found: Vec<(&str, Crossover)> = networks()
        .into_iter()
        .map(|(name, network)| {
            let Control { stop, progress } = reporter.control();
            progress.begin(name, DENSITIES.len() as u64, "densities");
            let found = sparse::crossover(&network, &Watch { stop, progress: &|units| progress.advance(units) });
            progress.end();
            Ok((name, found?))
        })
        .collect::<Result<_>>()?;
    if say.json {
        let network = |(name, found): &(&str, Crossover)| {
            json!({
                "network": name,
                "images": found.images,
                "densities": DENSITIES,
                "seconds_in_blocks": found.seconds.iter().map(|both| both[0]).collect::<Vec<_>>(),
                "seconds_by_weight": found.seconds.iter().map(|both| both[1]).collect::<Vec<_>>(),
                "crossover": found.density,
            })
        };
        return output::json(&json!({
            "networks": found.iter().map(network).collect::<Vec<_>>(),
            "evaluation_goes_by": CROSSOVER,
        }));
    }
    let mut text =
        "Time in blocks of registers over time weight by weight, one thread, by share of weights that are not zero\n"
            .to_string();
    text += &format!("  {:<21}", "");
    text += &DENSITIES.map(|density| format!("{:>7}", rounded(density))).concat();
    text += "   equal at\n";
    for (name, Crossover { seconds, density, .. }) in &found {
        let ratios: String =
            seconds.iter().map(|[blocks, single]| format!("{:>7}", significant(blocks / single))).collect();
        let equal = density.map_or("-".into(), rounded);
        text += &format!("  {name:<21}{ratios} {equal:>10}\n");
    }
    text += &format!(
        "Evaluation goes weight by weight where fewer than {} of a network's multiply-adds are left.\n",
        percent(CROSSOVER)
    );
    output::result(&text)
}

/// A share in whole per cent.
fn rounded(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
