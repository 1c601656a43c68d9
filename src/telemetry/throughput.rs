//! Pages and bytes a second: their distributions and their course over time.
//!
//! What must hold: a sample is a difference of totals over the time that really lay between, so that a late telemetry
//! thread shows no false peaks; the course has at most [`SERIES_POINTS_MAX`] points, however long the run.

use crate::limits::SERIES_POINTS_MAX;
use crate::time::{SECOND, Tick};
use hdrhistogram::Histogram;

/// Largest rate told apart: a terabyte a second.
const RATE_MAX: u64 = 1_000_000_000_000;
/// Digits of the rates.
const DIGITS: u8 = 3;

fn rate_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, RATE_MAX, DIGITS).expect("constant bounds are valid")
}

/// Throughput of this run.
#[derive(Clone, Debug)]
pub(super) struct Throughput {
    /// Whole pages a second, one value per second.
    pub pages_per_s: Histogram<u64>,
    /// Bytes a second, one value per second.
    pub bytes_per_s: Histogram<u64>,
    /// Both over time.
    pub course: Course,
    last: (Tick, u64, u64),
}

/// Rates of one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Pages a second.
    pub pages: f64,
    /// Bytes a second.
    pub bytes: f64,
}

impl Throughput {
    /// Starts at `now` with the totals of earlier runs.
    pub fn new(now: Tick, pages: u64, bytes: u64) -> Self {
        Self {
            pages_per_s: rate_histogram(),
            bytes_per_s: rate_histogram(),
            course: Course::new(SECOND),
            last: (now, pages, bytes),
        }
    }

    /// Takes the totals at `now`; the rates since the last call. Totals that went back count as no progress.
    pub fn sample(&mut self, now: Tick, pages: u64, bytes: u64) -> Rates {
        let span = now.saturating_sub(self.last.0);
        if span == 0 {
            return Rates::default();
        }
        let pages_new = pages.saturating_sub(self.last.1);
        let bytes_new = bytes.saturating_sub(self.last.2);
        self.last = (now, pages, bytes);
        let per_s = SECOND as f64 / span as f64;
        let rates = Rates {
            pages: pages_new as f64 * per_s,
            bytes: bytes_new as f64 * per_s,
        };
        self.pages_per_s
            .saturating_record(rates.pages.round() as u64);
        self.bytes_per_s
            .saturating_record(rates.bytes.round() as u64);
        self.course.add(span, pages_new, bytes_new);
        rates
    }

    /// The last totals of a run. What remains of less than half a second is no rate of its own, unless it is all there is.
    pub fn close(&mut self, now: Tick, pages: u64, bytes: u64) {
        let span = now.saturating_sub(self.last.0);
        if span > SECOND / 2 || self.pages_per_s.is_empty() {
            self.sample(now, pages, bytes);
        } else {
            let pages_new = pages.saturating_sub(self.last.1);
            self.course
                .extend(span, pages_new, bytes.saturating_sub(self.last.2));
        }
    }
}

/// Sums over equal spans; when their number is used up, neighbours are joined and spans double.
#[derive(Clone, Debug)]
pub(super) struct Course {
    span: Tick,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    span: Tick,
    pages: u64,
    bytes: u64,
}

impl Point {
    fn join(&mut self, other: Point) {
        self.span = self.span.saturating_add(other.span);
        self.pages = self.pages.saturating_add(other.pages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn per_s(&self, sum: u64) -> f64 {
        if self.span == 0 {
            return 0.0;
        }
        sum as f64 * SECOND as f64 / self.span as f64
    }
}

impl Course {
    fn new(span: Tick) -> Self {
        Self {
            span,
            points: Vec::with_capacity(SERIES_POINTS_MAX),
        }
    }

    fn add(&mut self, span: Tick, pages: u64, bytes: u64) {
        let point = Point { span, pages, bytes };
        match self.points.last_mut() {
            // A sample a little short of its second begins a new point all the same.
            Some(last) if last.span + self.span / 4 < self.span => last.join(point),
            _ => {
                if self.points.len() == SERIES_POINTS_MAX {
                    self.halve();
                }
                self.points.push(point);
            }
        }
    }

    /// Adds to the last point.
    fn extend(&mut self, span: Tick, pages: u64, bytes: u64) {
        if let Some(last) = self.points.last_mut() {
            last.join(Point { span, pages, bytes });
        }
    }

    fn halve(&mut self) {
        for i in 0..self.points.len() / 2 {
            let mut joined = self.points[2 * i];
            joined.join(self.points[2 * i + 1]);
            self.points[i] = joined;
        }
        self.points.truncate(self.points.len() / 2);
        self.span = self.span.saturating_mul(2);
    }

    /// Seconds that a point covers.
    pub fn step_s(&self) -> f64 {
        self.span as f64 / SECOND as f64
    }

    /// Pages a second, point by point.
    pub fn pages_per_s(&self) -> impl Iterator<Item = f64> + '_ {
        self.points.iter().map(|p| p.per_s(p.pages))
    }

    /// Bytes a second, point by point.
    pub fn bytes_per_s(&self) -> impl Iterator<Item = f64> + '_ {
        self.points.iter().map(|p| p.per_s(p.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_sample_is_an_average_and_no_peak() {
        let mut throughput = Throughput::new(7 * SECOND, 1_000, 0);
        assert_eq!(throughput.sample(8 * SECOND, 1_100, 0).pages, 100.0);
        assert_eq!(throughput.sample(10 * SECOND, 1_300, 0).pages, 100.0);
        assert_eq!(throughput.sample(10 * SECOND, 9_000, 0), Rates::default());
        assert_eq!(throughput.pages_per_s.max(), 100);
        assert_eq!(throughput.pages_per_s.len(), 2);
    }

    #[test]
    fn a_short_run_has_a_rate_and_a_short_rest_has_none() {
        let mut throughput = Throughput::new(0, 0, 0);
        throughput.close(SECOND / 4, 25, 0);
        assert_eq!(throughput.pages_per_s.max(), 100);
        let mut throughput = Throughput::new(0, 0, 0);
        throughput.sample(SECOND, 100, 0);
        throughput.close(SECOND + 1_000, 200, 0);
        assert_eq!(throughput.pages_per_s.len(), 1);
        assert_eq!(throughput.course.points[0].pages, 200);
    }

    #[test]
    fn the_course_stays_bounded_and_keeps_the_sum() {
        let mut throughput = Throughput::new(0, 0, 0);
        const SECONDS: u64 = 10_000;
        for s in 1..=SECONDS {
            // Jitter as a telemetry thread has it.
            throughput.sample(s * SECOND + s % 7 * 1_000_000, s * 50, s * 1_000);
        }
        let course = &throughput.course;
        assert!(course.points.len() <= SERIES_POINTS_MAX);
        assert!(course.points.len() >= SERIES_POINTS_MAX / 2);
        let pages: u64 = course.points.iter().map(|p| p.pages).sum();
        assert_eq!(pages, SECONDS * 50);
        assert!(course.pages_per_s().all(|r| (r - 50.0).abs() < 1.0));
    }
}
