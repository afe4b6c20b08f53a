//! The samples as a picture: one small panel for each series, all over the same time.

use std::fmt::Write;

use crate::sample::{SERIES, Sample};

const WIDTH: f64 = 900.0;
const PANEL: f64 = 90.0;
/// Room for the words on the left.
const LEFT: f64 = 190.0;
const MARGIN: f64 = 12.0;

pub fn svg(samples: &[Sample]) -> String {
    let height = PANEL * SERIES.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let start = samples.first().map_or(0.0, |sample| sample.at);
    let time = samples.last().map_or(1.0, |sample| (sample.at - start).max(1.0));
    for (number, (what, name)) in SERIES.iter().enumerate() {
        let values = samples.iter().map(|sample| (sample.at - start, sample.get(*what)));
        panel(&mut svg, PANEL * number as f64, name, time, &values.collect::<Vec<_>>());
    }
    svg + "</svg>\n"
}

/// One series between its lowest and its highest value, which stand beside it.
fn panel(svg: &mut String, top: f64, name: &str, time: f64, points: &[(f64, f64)]) {
    let low = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min).min(1e12);
    let high = points.iter().map(|point| point.1).fold(low, f64::max);
    let (bottom, room) = (top + PANEL - MARGIN, PANEL - 2.0 * MARGIN);
    let place = |(at, value): &(f64, f64)| {
        let x = LEFT + at / time * (WIDTH - LEFT - MARGIN);
        let y = bottom - (value - low) / (high - low).max(1e-9) * room;
        format!("{x:.1},{y:.1}")
    };
    let line: Vec<String> = points.iter().map(place).collect();
    let name = name.replace('`', "");
    let (middle, upper) = (top + PANEL / 2.0, top + MARGIN);
    writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{middle}\">{name}</text>\n\
         <text x=\"{LEFT}\" y=\"{upper}\" text-anchor=\"end\" fill=\"gray\" dx=\"-4\" dy=\"6\">{high:.1}</text>\n\
         <text x=\"{LEFT}\" y=\"{bottom}\" text-anchor=\"end\" fill=\"gray\" dx=\"-4\">{low:.1}</text>\n\
         <path d=\"M{LEFT} {bottom}H{WIDTH}\" stroke=\"lightgray\"/>\n\
         <polyline fill=\"none\" stroke=\"steelblue\" points=\"{}\"/>",
        line.join(" ")
    )
    .expect("a string takes everything");
}
