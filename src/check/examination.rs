//! All that is checked of one device, and the verdict.

use super::{FAMILIES, Report, Setting, cpu, recorded};
use crate::engine::{DeviceDescription, Engine};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::lab::profile;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Checks of the CPU engine.
type Native = fn() -> Vec<Report>;

/// What was found on a device.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The device.
    pub device: DeviceDescription,
    /// Every case.
    pub reports: Vec<Report>,
    /// Groups of cases that the device could not run to their end, with what went wrong.
    pub broken: Vec<(&'static str, String)>,
    /// Time of each group of cases, twins included.
    pub groups: Vec<(&'static str, Duration)>,
    /// The slowest launch of each kernel of the GPU; nothing on a device without usable timestamps.
    pub launches: BTreeMap<&'static str, Duration>,
    /// Every kernel of the GPU that was compiled, with each set of `override` constants.
    pub pipelines: Vec<(&'static str, Vec<(&'static str, u32)>)>,
    /// The most loop iterations that an invocation may run, if the driver cuts loops short. Kernels then refuse larger work.
    pub loop_limit: Option<u32>,
}

/// What one kernel came to.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelSummary {
    /// `family.kernel`.
    pub kernel: &'static str,
    /// Cases.
    pub cases: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The case that used most of its tolerance, or the first that failed.
    pub worst: Report,
}

impl Examination {
    fn new(device: &DeviceDescription) -> Self {
        Self {
            device: device.clone(),
            reports: Vec::new(),
            broken: Vec::new(),
            groups: Vec::new(),
            launches: BTreeMap::new(),
            pipelines: Vec::new(),
            loop_limit: None,
        }
    }

    /// Runs one more group of cases. A lost device ends the examination, any other failure only the group.
    pub fn group(&mut self, name: &'static str, check: impl FnOnce() -> Result<Vec<Report>>) -> Result<()> {
        let start = Instant::now();
        match check() {
            Ok(reports) => self.reports.extend(reports),
            Err(error @ Error::DeviceLost(_)) => return Err(error),
            Err(error) => self.broken.push((name, error.to_string())),
        }
        self.groups.push((name, start.elapsed()));
        Ok(())
    }

    /// Checks every kernel of `engine`'s device, or the fast variants of the CPU engine, against its twin, and the engine
    /// against what other programs computed. `progress` hears each group before it starts.
    ///
    /// Fails with [`Error::DeviceLost`] only; all else is found in the result.
    pub fn of(engine: &mut Engine, progress: &dyn Fn(&str)) -> Result<Self> {
        match engine.device().map(Arc::clone) {
            Some(gpu) => Self::of_gpu(&gpu, engine, progress),
            None => Self::of_cpu(engine, progress),
        }
    }

    fn of_gpu(gpu: &Gpu, engine: &mut Engine, progress: &dyn Fn(&str)) -> Result<Self> {
        let mut examination = Self::new(engine.description());
        examination.loop_limit = gpu.max_loop_iterations();
        progress("random numbers");
        examination.group("random numbers", || Ok(vec![recorded::philox_on_device(gpu)?]))?;
        for &(name, check) in FAMILIES {
            progress(name);
            let ((), times) = profile(gpu, || examination.group(name, || check(&Setting::every(gpu))))?;
            examination.launches.extend(times.into_iter().map(|(kernel, times)| (kernel, times.slowest)));
        }
        examination.against_other_programs(engine, progress)?;
        examination.pipelines = gpu.compiled_kernels();
        Ok(examination)
    }

