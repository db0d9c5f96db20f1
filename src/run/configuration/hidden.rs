//! The hidden layers of a configuration: a width and a depth, or a list.

use super::Configuration;
use crate::error::{Error, Result};
use crate::network::Architecture;

impl Configuration {
    /// Units of each hidden dense layer.
    ///
    /// Fails with [`Error::Usage`] unless either the list or a width and a depth are there, and with more layers than a
    /// network can have.
    pub fn hidden_units(&self) -> Result<Vec<usize>> {
        match (&self.hidden, self.width, self.depth) {
            (Some(hidden), None, None) => Ok(hidden.clone()),
            (None, Some(width), Some(depth)) => {
                // No list of a size that only a mistake asks for.
                Architecture::check_layers(depth)?;
                Ok(vec![width; depth])
            }
            (Some(_), ..) => Err(Error::Usage(
                "--hidden names the units of every hidden layer, so --width and --depth cannot stand beside it; leave out one \
                 or the other"
                    .into(),
            )),
            (None, ..) => Err(Error::Usage(
                "the settings name no hidden layers; give --width and --depth, or --hidden with the units of each layer".into(),
            )),
        }
    }

    /// Sizes of the focus layer's weights, `[in, out]`.
    ///
    /// Fails as [`Self::hidden_units`] does, and with fewer than two layers.
    pub fn focus_shape(&self) -> Result<[usize; 2]> {
        match *self.hidden_units()? {
            [.., inputs, outputs] => Ok([inputs, outputs]),
            _ => Err(Error::Usage("a network needs two hidden layers or more; use --depth 2 or more".into())),
        }
    }

    /// Names the units of each hidden dense layer. Layers that are all alike are kept as a width and a depth, so that the
    /// same network has the same configuration hash however it was asked for.
    pub fn set_hidden(&mut self, hidden: Vec<usize>) {
        let width = hidden.first().copied().filter(|&first| hidden.iter().all(|&units| units == first));
        (self.width, self.depth) = (width, width.map(|_| hidden.len()));
        self.hidden = Some(hidden).filter(|_| width.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::Preset;

    #[test]
    fn layers_that_are_all_alike_are_a_width_and_a_depth_however_they_were_named() {
        let mut settings = Configuration::preset(Preset::Quick);
        settings.set_hidden(vec![30; 6]);
        assert_eq!(settings, Configuration::preset(Preset::Quick));
        settings.set_hidden(vec![40, 20]);
        assert_eq!((settings.hidden_units().unwrap(), settings.focus_shape().unwrap()), (vec![40, 20], [40, 20]));
        let text = toml::to_string(&settings).unwrap();
        assert!(text.contains("hidden = [40, 20]") && !text.contains("width") && !text.contains("depth"), "{text}");
        assert_eq!(toml::from_str::<Configuration>(&text).unwrap(), settings);
    }
}
