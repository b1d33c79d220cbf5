//! Two things measured side by side.
//!
//! Other work on the machine, its clock rate and its temperature change from second to second. So both sides run in
//! every round, close to each other, and what is compared is the ratio within a round. Of all rounds the median
//! counts, and the extremes are shown.

use std::time::Duration;

use anyhow::Result;

/// The median of some measurements, with the extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of at least one number; of an even count, the upper one of the two in the middle is the median.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let (lowest, highest) = (numbers[0], numbers[numbers.len() - 1]);
        Spread { lowest, median: numbers[numbers.len() / 2], highest }
    }
}

impl Spread {
    /// Of ratios: those of the other side to this one.
    pub(crate) fn inverse(self) -> Self {
        Spread { lowest: 1.0 / self.highest, median: 1.0 / self.median, highest: 1.0 / self.lowest }
    }
}

/// How long each side took, in microseconds or as a rate, and how many times faster ours is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) stock: Spread,
    pub(crate) ours: Spread,
    pub(crate) ratio: Spread,
}

impl Comparison {
    /// The times of `count` things as how many of them are done in a second.
    pub(crate) fn per_second(self, count: usize) -> Self {
        let rate = |times: Spread| Spread {
            lowest: count as f64 * 1e6 / times.highest,
            median: count as f64 * 1e6 / times.median,
            highest: count as f64 * 1e6 / times.lowest,
        };
        Comparison { stock: rate(self.stock), ours: rate(self.ours), ratio: self.ratio }
    }
}

/// Measures both sides once in each of `rounds`, which must not be zero. Which side begins alternates.
///
/// # Errors
///
/// The first failure of either side.
pub(crate) fn compare(
    rounds: usize,
    mut stock: impl FnMut() -> Result<Duration>,
    mut ours: impl FnMut() -> Result<Duration>,
) -> Result<Comparison> {
    let (mut stock_times, mut our_times) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (stock, ours) = if round % 2 == 0 {
            let stock = stock()?;
            (stock, ours()?)
        } else {
            let ours = ours()?;
            (stock()?, ours)
        };
        stock_times.push(micros(stock));
        our_times.push(micros(ours));
    }
    let ratios = stock_times.iter().zip(&our_times).map(|(stock, ours)| stock / ours).collect();
    Ok(Comparison { stock: Spread::of(stock_times), ours: Spread::of(our_times), ratio: Spread::of(ratios) })
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_an_outlier() {
        let spread = Spread::of(vec![3.0, 1000.0, 1.0, 2.0, 2.0]);
        assert_eq!(spread, Spread { lowest: 1.0, median: 2.0, highest: 1000.0 });
    }

    #[test]
    fn rates_are_higher_where_times_are_shorter() {
        let comparison = compare(1, || Ok(Duration::from_millis(4)), || Ok(Duration::from_millis(2))).unwrap();
        let rates = comparison.per_second(20);
        assert_eq!((rates.stock.median, rates.ours.median, rates.ratio.median), (5000.0, 10_000.0, 2.0));
    }

    #[test]
    fn ratios_are_those_within_a_round() {
        let mut stock = [10, 40].into_iter().map(Duration::from_micros);
        let mut ours = [5, 10].into_iter().map(Duration::from_micros);
        let comparison = compare(2, || Ok(stock.next().unwrap()), || Ok(ours.next().unwrap())).unwrap();
        assert_eq!((comparison.ratio.lowest, comparison.ratio.highest), (2.0, 4.0));
    }
}
