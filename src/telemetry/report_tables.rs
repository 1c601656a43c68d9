//! Tables of the report: where the URLs are, how they ended, which hosts and types there were.
//!
//! Names in them come from servers: all go through [`fit`], which escapes and cuts.

use super::charts::{bar, pad};
use super::report::{Counts, Report};
use super::sheet::{HALF, Sheet};
use super::text::{bytes, fit, percent, ratio, thousands};

/// Rows of a table of counts on the terminal; `report.json` has all.
const COUNT_ROWS: usize = 12;
/// Rows of hosts and types on the terminal.
const TOP_ROWS: usize = 10;
/// Width of a number with separators: u64 at most.
const NUMBER: usize = 26;

/// The balance, as an addition with its sum.
pub(super) fn balance(sheet: &mut Sheet, report: &Report) {
    let urls = &report.urls;
    sheet.heading("URLs: the balance");
    let rows = [
        (" ", "queued", urls.queued, ""),
        ("+", "in flight", urls.in_flight, ""),
        ("+", "done", urls.done, "one outcome each"),
        ("+", "excluded", urls.excluded, "one reason each"),
        ("+", "dropped", urls.dropped, "by a limit"),
    ];
    for (sign, name, count, remark) in rows {
        let share = ratio(count, urls.discovered);
        let line = format!(
            "{sign} {name:<10} {:>NUMBER$}  {} {:>7}  {remark}",
            thousands(count),
            bar(share, 20),
            percent(share)
        );
        sheet.line(&line);
    }
    sheet.line(&format!(
        "= {:<10} {:>NUMBER$}",
        "discovered",
        thousands(urls.discovered)
    ));
    if report.balance.ok {
        sheet.line("  It adds up.");
        return;
    }
    sheet.alarm(&format!(
        "  IT DOES NOT ADD UP: the places sum to {}, outcomes to {}, reasons to {}, limits to {}",
        thousands(report.balance.sum),
        thousands(sum(&report.outcomes)),
        thousands(sum(&report.excluded)),
        thousands(sum(&report.dropped)),
    ));
}

/// Outcomes, statuses, reasons and limits, two and two.
pub(super) fn counts(sheet: &mut Sheet, report: &Report) {
    sheet.heading("How they ended");
    let block = |title: &str, counts: &Counts| count_block(title, counts);
    sheet.beside(
        &block("Outcomes", &report.outcomes),
        &block("Status codes", &report.status),
    );
    sheet.line("");
    sheet.beside(
        &block("Excluded, by reason", &report.excluded),
        &block("Dropped, by limit", &report.dropped),
    );
    if let Some(line) = dns(&report.dns) {
        sheet.line("");
        sheet.paragraph(&line);
    }
    if !report.robots.is_empty() || !report.limits.is_empty() {
        sheet.line("");
        sheet.beside(
            &block("robots.txt", &report.robots),
            &block("Cut by limits (not URLs)", &report.limits),
        );
    }
    let some = |names: &[&str]| counted(&report.run.counters, names);
    let odd = some(&["mislabelled", "decoding_ended"]);
    let sitemaps = some(&["sitemaps", "sitemaps_dropped"]);
    let parts = [
        ("TLS handshakes of this run", &report.tls),
        ("Cookies of this run", &report.cookies),
        ("Odd bodies of this run", &odd),
        ("In robots.txt, of this run", &sitemaps),
    ];
    let some: Vec<_> = parts
        .into_iter()
        .filter(|(_, counts)| !counts.is_empty())
        .collect();
    let blocks: Vec<_> = some
        .iter()
        .map(|(title, counts)| block(title, counts))
        .collect();
    for pair in blocks.chunks(2) {
        sheet.line("");
        sheet.beside(&pair[0], pair.get(1).map_or(&[][..], |right| &right[..]));
    }
}

