//! Bars, histograms and plots from block characters.
//!
//! What must hold: every line has the width asked for; time and space are linear in the input and bounded by the width,
//! whatever the values (NaN and negative ones count as 0).

use super::text::{clip, finite, percent, ratio};
use hdrhistogram::Histogram;

/// Most rows of a histogram; beyond it buckets become decades.
const ROWS_MAX: usize = 15;
/// Linear buckets where all values lie within one power of ten.
const LINEAR_ROWS: u64 = 10;

/// Eighths of a block, growing to the right.
const RIGHT: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// Eighths of a block, growing upwards.
const UP: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of `width` columns for a share of 0 to 1, padded with spaces. What is not nothing is seen.
pub(super) fn bar(share: f64, width: usize) -> String {
    let share = finite(share).clamp(0.0, 1.0);
    let mut eighths = (share * width as f64 * 8.0).round() as usize;
    if share > 0.0 {
        eighths = eighths.max(1);
    }
    let mut out = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        out.push(RIGHT[eighths % 8 - 1]);
    }
    pad(&out, width)
}

/// `text` cut or padded on the right to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{:<width$}", clip(text, width))
}

/// `values` over time as columns, `height` rows of `width` columns; the top is the largest value.
pub(super) fn plot(values: &[f64], width: usize, height: usize) -> Vec<String> {
    let columns = resample(values, width);
    let top = columns.iter().copied().fold(0.0, f64::max);
    let eighths: Vec<usize> = columns
        .iter()
        .map(|&v| match v > 0.0 {
            true => ((v / top * (height * 8) as f64).round() as usize).max(1),
            false => 0,
        })
        .collect();
    (0..height)
        .rev()
        .map(|row| {
            let line: String = eighths
                .iter()
                .map(|&e| match e.saturating_sub(row * 8) {
                    0 => ' ',
                    n => UP[n.min(8) - 1],
                })
                .collect();
            pad(&line, width)
        })
        .collect()
}

/// `values` as `width` columns: averages where there are more, repetitions where there are fewer.
fn resample(values: &[f64], width: usize) -> Vec<f64> {
    let n = values.len();
    if n == 0 {
        return Vec::new();
    }
    (0..width)
        .map(|column| {
            let from = column * n / width;
            let until = ((column + 1) * n / width).max(from + 1);
            let part = &values[from..until];
            let sum: f64 = part.iter().map(|&v| finite(v).max(0.0)).sum();
            finite(sum / part.len() as f64)
        })
        .collect()
}

/// A row per bucket: its lower edge through `label`, a bar, its share; each `width` columns wide.
pub(super) fn histogram(
    histogram: &Histogram<u64>,
    width: usize,
    label: impl Fn(u64) -> String,
) -> Vec<String> {
    // Cells count at their lower end, the last one too: no empty row comes behind it.
    let max = histogram.lowest_equivalent(histogram.max());
    let edges = edges(histogram.min(), max);
    let counts = bucket(histogram, &edges);
    let largest = counts.iter().copied().max().unwrap_or(0);
    let (label_width, share_width) = (11, 8);
    let bar_width = width.saturating_sub(label_width + share_width + 3);
    edges
        .iter()
        .zip(&counts)
        .map(|(&edge, &count)| {
            let share = percent(ratio(count, histogram.len()));
            let row = format!(
                "{:>label_width$} │{} {share:>share_width$}",
                clip(&format!("≥ {}", label(edge)), label_width),
                bar(ratio(count, largest), bar_width),
            );
            pad(&row, width)
        })
        .collect()
}

/// Counts between the edges; what lies below the first belongs to it.
fn bucket(histogram: &Histogram<u64>, edges: &[u64]) -> Vec<u64> {
    let mut counts = vec![0u64; edges.len()];
    for value in histogram.iter_recorded() {
        // One value per cell of the histogram, so that no count is in two buckets.
        let cell = histogram.lowest_equivalent(value.value_iterated_to());
        let at = edges.partition_point(|&e| e <= cell).saturating_sub(1);
        if let Some(count) = counts.get_mut(at) {
            *count = count.saturating_add(value.count_since_last_iteration());
        }
    }
    counts
}

/// Lower edges of buckets from `min` to `max`: equal steps within a power of ten, else 1, 2, 5, else decades.
fn edges(min: u64, max: u64) -> Vec<u64> {
    let max = max.max(min);
    if max / 10 <= min {
        let step = nice_step((max - min).div_ceil(LINEAR_ROWS));
        let first = min / step * step;
        let rows = (max - first) / step + 1;
        return (0..rows).map(|i| first + i * step).collect();
    }
    let all = [&[1, 2, 5][..], &[1][..]].map(|digits| {
        let steps = (0..=19u32).flat_map(|e| {
            digits
                .iter()
                .map_while(move |d| 10u64.checked_pow(e)?.checked_mul(*d))
        });
        let edges: Vec<u64> = std::iter::once(0).chain(steps).collect();
        let first = edges.partition_point(|&e| e <= min).saturating_sub(1);
        let last = edges.partition_point(|&e| e <= max);
        edges[first..last].to_vec()
    });
    let [fine, coarse] = all;
    if fine.len() <= ROWS_MAX { fine } else { coarse }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
fn nice_step(step: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for digit in [1, 2, 5] {
            let nice = power.saturating_mul(digit);
            if nice >= step {
                return nice;
            }
        }
        power = power.saturating_mul(10); // ends: u64::MAX is at least any step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: &[u64]) -> Histogram<u64> {
        let mut h = super::super::recorder::latency_histogram();
        for &v in values {
            h.saturating_record(v);
        }
        h
    }

    #[test]
    fn bars_have_their_width() {
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(1e-12, 3), "▏  ");
        assert_eq!(bar(0.0, 3), "   ");
        for share in [f64::NAN, -1.0, 7.0, 0.33, 1.0] {
            assert_eq!(bar(share, 9).chars().count(), 9);
        }
    }

    #[test]
    fn a_plot_rises_to_its_top() {
        let rows = plot(&[0.0, 1.0, 2.0, 4.0], 8, 2);
        assert_eq!(rows, ["      ██", "  ▄▄████"]);
        for odd in [&[][..], &[f64::NAN, f64::INFINITY, -5.0], &[0.0; 1000]] {
            let rows = plot(odd, 30, 4);
            assert!(rows.iter().all(|r| r.chars().count() == 30));
        }
    }

    #[test]
    fn edges_are_few_ascending_and_cover_all() {
        let probes = [
            0,
            1,
            9,
            10,
            99,
            1_000,
            7_777,
            1 << 40,
            u64::MAX - 1,
            u64::MAX,
        ];
        for min in probes {
            for max in probes {
                let edges = edges(min, max);
                assert!(!edges.is_empty() && edges.len() <= 22, "{min} {max}");
                assert!(edges[0] <= min, "{min} {max}");
                assert!(edges.windows(2).all(|w| w[0] < w[1]));
            }
        }
        assert_eq!(edges(100, 3_000), [100, 200, 500, 1_000, 2_000]);
        assert_eq!(nice_step(0), 1);
    }

    #[test]
    fn buckets_count_each_value_once() {
        for values in [&[5u64][..], &[1, 100, 10_000, 199, 200, 201, u64::MAX], &[]] {
            let h = filled(values);
            let counts = bucket(&h, &edges(h.min(), h.max()));
            assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
            let rows = histogram(&h, 46, |v| v.to_string());
            assert!(rows.iter().all(|r| r.chars().count() == 46));
        }
    }
}
