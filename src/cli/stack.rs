//! Options of networks that another program trained, a stack of dense layers, and of the images that they are shown.

use super::options::{OutputOptions, Share};
use crate::data::contents::Contents;
use crate::data::{Dataset, Fit, LoadOptions, Loaded, Source, Split};
use crate::error::{Error, Result};
use crate::network_files::dense_stack::{DenseStack, Orientation, StackData};
use crate::network_files::stored_network::InputScale;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// The largest value of a pixel.
const WHITE: f64 = 255.0;

/// Which layers, and what they read.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Networks of other programs")]
pub(super) struct StackOptions {
    /// The dense layers of the file, from the image to the classes, with a ReLU between each two: fc1,fc2,fc3.
    ///
    /// Each name stands for the arrays NAME.weight and NAME.bias (PyTorch), NAME/kernel or NAME.kernel and their bias (Keras, JAX),
    /// or is that of an array of weights itself, such as W1, whose biases are then b1. How weights lie, [out, in] or [in, out],
    /// follows from the sizes.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(super) dense: Option<Vec<String>>,
    /// How the weights of the layers lie; needed only where square ones leave it open.
    #[arg(long, value_enum, requires = "dense")]
    dense_axes: Option<DenseAxes>,
    /// What the network sees is (pixel / 255 - MEAN) / SD: one pair of numbers for all channels. 0,1 if not given.
    #[arg(long, value_delimiter = ',', value_name = "MEAN,SD", allow_hyphen_values = true, requires = "dense")]
    normalize: Option<Vec<f64>>,
    /// Images in colour are read as [channel, y, x], as PyTorch flattens them, not as [y, x, channel], as Keras does.
    #[arg(long, requires = "dense")]
    pub(super) channels_first: bool,
}

/// How weights lie, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DenseAxes {
    /// As Keras and JAX have them.
    #[value(name = "in,out")]
    InOut,
    /// As PyTorch has them.
    #[value(name = "out,in")]
    OutIn,
}

impl StackOptions {
    /// What pixels become before the first layer.
    ///
    /// Fails with [`Error::Usage`] unless there are two numbers that can be a mean and a standard deviation.
    pub(super) fn input(&self) -> Result<InputScale> {
        let plain = InputScale::divided_by(WHITE);
        match self.normalize.as_deref() {
            None => Ok(plain),
            Some(&[mean, sd]) if mean.is_finite() && sd.is_finite() && sd as f32 > 0.0 => {
                Ok(InputScale { mean, sd, ..plain })
            }
            Some(found) => Err(Error::Usage(format!(
                "--normalize takes two numbers, MEAN,SD, for all channels, the second above 0, e.g. 0.1307,0.3081, and {found:?} was \
                 found"
            ))),
        }
    }

    /// The images as the network reads them. Says of images in colour in which order.
    pub(super) fn arranged(&self, images: Images) -> Result<Images> {
        let Dataset { height, width, channels, .. } = *images.split.training;
        let mut notices = images.notices;
        if channels == 1 {
            if self.channels_first {
                notices.push("--channels-first changes nothing of gray images".into());
            }
            return Ok(Images { notices, ..images });
        }
        if !self.channels_first {
            notices.push(format!(
                "images have {channels} channels, and the first layer reads them as [y, x, channel]; of a PyTorch network that flattens \
                 [channel, y, x] say --channels-first"
            ));
            return Ok(Images { notices, ..images });
        }
        let places = height * width;
        let order: Vec<u32> =
            (0..places * channels).map(|place| (place % places * channels + place / places) as u32).collect();
        let turned = |set: &Dataset| set.with_pixels(&order);
        Ok(Images {
            split: Split::new(turned(&images.split.training)?, turned(&images.split.test)?)?,
            notices,
            ..images
        })
    }

    /// Reads the stack that is named for these images.
    pub(super) fn read(&self, path: &Path, images: &Images) -> Result<DenseStack> {
        let said = self.dense_axes.map(|axes| match axes {
            DenseAxes::InOut => Orientation::InOut,
            DenseAxes::OutIn => Orientation::OutIn,
        });
        let Dataset { ref name, height, width, channels, classes, .. } = *images.split.training;
        let data = StackData { name, image: [height, width, channels], classes };
        DenseStack::read(path, self.dense.as_deref().unwrap_or_default(), said, data)
    }
}

/// Which images.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Images")]
pub(super) struct DataOptions {
    /// A data set: mnist, mnist=DIR, pr, pr=DIR, ct, sc=PATH, sc-synthetic, xr=PATH, xr-synthetic, any=PATH.
    ///
    /// A PATH is what `compare --data` reads. Where a set has no test set of its own, a share of each class is held out by seed.
    #[arg(long, value_name = "SET")]
    pub(super) data: Option<OsString>,
    /// Seed of what is drawn or generated; 1 if not given.
    #[arg(long, value_name = "N", requires = "data")]
    pub(super) seed: Option<u64>,
    /// Bring all images to N x N pixels; 100 for sc and xr, else as they are.
    #[arg(long, value_name = "N", requires = "data")]
    side: Option<usize>,
    /// How images are brought to that size.
    #[arg(long, value_enum, requires = "data")]
    fit: Option<Fit>,
    /// Read colours as gray. Without it a set is in colour if any pixel is; sc and xr are always gray.
    #[arg(long, requires = "data")]
    gray: bool,
    /// Hold out this share of each class for testing where a set has no test set of its own; 20% if not given.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, requires = "data")]
    test_share: Option<Share>,
}

impl DataOptions {
    /// Key of the draws.
    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// Loads the set that is named.
    ///
    /// Fails as [`Source::load`] does; `None` if none is named.
    pub(super) fn load(&self) -> Result<Option<Images>> {
        let Some(data) = &self.data else { return Ok(None) };
        let all = LoadOptions::default();
        let options = LoadOptions {
            side: self.side,
            fit: self.fit.unwrap_or_default(),
            gray: self.gray,
            test_share: self.test_share.map_or(all.test_share, f64::from),
            ..all
        };
        let Loaded { split, class_names, notices } = Source::parse(data)?.load(self.seed(), &options)?;
        Ok(Some(Images { contents: Contents::of(&split, &class_names), split, notices }))
    }
}

/// Sums by what they are of.
pub(super) type Checksums = BTreeMap<String, String>;

/// A data set without a configuration.
pub(super) struct Images {
    pub(super) split: Split,
    pub(super) contents: Contents,
    pub(super) notices: Vec<String>,
}

impl Images {
    /// Short name of the set.
    pub(super) fn name(&self) -> &str {
        &self.split.training.name
    }

    /// Says what was read.
    pub(super) fn announce(&self, say: &OutputOptions) {
        say.note(&self.contents.line(self.name()));
        say.notices(&self.notices);
    }

    /// What it holds, for the manifest.
    pub(super) fn data_sets(&self) -> Result<BTreeMap<String, serde_json::Value>> {
        let contents = serde_json::to_value(&self.contents)
            .map_err(|error| Error::Job(format!("cannot write the manifest: {error}")))?;
        Ok([(self.name().to_string(), contents)].into())
    }

    /// Checksums of both parts, by name.
    pub(super) fn checksums(&self) -> Checksums {
        [("training", &self.split.training), ("test", &self.split.test)]
            .map(|(part, set): (&str, &Arc<Dataset>)| (format!("{}, {part}", self.name()), set.checksum()))
            .into()
    }
}
