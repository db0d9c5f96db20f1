//! The facts of the machine and of the program that times depend on: numbers without them cannot be compared.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Where nothing is known.
const UNKNOWN: &str = "unknown";
/// A machine that had more than this share of its threads at work in the last minute is called busy.
const BUSY: f64 = 0.25;

/// Machine and program. It names neither its owner nor its place in a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// What the processor calls itself, e.g. `AMD EPYC 7B13 64-Core Processor`.
    pub processor: String,
    /// Its family, model and stepping, e.g. `25/17/1`; `unknown` of processors that are not x86.
    pub family: String,
    /// The instruction sets of vectors that it has, e.g. `avx2, fma, avx512f`.
    pub simd: String,
    /// Cores that are really there, if the system tells.
    pub cores: Option<usize>,
    /// Threads that this program may run at once.
    pub threads: usize,
    /// Bytes of each cache as one core sees it, by its name (`L1d`, `L2`, `L3`); empty of processors that are not x86.
    pub caches: BTreeMap<String, u64>,
    /// Bytes of memory.
    pub memory: u64,
    /// The system and its version.
    pub system: String,
    /// The version of its kernel.
    pub kernel: String,
    /// The driver of the device, with its version; empty for the CPU engine.
    pub driver: String,
    /// Version of this program.
    pub version: String,
    /// The commit that it was built from, with `-dirty` where sources differed from it; `unknown` where the build could not tell.
    pub commit: String,
    /// Whether it was built without optimisation.
    pub debug: bool,
    /// How many threads were at work, as a mean over the last minute, when it began; `None` where the system does not tell.
    pub load_start: Option<f64>,
    /// The same when it ended; `None` while it runs, too.
    pub load_end: Option<f64>,
}

impl Fingerprint {
    /// Of this machine, now. `driver` is the device's.
    pub fn now(driver: &str) -> Self {
        let asked = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(asked);
        let known = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| UNKNOWN.into());
        let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_string());
        let Cpu { family, caches } = cpu();
        Self {
            processor: known(brand),
            family: known(family),
            simd: simd(),
            cores: System::physical_core_count(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            caches,
            memory: system.total_memory(),
            system: known(System::long_os_version()),
            kernel: known(System::kernel_version()),
            driver: driver.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("HOLDFAST_COMMIT").unwrap_or(UNKNOWN).into(),
            debug: cfg!(debug_assertions),
            load_start: load(),
            load_end: None,
        }
    }

    /// Notes the load at the end.
    pub fn end(&mut self) {
        self.load_end = load();
    }

    /// In a line: `AMD EPYC, 2 cores, avx512f; Debian 12; load 0.1`.
    pub fn line(&self) -> String {
        let Self { processor, threads, simd, system, .. } = self;
        let best = simd.rsplit(", ").next().unwrap_or(simd);
        let load = self.load_start.map(|load| format!("; load {load:.1} at the start")).unwrap_or_default();
        format!("{processor}, {threads} threads, {best}; {system}{load}")
    }

    /// What differs from another one and may move times unseen, e.g. `processor: A there, B here`; what names the programs, which
    /// are expected to differ, is left out.
    pub fn differences(&self, there: &Self) -> Vec<String> {
        let caches =
            |one: &Self| one.caches.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect::<Vec<_>>().join(" ");
        let build = |one: &Self| if one.debug { "without optimisation" } else { "optimised" }.to_string();
        let number = |number: Option<usize>| number.map_or(UNKNOWN.into(), |number| number.to_string());
        // Memory that a system keeps for itself changes from start to start.
        let gigabytes = |one: &Self| format!("{:.0} GB", one.memory as f64 / 1e9);
        let facts: [(&str, String, String); 10] = [
            ("processor", there.processor.clone(), self.processor.clone()),
            ("family", there.family.clone(), self.family.clone()),
            ("vectors", there.simd.clone(), self.simd.clone()),
            ("cores", number(there.cores), number(self.cores)),
            ("threads", there.threads.to_string(), self.threads.to_string()),
            ("caches", caches(there), caches(self)),
            ("memory", gigabytes(there), gigabytes(self)),
            ("system", there.system.clone(), self.system.clone()),
            ("driver", there.driver.clone(), self.driver.clone()),
            ("build", build(there), build(self)),
        ];
        let changed = facts.into_iter().filter(|(_, there, here)| there != here);
        changed.map(|(what, there, here)| format!("{what}: {there} there, {here} here")).collect()
    }
}

