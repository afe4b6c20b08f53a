//! The report in three forms: a page to read, numbers for a program, and a picture.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::plot;
use crate::sample::{SERIES, Sample};
use crate::tally::Tally;
use crate::verdict::{Promise, median};

pub struct Report<'a> {
    pub minutes: f64,
    pub samples: &'a [Sample],
    pub promises: &'a [Promise],
}

impl Report<'_> {
    /// Writes the three files into the folder; gives the page.
    pub fn write(&self, folder: &Path, tally: &Tally) -> String {
        let page = self.page(tally);
        std::fs::create_dir_all(folder).expect("the folder of the report");
        for (name, text) in [
            ("soak.md", page.clone()),
            ("soak.json", format!("{:#}\n", self.json(tally))),
            ("soak.svg", plot::svg(self.samples)),
        ] {
            std::fs::write(folder.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        page
    }

    fn kept(&self) -> bool {
        self.promises.iter().all(|promise| promise.kept)
    }

    fn page(&self, tally: &Tally) -> String {
        let verdict = if self.kept() { "held" } else { "FAILED" };
        let mut page = format!("Soak of {:.1} minutes: {verdict}\n\n", self.minutes);
        page += "| Promise | Measured | Limit | |\n|---|---|---|---|\n";
        for promise in self.promises {
            let word = if promise.kept { "held" } else { "FAILED" };
            line(&mut page, &[&promise.what, &promise.measured, &promise.limit, word]);
        }
        page += "\n| Under load | First | Median | Highest | Last |\n|---|---|---|---|---|\n";
        for (what, name) in SERIES {
            let values: Vec<f64> = self.samples.iter().map(|sample| sample.get(what)).collect();
            let highest = values.iter().copied().fold(0.0, f64::max);
            let ends = [values.first(), values.last()].map(|value| value.copied().unwrap_or_default());
            let cells = [ends[0], median(&values), highest, ends[1]].map(|value| format!("{value:.1}"));
            line(&mut page, &[name, &cells[0], &cells[1], &cells[2], &cells[3]]);
        }
        page += "\n| Done | Times |\n|---|---|\n";
        for (what, count) in tally.all() {
            line(&mut page, &[what, &count.to_string()]);
        }
        for text in tally.failures().1 {
            write!(page, "\n* {}\n", text.replace('\n', " ")).expect("a string takes everything");
        }
        page
    }

    fn json(&self, tally: &Tally) -> Value {
        let promise = |promise: &Promise| json!({ "what": promise.what, "measured": promise.measured, "limit": promise.limit, "kept": promise.kept });
        let sample = |sample: &Sample| {
            let named = SERIES.iter().map(|(what, name)| ((*name).to_owned(), json!(sample.get(*what))));
            let mut row: serde_json::Map<String, Value> = named.collect();
            row.insert("at, s".to_owned(), json!(sample.at));
            Value::Object(row)
        };
        json!({
            "minutes": self.minutes,
            "held": self.kept(),
            "promises": self.promises.iter().map(promise).collect::<Vec<_>>(),
            "done": tally.all().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "failures": tally.failures().1,
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    }
}

fn line(page: &mut String, cells: &[&str]) {
    writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes everything");
}
