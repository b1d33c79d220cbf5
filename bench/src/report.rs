//! Tables of measurements, as Markdown.

use std::fmt;

use crate::rounds::{Comparison, Spread};

/// How every table is to be read.
pub(crate) const INTRODUCTION: &str = "\
Written by `make bench`, which measures Understudy against what it replaces, side by side. In each round both sides run, on
the same input, and their ratio is taken; the tables show medians of all rounds, and the lowest and highest ratio. A ratio above
1 means that Understudy is better. Absolute numbers hold for this machine, and for what else it did meanwhile.
";

/// Measurements of one kind.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What is measured how, and in which unit.
    pub(crate) introduction: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// One measurement.
pub(crate) struct Row {
    pub(crate) measure: String,
    /// What the stock program needs; absent where it has no such thing.
    pub(crate) stock: Option<Spread>,
    pub(crate) ours: Spread,
    /// How many times better ours is.
    pub(crate) ratio: Option<Spread>,
    /// What will do.
    pub(crate) target: Option<Target>,
}

/// What a measurement has to show.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The least ratio.
    Ratio(f64),
    /// The most that ours may be, where there is nothing to compare with.
    AtMost(f64),
    /// The least that ours may be.
    AtLeast(f64),
}

impl Row {
    /// A comparison, and what it has to show.
    pub(crate) fn of(measure: String, Comparison { stock, ours, ratio }: Comparison, target: Target) -> Self {
        Row { measure, stock: Some(stock), ours, ratio: Some(ratio), target: Some(target) }
    }

    /// What has nothing to be compared with, and what it has to show, if anything.
    pub(crate) fn alone(measure: String, ours: Spread, target: impl Into<Option<Target>>) -> Self {
        Row { measure, stock: None, ours, ratio: None, target: target.into() }
    }

    /// Whether the median misses the target.
    pub(crate) fn misses(&self) -> bool {
        match self.target {
            None => false,
            Some(Target::Ratio(least)) => self.ratio.is_none_or(|ratio| ratio.median < least),
            Some(Target::AtMost(most)) => self.ours.median > most,
            Some(Target::AtLeast(least)) => self.ours.median < least,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.introduction)?;
        writeln!(f, "| measure | stock | ours | ratio | lowest to highest | target |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | --- | --- |")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { measure, stock, ours, ratio, target } = self;
        let absent = || "–".to_owned();
        let stock = stock.map_or_else(absent, |stock| number(stock.median));
        let ours = number(ours.median);
        let spread = ratio.map_or_else(absent, |ratio| format!("{:.2} to {:.2}", ratio.lowest, ratio.highest));
        let ratio = ratio.map_or_else(absent, |ratio| format!("{:.2}", ratio.median));
        let verdict = if self.misses() { "**missed**" } else { "met" };
        let target = target.map_or_else(absent, |target| format!("{target}, {verdict}"));
        write!(f, "| {measure} | {stock} | {ours} | {ratio} | {spread} | {target} |")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Ratio(least) => write!(f, "ratio ≥ {least}"),
            Target::AtMost(most) => write!(f, "≤ {most}"),
            Target::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// About three digits, none behind the point where it is large.
fn number(number: f64) -> String {
    let digits = match number {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{number:.digits$}")
}