    fn of_cpu(engine: &mut Engine, progress: &dyn Fn(&str)) -> Result<Self> {
        let mut examination = Self::new(engine.description());
        let groups: [(&'static str, Native); 7] = [
            ("random numbers", || vec![recorded::philox_on_host()]),
            ("training_step", cpu::training),
            ("focus_sweep", cpu::sweep),
            ("pruned networks", cpu::networks),
            ("magnitude_sort", cpu::ranks),
            ("stability", cpu::histories),
            ("surgeon", cpu::surgeon),
        ];
        for (name, check) in groups {
            progress(name);
            examination.group(name, || Ok(check()))?;
        }
        examination.against_other_programs(engine, progress)?;
        Ok(examination)
    }

    fn against_other_programs(&mut self, engine: &mut Engine, progress: &dyn Fn(&str)) -> Result<()> {
        progress("ranks of NumPy");
        self.group("ranks of NumPy", || Ok(vec![recorded::ranks(engine)?]))?;
        progress("training runs of PyTorch");
        self.group("training runs of PyTorch", || recorded::training(engine))
    }

    /// One summary for each kernel, in the order in which they were checked.
    pub fn kernels(&self) -> Vec<KernelSummary> {
        let mut summaries: Vec<KernelSummary> = Vec::new();
        for report in &self.reports {
            let failed = usize::from(!report.passed);
            match summaries.iter_mut().find(|summary| summary.kernel == report.kernel) {
                None => {
                    summaries.push(KernelSummary { kernel: report.kernel, cases: 1, failed, worst: report.clone() });
                }
                Some(summary) => {
                    let worse = if report.passed { summary.worst.passed } else { summary.failed == 0 };
                    if worse && (report.share > summary.worst.share || !report.passed) {
                        summary.worst = report.clone();
                    }
                    summary.cases += 1;
                    summary.failed += failed;
                }
            }
        }
        summaries
    }

    /// Whether every case passed.
    pub fn passed(&self) -> bool {
        self.broken.is_empty() && self.reports.iter().all(|report| report.passed)
    }

    /// Fails with [`Error::SelfCheck`] if a case did not pass: which kernels, the first wrong number, and what to do.
    pub fn verdict(&self) -> Result<()> {
        let wrong: Vec<KernelSummary> = self.kernels().into_iter().filter(|kernel| kernel.failed > 0).collect();
        let mut names: Vec<&str> = wrong.iter().map(|kernel| kernel.kernel).collect();
        names.extend(self.broken.iter().map(|(group, _)| *group));
        if names.is_empty() {
            return Ok(());
        }
        let example = wrong.first().map(|kernel| kernel.worst.to_string());
        let example = example.or_else(|| self.broken.first().map(|(group, error)| format!("{group}: {error}")));
        let remedy = if self.device.backend == "cpu" {
            "build the program again for this processor; if that does not help, report it"
        } else {
            "do not trust this device: update its driver, try --checked-shaders, or use --device cpu"
        };
        Err(Error::SelfCheck(format!(
            "{} ({}) fails in {}; first: {}; {remedy}",
            self.device.name,
            if self.device.driver.is_empty() { &self.device.variant } else { &self.device.driver },
            names.join(", "),
            example.unwrap_or_default()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kernel: &'static str, share: f64) -> Report {
        let passed = share <= 1.0;
        let failure = if passed { String::new() } else { "element 3 is 2 instead of 1".to_string() };
        Report { kernel, case: format!("share {share}"), passed, share, worst: 3, failure }
    }

    fn examination(reports: Vec<Report>) -> Examination {
        let engine = Engine::cpu(Some(1)).unwrap();
        Examination { reports, ..Examination::new(engine.description()) }
    }

    #[test]
    fn a_wrong_case_fails_the_device_with_code_4_and_is_named() {
        let reports = vec![report("a.b", 0.5), report("c.d", 0.1), report("c.d", 7.0), report("c.d", 0.2)];
        let examination = examination(reports);
        let error = examination.verdict().unwrap_err();
        assert_eq!(error.exit_code(), 4);
        let text = error.to_string();
        assert!(text.contains("c.d") && text.contains("share 7") && !text.contains("a.b"), "{text}");
        let kernels = examination.kernels();
        assert_eq!(kernels.iter().map(|kernel| (kernel.cases, kernel.failed)).collect::<Vec<_>>(), [(1, 0), (3, 1)]);
        assert_eq!(kernels[1].worst.share, 7.0);
    }

    #[test]
    fn a_group_that_cannot_run_fails_the_device() {
        let mut examination = examination(vec![report("a.b", 0.5)]);
        assert!(examination.verdict().is_ok() && examination.passed());
        examination.group("dense", || Err(Error::Shape("too small".into()))).unwrap();
        let text = examination.verdict().unwrap_err().to_string();
        assert!(text.contains("dense: too small") && !examination.passed(), "{text}");
        let lost = examination.group("adam", || Err(Error::DeviceLost("gone".into()))).unwrap_err();
        assert_eq!(lost.exit_code(), 6);
    }

    #[test]
    fn the_worst_case_of_a_kernel_is_the_one_that_used_most_of_its_tolerance() {
        let examination = examination(vec![report("a.b", 0.5), report("a.b", 0.75), report("a.b", 0.25)]);
        assert_eq!(examination.kernels()[0].worst.share, 0.75);
    }
}
