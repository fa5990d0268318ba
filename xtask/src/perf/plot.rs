//! The ratios of a run as an SVG picture: a bar a row, on a logarithmic axis, with marks for what is wanted.

use crate::perf::report::measured;
use crate::perf::rows::{Compare, Row};
use crate::perf::saved::Run;

const LABELS: f64 = 170.0;
const WIDTH: f64 = 560.0;
const LINE: f64 = 20.0;
const TOP: f64 = 64.0;
/// Room at the right for the figures, where no mark hides them.
const RIGHT: f64 = 60.0;

/// The axis from the power of two below the smallest value to the one above the largest.
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        // 0.5 to 4 is always there: 1 is QEMU, and 2 the smallest that is wanted of most rows.
        values.filter(|value| value.is_finite() && *value > 0.0).fold(Self { low: -1, high: 2 }, |axis, value| Self {
            low: axis.low.min(value.log2().floor() as i32),
            high: axis.high.max(value.log2().ceil() as i32),
        })
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.log2() - f64::from(self.low)) / f64::from(self.high - self.low);
        LABELS + WIDTH * part.clamp(0.0, 1.0)
    }
}

/// The picture; rows without a ratio are left out.
pub fn svg(run: &Run) -> String {
    let rows: Vec<(&Row, f64)> =
        measured(run).filter_map(|row| Some((row, run.values.ratio(row).filter(|ratio| *ratio > 0.0)?))).collect();
    let marks = rows.iter().flat_map(|(row, _)| row.wanted).flat_map(|(least, aim)| [Some(least), aim]).flatten();
    let axis = Axis::over(rows.iter().map(|(_, ratio)| *ratio).chain(marks));
    let bottom = TOP + LINE * rows.len() as f64;
    let (width, height) = (LABELS + WIDTH + RIGHT, bottom + 16.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\" fill=\"#222222\">Times faster than QEMU ({}, {})</text>\n\
         <text x=\"10\" y=\"36\" fill=\"#555555\">line: at least; dashed: aim; two vCPUs: part of what two host processes gain</text>\n",
        escaped(&run.guest),
        escaped(&run.accel)
    );
    for power in axis.low..=axis.high {
        let value = f64::from(power).exp2();
        let (x, stroke) = (axis.x(value), if power == 0 { "#222222" } else { "#dddddd" });
        svg.push_str(&format!(
            "<line x1=\"{x:.1}\" y1=\"{TOP:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"{stroke}\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{value}</text>\n",
            TOP - 6.0
        ));
    }
    for (index, (row, ratio)) in rows.iter().enumerate() {
        let top = TOP + LINE * index as f64;
        svg.push_str(&bar(&axis, row, *ratio, top));
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(axis: &Axis, row: &Row, ratio: f64, top: f64) -> String {
    let (zero, end) = (axis.x(1.0), axis.x(ratio));
    let below = row.wanted.is_some_and(|(least, _)| ratio < least);
    let fill = match row.compare {
        _ if below => "#c0504d",
        Compare::Mean(_) => "#2f5d8a",
        _ => "#6f9fcf",
    };
    let mut text = format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#222222\">{}</text>\n\
         <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>\n",
        LABELS - 8.0,
        top + 14.0,
        escaped(row.name),
        zero.min(end),
        top + 4.0,
        (end - zero).abs().max(1.0),
        LINE - 8.0
    );
    let (least, aim) = row.wanted.map_or((None, None), |(least, aim)| (Some(least), aim));
    for (value, dashes) in [(least, ""), (aim, " stroke-dasharray=\"3 2\"")] {
        let Some(x) = value.map(|value| axis.x(value)) else { continue };
        text.push_str(&format!(
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#222222\" stroke-width=\"2\"{dashes}/>\n",
            top + 2.0,
            top + LINE - 2.0
        ));
    }
    text.push_str(&format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#222222\">{ratio:.2}</text>\n",
        LABELS + WIDTH + RIGHT - 12.0,
        top + 14.0
    ));
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::rows::{ROWS, Side, Values};

    #[test]
    fn the_axis_holds_every_value() {
        let axis = Axis::over([0.3, 5.0, f64::NAN, 0.0].into_iter());
        assert_eq!((axis.low, axis.high), (-2, 3));
        assert_eq!(axis.x(0.25), LABELS);
        assert_eq!(axis.x(8.0), LABELS + WIDTH);
        assert_eq!(axis.x(1.0), LABELS + WIDTH * 0.4);
    }

    #[test]
    fn a_bar_a_ratio_and_balanced_tags() {
        let mut values = Values::default();
        for row in ROWS {
            values.add(row.name, Side::Aileron, 2.0);
            values.add(row.name, Side::Qemu, 5.0);
        }
        let run = Run {
            format: Run::FORMAT,
            date: String::new(),
            guest: "a <guest>".to_owned(),
            accel: "jit".to_owned(),
            commit: String::new(),
            qemu: String::new(),
            host: String::new(),
            load: [0.0; 2],
            runs: 1,
            values,
        };
        let svg = svg(&run);
        let with_ratio = ROWS.iter().filter(|row| run.values.ratio(row).is_some()).count();
        assert_eq!(svg.matches("<rect x=").count(), with_ratio);
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.contains("a &lt;guest&gt;") && svg.trim_end().ends_with("</svg>"));
    }
}