/// Says so where so much else was at work, on so many threads, that times are too long; nothing otherwise.
pub fn busy(load: Option<f64>, threads: usize) -> Option<String> {
    let load = load.filter(|load| *load > BUSY * threads as f64)?;
    Some(format!(
        "busy machine: {load:.1} of {threads} threads were at work in the minute before; end other programs, or wait a minute and \
         measure again"
    ))
}

/// Threads at work, as a mean over the last minute. Windows has no such number.
fn load() -> Option<f64> {
    (!cfg!(windows)).then(|| System::load_average().one)
}

/// What the processor says of itself.
#[derive(Default)]
struct Cpu {
    family: Option<String>,
    caches: BTreeMap<String, u64>,
}

#[cfg(target_arch = "x86_64")]
fn cpu() -> Cpu {
    use raw_cpuid::{CacheType, CpuId};
    let cpu = CpuId::new();
    let family = cpu
        .get_feature_info()
        .map(|found| format!("{}/{}/{}", found.family_id(), found.model_id(), found.stepping_id()));
    let data = cpu.get_cache_parameters().into_iter().flatten().filter(|cache| {
        // Those of instructions move no number here.
        matches!(cache.cache_type(), CacheType::Data | CacheType::Unified)
    });
    let caches = data.map(|cache| {
        let kind = if cache.cache_type() == CacheType::Data { "d" } else { "" };
        let bytes =
            cache.associativity() * cache.physical_line_partitions() * cache.coherency_line_size() * cache.sets();
        (format!("L{}{kind}", cache.level()), bytes as u64)
    });
    Cpu { family, caches: caches.collect() }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu() -> Cpu {
    Cpu::default()
}

#[cfg(target_arch = "x86_64")]
fn simd() -> String {
    let has = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    has.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> String {
    if cfg!(target_arch = "aarch64") { "neon".into() } else { UNKNOWN.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_of_this_machine_and_comes_back_from_its_file() {
        let mut found = Fingerprint::now("driver 1");
        assert!(found.threads > 0 && found.memory > 0 && found.load_end.is_none(), "{found:?}");
        assert!([&found.processor, &found.system, &found.kernel].iter().all(|fact| !fact.is_empty()), "{found:?}");
        assert_eq!((found.version.as_str(), found.driver.as_str()), (env!("CARGO_PKG_VERSION"), "driver 1"));
        found.end();
        assert!(found.load_end.is_some() != cfg!(windows) && found.line().contains(&found.processor));
        (found.load_start, found.load_end) = (None, Some(0.25));
        assert!(!found.line().contains("load"), "what is not known is not told: {}", found.line());
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), found);
    }

    #[test]
    fn what_moves_times_is_compared_and_what_names_the_program_is_not() {
        let here = Fingerprint::now("");
        let same = Fingerprint { version: "0".into(), commit: "abc".into(), load_start: Some(9.0), ..here.clone() };
        assert!(here.differences(&same).is_empty());
        let other = Fingerprint { processor: "another".into(), threads: here.threads + 1, ..here.clone() };
        let found = here.differences(&other);
        assert!(found.len() == 2 && found[0].contains("another there"), "{found:?}");
    }

    #[test]
    fn a_machine_is_busy_from_a_quarter_of_its_threads_on() {
        assert_eq!([busy(Some(0.4), 2), busy(None, 2)], [None, None]);
        assert!(busy(Some(0.6), 2).is_some_and(|words| words.contains("0.6 of 2 threads")));
    }
}
