//! One panel of a figure as SVG: a message, axes, curves with bands, and the name of each curve beside it instead of a legend.

mod names;

use super::look::{GRID, INK, Look, PAPER, QUIET, Tone, dark_style};
use super::pen::{Pen, Sheet, escaped, path, px, simplified, width_of, wrapped};

/// Sizes in pixels of what a panel is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Format {
    width: f64,
    height: f64,
    /// Of axis titles, ticks and names.
    text: f64,
    /// Of the message.
    title: f64,
    /// Width of curves, and half the height of markers.
    stroke: f64,
    marker: f64,
    /// Whether message and note stand in the drawing, or beside it in the words of a page.
    headed: bool,
}

impl Format {
    /// A file of its own.
    pub const PANEL: Self =
        Self { width: 760.0, height: 520.0, text: 15.0, title: 19.0, stroke: 2.2, marker: 5.0, headed: true };
    /// A figure of a page, which a phone shows smaller.
    pub const PAGE: Self =
        Self { width: 440.0, height: 340.0, text: 13.0, title: 0.0, stroke: 2.0, marker: 4.2, headed: false };
    /// One panel on a screen of 16:9, to be read from the last row.
    pub const SLIDE: Self =
        Self { width: 1280.0, height: 720.0, text: 24.0, title: 34.0, stroke: 4.0, marker: 8.0, headed: true };

    /// Width and height in pixels.
    pub(super) fn size(self) -> (f64, f64) {
        (self.width, self.height)
    }
}

/// An axis: its ends, its ticks with their words.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) logarithmic: bool,
    pub(super) ticks: Vec<(f64, String)>,
    /// Whether it begins elsewhere than a reader expects.
    pub(super) broken: bool,
}

impl Axis {
    /// Where a value lies, 0 to 1 of the way.
    fn share(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.ln() } else { value };
        (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
    }
}

/// A point with its spread along both axes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) x_range: Option<[f64; 2]>,
    pub(super) y_range: Option<[f64; 2]>,
}

/// A curve, or points of their own.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) look: Look,
    /// By ascending x.
    pub(super) points: Vec<Place>,
    /// Points further apart than this are not joined; a method may have nothing between.
    pub(super) widest_gap: f64,
    pub(super) marked: Marked,
}

/// A place on the x axis without a height, as the time of a method that gave no network to look at.
#[derive(Clone, Debug)]
pub(super) struct Upright {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) x: f64,
    pub(super) x_range: Option<[f64; 2]>,
}

/// Which points have their marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    /// Each: there are no others.
    All,
    /// Some of a dense curve.
    Some,
    /// None: its name is enough.
    None,
}

/// What a panel shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    /// What it says, in a sentence.
    pub(super) message: String,
    /// Of what: data set, network, epochs.
    pub(super) about: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Levels to compare with, and what they are called.
    pub(super) levels: Vec<(f64, String)>,
    pub(super) series: Vec<Series>,
    /// Places without a height; where names stand beside points alone.
    pub(super) uprights: Vec<Upright>,
    /// Whether names stand beside their points, and not at the right of the panel.
    pub(super) names_beside: bool,
    /// What bands and bars mean.
    pub(super) note: String,
}

/// A drawing in progress.
struct Drawing<'a> {
    chart: &'a Chart,
    format: Format,
    /// Left, top, right and bottom of the field that curves lie in.
    field: [f64; 4],
    pen: Pen,
}

impl Chart {
    /// The panel as the text of an SVG file.
    pub(super) fn svg(&self, format: Format, sheet: Sheet) -> String {
        let (width, height) = format.size();
        let style = match sheet {
            // A page has its own.
            Sheet::Light if !format.headed => String::new(),
            Sheet::Light => format!("<style>{}</style>", dark_style()),
            Sheet::Dark => String::new(),
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" role=\"img\" aria-label=\"{}\">{style}{}</svg>\n",
            escaped(&self.message),
            self.inner(format, sheet)
        )
    }

    /// What stands inside the SVG element.
    pub(super) fn inner(&self, format: Format, sheet: Sheet) -> String {
        let mut drawing = self.drawing(format, sheet);
        drawing.sheet();
        if format.headed {
            drawing.head();
        }
        drawing.axes();
        drawing.levels();
        drawing.uprights();
        drawing.curves();
        drawing.names_of_levels();
        if self.names_beside {
            drawing.names_beside();
        } else {
            drawing.names_at_the_end();
        }
        drawing.pen.text
    }

    /// The lines above the field, of the message and of what it is about; none where they stand in the words of a page.
    fn head_lines(&self, format: Format) -> [Vec<String>; 2] {
        let width = format.width - 2.0 * format.text;
        // Bold letters are wider.
        let lines = || [wrapped(&self.message, width, 1.15 * format.title), wrapped(&self.about, width, format.text)];
        if format.headed { lines() } else { Default::default() }
    }

