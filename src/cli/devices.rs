//! `holdfast devices`: what can run here.

use super::options::OutputOptions;
use super::output;
use crate::engine::Engine;
use crate::error::Result;
use crate::gpu;
use clap::Args;
use serde_json::json;

/// Arguments of `devices`.
#[derive(Args)]
pub(super) struct DevicesArguments {
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &DevicesArguments) -> Result<()> {
    let adapters = gpu::adapters();
    let cpu = Engine::cpu(None)?;
    let cpu = cpu.description();
    let chosen = crate::engine::automatic_adapter(&adapters);
    let why_none = adapters.is_empty().then(gpu::why_no_adapter);
    if arguments.output.json {
        let adapters: Vec<_> = adapters
            .iter()
            .map(|adapter| {
                json!({
                    "index": adapter.index,
                    "name": adapter.name,
                    "kind": adapter.kind,
                    "backend": adapter.backend,
                    "driver": adapter.driver,
                    "auto": chosen == Some(adapter.index),
                    "storage_binding_bytes": adapter.limits.storage_binding,
                    "buffer_bytes": adapter.limits.buffer,
                    "workgroup_memory_bytes": adapter.limits.workgroup_memory,
                })
            })
            .collect();
        let cpu = json!({ "name": cpu.name, "variant": cpu.variant, "auto": chosen.is_none() });
        return output::json(&json!({ "cpu": cpu, "adapters": adapters, "why_none": why_none }));
    }
    let mark = |is_chosen| if is_chosen { "  <- auto" } else { "" };
    let mut text = format!("  cpu  {}, {}{}\n", cpu.name, cpu.variant, mark(chosen.is_none()));
    for adapter in &adapters {
        text += &format!(
            "{:>5}  {} ({}, {}; {}){}\n",
            adapter.index,
            adapter.name,
            adapter.kind,
            adapter.backend,
            adapter.driver,
            mark(chosen == Some(adapter.index))
        );
        if arguments.output.verbose {
            text += &format!(
                "       arrays up to {} MiB, buffers up to {} MiB, {} KiB of workgroup memory\n",
                adapter.limits.storage_binding >> 20,
                adapter.limits.buffer >> 20,
                adapter.limits.workgroup_memory >> 10
            );
        }
    }
    if let Some(why) = why_none {
        text += &format!("       {why}\n");
    }
    output::result(&text)
}
