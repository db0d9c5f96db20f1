//! `holdfast bench --sparse`: from which share of its weights on a network is evaluated faster weight by weight.

use super::super::output;
use super::super::progress::Reporter;
use super::BenchArguments;
use crate::engine::{Control, Watch};
use crate::error::Result;
use crate::lab::sparse::{self, CROSSOVER, Crossover, DENSITIES, Ways};
use crate::network::Architecture;
use crate::numbers::percent;
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
            let all = |of: fn(&Ways) -> &Vec<f64>| found.ways.iter().map(of).collect::<Vec<_>>();
            json!({
                "network": name,
                "images": found.images,
                "densities": DENSITIES,
                "seconds_in_blocks": all(|ways| &ways.blocks),
                "seconds_by_weight": all(|ways| &ways.by_weight),
                "seconds_with_all_weights": all(|ways| &ways.all_weights),
                "times_as_fast": found.ways.iter().map(Ways::gain).collect::<Vec<_>>(),
                "crossover_of_layers": found.of_layers,
                "crossover_of_network": found.of_network,
            })
        };
        return output::json(&json!({
            "networks": found.iter().map(network).collect::<Vec<_>>(),
            "evaluation_goes_by": CROSSOVER,
        }));
    }
    let turns = found[0].1.ways[0].blocks.len();
    let mut text = format!(
        "How many times as fast a network classifies images if its zeros are left out, by share of weights that are not zero.\n\
         Random weights, one thread, medians of {turns} turns with their ranges (95 %); ~: 1 lies in the range.\n"
    );
    let mut line = |first: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:<22}")).collect();
        text += &format!("  {first:<12}{}\n", cells.trim_end());
    };
    let of_networks = |cell: &dyn Fn(&(&str, Crossover)) -> String| found.iter().map(cell).collect();
    line("", of_networks(&|(name, _)| name.to_string()));
    for (place, density) in DENSITIES.into_iter().enumerate() {
        line(&rounded(density), of_networks(&|(_, found)| found.ways[place].gain().shown_ratio("")));
    }
    line("no gain from", of_networks(&|(_, found)| found.of_network.map_or("-".into(), rounded)));
    let layers: Vec<String> = found.iter().filter_map(|(_, found)| found.of_layers).map(rounded).collect();
    text += &format!(
        "In a layer zeros are left out while less than {} of its weights are not zero; measured now for these networks: {}.\n",
        percent(CROSSOVER),
        if layers.is_empty() { "no such share".into() } else { layers.join(", ") }
    );
    output::result(&text)
}

/// A share in whole per cent.
fn rounded(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