/// Those of `names` that counted something.
fn counted(counters: &Counts, names: &[&str]) -> Counts {
    names
        .iter()
        .filter_map(|name| Some((name.to_string(), *counters.get(*name)?)))
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// Name service in a sentence; none where nobody was asked.
fn dns(counts: &Counts) -> Option<String> {
    let of = |name: &str| counts.get(name).copied().unwrap_or(0);
    let names = |name: &str| thousands(of(name));
    let odd = [
        ("timeouts", "unanswered"),
        ("truncated", "too long for a datagram"),
        ("wrong_case", "rewritten"),
        ("mismatched", "for other questions"),
        ("malformed", "malformed"),
    ];
    let odd: Vec<String> = odd
        .iter()
        .filter(|(name, _)| of(name) > 0)
        .map(|(name, what)| format!("{} {what}", names(name)))
        .collect();
    let known = of("lookups").saturating_add(of("cached"));
    (known > 0).then(|| {
        let mut line = format!(
            "DNS: {} names looked up ({} found, {} without an address, {} unanswered), {} from the cache, {} questions",
            names("lookups"),
            names("found"),
            names("none"),
            names("failed"),
            names("cached"),
            names("questions")
        );
        if !odd.is_empty() {
            line += &format!("; answers {}", odd.join(", "));
        }
        line
    })
}

fn sum(counts: &Counts) -> u64 {
    counts.values().copied().fold(0, u64::saturating_add)
}

/// Names with counts, largest first; what is beyond the rows is added up.
fn count_block(title: &str, counts: &Counts) -> Vec<String> {
    let whole = sum(counts);
    let mut rows: Vec<_> = counts.iter().filter(|(_, n)| **n > 0).collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let mut lines = vec![title.to_string()];
    if rows.is_empty() {
        lines.push("  none".to_string());
    }
    let row = |name: &str, n: u64| {
        let share = percent(ratio(n, whole));
        let number = thousands(n);
        // A number that needs more room takes it from the name.
        let name_width = (HALF - 2 - 1 - 8).saturating_sub(number.chars().count().max(13));
        format!(
            "  {} {number:>13} {share:>7}",
            pad(&fit(name, name_width), name_width)
        )
    };
    for (name, n) in rows.iter().take(COUNT_ROWS) {
        lines.push(row(name, **n));
    }
    let rest = rows
        .iter()
        .skip(COUNT_ROWS)
        .fold(0u64, |s, (_, n)| s.saturating_add(**n));
    if rest > 0 {
        lines.push(row(&format!("{} others", rows.len() - COUNT_ROWS), rest));
    }
    lines
}

/// Media types and hosts with the most pages.
pub(super) fn tops(sheet: &mut Sheet, report: &Report) {
    if !report.types.is_empty() {
        sheet.heading("Media types");
        let rows = report
            .types
            .iter()
            .map(|t| (t.media_type.as_str(), t.pages, t.bytes, String::new()));
        top_table(sheet, rows, report.pages);
        more(sheet, report.types.len());
    }
    if !report.hosts.is_empty() {
        sheet.heading(&format!(
            "Hosts with the most pages, of {} known",
            thousands(report.hosts_known.max(report.hosts.len() as u64))
        ));
        let rows = report.hosts.iter().map(|h| {
            let trouble = match h.failed {
                0 => String::new(),
                n => format!("{} failed", thousands(n)),
            };
            (h.host.as_str(), h.pages, h.bytes, trouble)
        });
        top_table(sheet, rows, report.pages);
        more(sheet, report.hosts.len());
    }
}

fn top_table<'a>(
    sheet: &mut Sheet,
    rows: impl Iterator<Item = (&'a str, u64, u64, String)>,
    whole: u64,
) {
    for (name, pages, size, remark) in rows.take(TOP_ROWS) {
        let share = ratio(pages, whole);
        let line = format!(
            "{} {:>13} {:>7}  {} {:>9}  {remark}",
            pad(&fit(name, 34), 34),
            thousands(pages),
            percent(share),
            bar(share, 10),
            bytes(size),
        );
        sheet.line(line.trim_end());
    }
}

fn more(sheet: &mut Sheet, rows: usize) {
    if rows > TOP_ROWS {
        sheet.line(&format!("… {} more in report.json", rows - TOP_ROWS));
    }
}