    /// An empty drawing with room for what stands around its field.
    fn drawing(&self, format: Format, sheet: Sheet) -> Drawing<'_> {
        let Format { width, height, text, title, headed, .. } = format;
        let [message, about] = self.head_lines(format).map(|lines| lines.len() as f64);
        let top = if headed { 2.2 * text + 1.25 * title * message + 1.3 * text * about } else { text };
        let below = if headed { 4.7 * text } else { 3.3 * text };
        let names = self.series.iter().map(|one| width_of(&one.name, text)).fold(0.0, f64::max);
        let right = if self.names_beside { 2.2 * text } else { names + 2.8 * text };
        // The title of the axis stands left of its ticks.
        let ticks = self.y.ticks.iter().map(|(_, words)| width_of(words, text)).fold(0.0, f64::max);
        let left = (ticks + 2.2 * text).max(4.4 * text);
        Drawing { chart: self, format, field: [left, top, width - right, height - below], pen: Pen::new(sheet) }
    }
}

impl Drawing<'_> {
    fn x(&self, value: f64) -> f64 {
        self.field[0] + self.chart.x.share(value) * (self.field[2] - self.field[0])
    }

    fn y(&self, value: f64) -> f64 {
        self.field[3] - self.chart.y.share(value).clamp(0.0, 1.0) * (self.field[3] - self.field[1])
    }

    fn sheet(&mut self) {
        let (width, height) = self.format.size();
        let fill = self.pen.fill(PAPER);
        self.pen.push(&format!("<rect width=\"{width}\" height=\"{height}\" {fill}/>"));
    }

    fn head(&mut self) {
        let Format { text, title, height, .. } = self.format;
        let left = text;
        let [message, about] = self.chart.head_lines(self.format);
        for (index, line) in (1..).zip(&message) {
            self.pen.words(
                (left, text / 2.0 + 1.2 * title * f64::from(index)),
                line,
                title,
                INK,
                "start",
                " font-weight=\"bold\"",
            );
        }
        let below = text / 2.0 + 1.2 * title * message.len() as f64 + 0.3 * text;
        for (index, line) in (1..).zip(&about) {
            self.pen.words((left, below + 1.3 * text * f64::from(index)), line, text, QUIET, "start", "");
        }
        self.pen.words((left, height - 0.6 * text), &self.chart.note, 0.87 * text, QUIET, "start", "");
    }

    fn axes(&mut self) {
        let (chart, text) = (self.chart, self.format.text);
        let [left, top, right, bottom] = self.field;
        for (value, words) in &chart.y.ticks {
            let y = self.y(*value);
            self.pen.line(&[(left, y), (right, y)], GRID, 1.0, "");
            self.pen.words((left - 0.6 * text, y + 0.35 * text), words, text, QUIET, "end", "");
        }
        for (value, words) in &chart.x.ticks {
            let x = self.x(*value);
            self.pen.line(&[(x, top), (x, bottom)], GRID, 1.0, "");
            self.pen.words((x, bottom + 1.4 * text), words, text, QUIET, "middle", "");
        }
        self.pen.line(&[(left, bottom), (right, bottom)], QUIET, 1.2, "");
        if chart.x.broken {
            // Two strokes through the axis: it does not begin at 0.
            for shift in [6.0, 12.0] {
                self.pen.line(
                    &[(left + shift - 3.0, bottom + 6.0), (left + shift + 3.0, bottom - 6.0)],
                    QUIET,
                    1.4,
                    "",
                );
            }
        }
        // Below the middle of the field, unless the title would begin left of the sheet.
        let middle = ((left + right) / 2.0).max(0.55 * width_of(&chart.x.title, text));
        self.pen.words((middle, bottom + 2.8 * text), &chart.x.title, text, INK, "middle", "");
        let (x, y) = (1.2 * text, (top + bottom) / 2.0);
        let turned = format!(" transform=\"rotate(-90 {} {})\"", px(x), px(y));
        self.pen.words((x, y), &chart.y.title, text, INK, "middle", &turned);
    }

    fn levels(&mut self) {
        let [left, _, right, _] = self.field;
        for (value, _) in &self.chart.levels {
            let y = self.y(*value);
            self.pen.line(&[(left, y), (right, y)], QUIET, 1.4, "2 4");
        }
    }

    fn uprights(&mut self) {
        let (chart, [_, top, _, bottom]) = (self.chart, self.field);
        for one in &chart.uprights {
            let [low, high] = one.x_range.unwrap_or([one.x; 2]).map(|x| self.x(x.clamp(chart.x.low, chart.x.high)));
            let (y, height) = (px(top), px(bottom - top));
            let fill = self.pen.fill(one.look.tone);
            let place = format!("x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{height}\"", px(low), px(high - low));
            self.pen.push(&format!("<rect {place} {fill} fill-opacity=\"0.13\"/>"));
            let x = self.x(one.x);
            self.pen.line(&[(x, top), (x, bottom)], one.look.tone, self.format.stroke, "6 4");
        }
    }

    fn marker(&mut self, place: (f64, f64), look: Look) {
        self.pen.marker(place, look, self.format.marker, 0.6 * self.format.stroke);
    }

    fn curves(&mut self) {
        // What comes first is most looked at: it lies above the others.
        let chart = self.chart;
        for one in chart.series.iter().rev() {
            self.band(one);
        }
        for (index, one) in chart.series.iter().enumerate().rev() {
            let places: Vec<(f64, f64)> = one.points.iter().map(|point| (self.x(point.x), self.y(point.y))).collect();
            let mut start = 0;
            for end in 1..=places.len() {
                let goes_on = end < places.len() && one.points[end].x - one.points[end - 1].x <= one.widest_gap;
                if goes_on {
                    continue;
                }
                if end - start > 1 {
                    self.pen.line(&simplified(&places[start..end]), one.look.tone, self.format.stroke, one.look.dash);
                }
                start = end;
            }
            for point in &one.points {
                if chart.names_beside {
                    self.bars(point, one.look.tone);
                }
            }
            let step = 5.2 * self.format.text;
            let mut next =
                places.first().map_or(0.0, |first| first.0 + step * (index as f64 + 0.5) / chart.series.len() as f64);
            for place in &places {
                if one.marked == Marked::All || (one.marked == Marked::Some && place.0 >= next) {
                    self.marker(*place, one.look);
                    next = place.0 + step;
                }
            }
        }
    }

    /// The spread of a curve, as a band where it is joined.
    fn band(&mut self, one: &Series) {
        if self.chart.names_beside {
            return;
        }
        let spread: Vec<(f64, [f64; 2])> =
            one.points.iter().filter_map(|point| Some((point.x, point.y_range?))).collect();
        for part in spread.chunk_by(|a, b| b.0 - a.0 <= one.widest_gap) {
            let edge = |side: usize| {
                let places = part.iter().map(|(x, range)| (self.x(*x), self.y(range[side])));
                simplified(&places.collect::<Vec<_>>())
            };
            let outline: Vec<(f64, f64)> = edge(0).into_iter().chain(edge(1).into_iter().rev()).collect();
            if part.len() > 1 {
                let fill = self.pen.fill(one.look.tone);
                self.pen.push(&format!("<polygon points=\"{}\" {fill} fill-opacity=\"0.13\"/>", path(&outline)));
            } else {
                self.pen.line(&outline, one.look.tone, 1.2, "");
            }
        }
    }

    fn bars(&mut self, point: &Place, tone: Tone) {
        let (x, y) = (self.x(point.x), self.y(point.y));
        if let Some([low, high]) = point.y_range {
            self.pen.line(&[(x, self.y(low)), (x, self.y(high))], tone, 1.4, "");
        }
        if let Some([low, high]) = point.x_range {
            self.pen.line(
                &[(self.x(low.max(self.chart.x.low)), y), (self.x(high.min(self.chart.x.high)), y)],
                tone,
                1.4,
                "",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::{Method, Repair};

    pub(super) fn chart() -> Chart {
        let axis = |title: &str| Axis {
            title: title.into(),
            low: 0.0,
            high: 100.0,
            ticks: vec![(0.0, "0".into()), (50.0, "50".into())],
            ..Axis::default()
        };
        let series = |method, height: f64| Series {
            name: format!("{method}"),
            look: Look::new(method, Repair::Cut),
            points: [0.0, 5.0, 60.0, 65.0]
                .map(|x| Place { x, y: height, x_range: None, y_range: Some([height - 2.0, height + 2.0]) })
                .to_vec(),
            widest_gap: 10.0,
            marked: Marked::All,
        };
        Chart {
            message: "What <is> said".into(),
            about: "mnist".into(),
            x: axis("Zero weights (%)"),
            y: axis("Test accuracy (%)"),
            levels: vec![(90.0, "trained".into())],
            series: vec![series(Method::Hold, 50.0), series(Method::Magnitude, 50.5)],
            note: "band: sd".into(),
            ..Chart::default()
        }
    }

    #[test]
    fn a_gap_is_not_bridged_and_names_are_no_markup() {
        let svg = chart().svg(Format::PANEL, Sheet::Light);
        let red = Look::new(Method::Hold, Repair::Cut).tone;
        let lines = |svg: &str| svg.matches(&format!("class=\"s-{}\" fill=\"none\"", red.name)).count();
        // Two parts of the curve, and the line to its name.
        assert_eq!(lines(&svg), 3);
        let mut joined = chart();
        joined.series[0].widest_gap = 100.0;
        assert_eq!(lines(&joined.svg(Format::PANEL, Sheet::Light)), 2);
        assert!(svg.contains("What &lt;is&gt; said") && !svg.contains("<is>"));
    }

    #[test]
    fn a_light_sheet_turns_dark_with_its_page_and_a_dark_one_is_dark() {
        let [light, dark] = [Sheet::Light, Sheet::Dark].map(|sheet| chart().svg(Format::SLIDE, sheet));
        assert!(light.contains("prefers-color-scheme:dark") && light.contains(&format!("fill=\"{}\"", PAPER.light)));
        assert!(!dark.contains(&format!("fill=\"{}\"", PAPER.light)) && dark.contains("width=\"1280\" height=\"720\""));
    }
}
