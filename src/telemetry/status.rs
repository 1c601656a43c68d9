//! The status line: how the crawl goes, while it goes.
//!
//! On a terminal one line is redrawn in place; elsewhere (a file, a journal) a plain line comes every
//! [`STATUS_PLAIN_S`] seconds. Deliberately absent: anything a server sent; the line has numbers only.

use super::gauges::{Gauges, Resident};
use super::text::{bytes, clip, duration, escape, memory, thousands, three_digits};
use super::throughput::Rates;
use crate::limits::STATUS_PLAIN_S;
use crate::time::{MILLISECOND, SECOND, Tick};
use std::io::{self, IsTerminal, Write};

/// Longest line, characters.
const LINE_MAX: usize = 160;
/// To the first column, without wrapping at the right edge; a narrow terminal then shows the beginning.
const BEGIN: &str = "\r\x1b[?7l";
/// Clears the rest of the line and wraps again.
const END: &str = "\x1b[K\x1b[?7h";

/// How the line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all (`--quiet`).
    Off,
    /// A line of its own every [`STATUS_PLAIN_S`] seconds.
    Plain,
    /// One line, redrawn.
    Terminal,
}

/// The status line and what it is written to.
pub struct StatusLine {
    mode: Mode,
    out: Box<dyn Write + Send>,
    drawn: bool,
    next: Tick,
}

impl StatusLine {
    /// On standard error, in the mode that fits it.
    pub fn standard(quiet: bool) -> Self {
        let mode = match quiet {
            true => Mode::Off,
            false if io::stderr().is_terminal() => Mode::Terminal,
            false => Mode::Plain,
        };
        Self::new(mode, Box::new(io::stderr()))
    }

    /// On `out`.
    pub fn new(mode: Mode, out: Box<dyn Write + Send>) -> Self {
        Self {
            mode,
            out,
            drawn: false,
            next: 0,
        }
    }

    /// Shows where the crawl stands, `run` ticks after this run began. Errors of the terminal are nobody's business.
    pub(super) fn show(&mut self, run: Tick, gauges: &Gauges, rates: Rates, resident: Resident) {
        self.show_text(run, || line(run, gauges, rates, resident));
    }

    /// Shows any other line, `run` ticks after it was begun with.
    pub fn show_text(&mut self, run: Tick, text: impl FnOnce() -> String) {
        let text = || clip(&text(), LINE_MAX);
        let _ = match self.mode {
            Mode::Off => Ok(()),
            Mode::Terminal => {
                self.drawn = true;
                write!(self.out, "{BEGIN}{}{END}", text()).and_then(|()| self.out.flush())
            }
            Mode::Plain if run < self.next => Ok(()),
            Mode::Plain => {
                self.next = (run / (STATUS_PLAIN_S * SECOND) + 1) * STATUS_PLAIN_S * SECOND;
                writeln!(self.out, "{}", text())
            }
        };
    }

    /// Prints a remark without spoiling the line; with `--quiet` too, since remarks matter.
    pub fn say(&mut self, remark: &str) {
        self.clear();
        let _ = writeln!(self.out, "{}", escape(remark));
    }

    /// Takes the line off the terminal.
    pub fn clear(&mut self) {
        if self.drawn {
            self.drawn = false;
            let _ = write!(self.out, "{BEGIN}{END}").and_then(|()| self.out.flush());
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The line itself, most wanted first.
fn line(run: Tick, gauges: &Gauges, rates: Rates, resident: Resident) -> String {
    let checkpoint = match gauges.checkpoint_age_ms {
        None => "no checkpoint yet".to_string(),
        Some(ms) => format!(
            "checkpoint {} old",
            duration(ms.saturating_mul(MILLISECOND))
        ),
    };
    let trouble = match gauges.proxy_fails {
        true => "the proxy fails | ",
        false => "",
    };
    format!(
        "{trouble}{} pages  {}/s  {} MB/s | {} in flight, {} queued, {} hosts ready | {} | {} | {} stored | {}",
        thousands(gauges.pages),
        three_digits(rates.pages),
        three_digits(rates.bytes / 1e6),
        thousands(gauges.in_flight),
        thousands(gauges.queued),
        thousands(gauges.hosts_ready),
        memory(resident.now),
        checkpoint,
        bytes(gauges.stored_bytes),
        duration(run / SECOND * SECOND),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A writer that can be looked at.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("lock").clone()).expect("UTF-8")
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(mode: Mode, seconds: u64) -> String {
        let out = Shared::default();
        let mut status = StatusLine::new(mode, Box::new(out.clone()));
        let gauges = Gauges {
            pages: u64::MAX,
            queued: u64::MAX,
            in_flight: u64::MAX,
            ..Gauges::default()
        };
        for s in 0..seconds {
            status.show(s * SECOND, &gauges, Rates::default(), Resident::default());
        }
        drop(status);
        out.text()
    }

    #[test]
    fn a_terminal_has_one_line_and_a_file_one_every_ten_seconds() {
        let terminal = shown(Mode::Terminal, 30);
        assert_eq!(terminal.matches('\n').count(), 0);
        assert_eq!(terminal.matches('\r').count(), 31);
        assert!(terminal.ends_with(END));
        let plain = shown(Mode::Plain, 30);
        assert_eq!(plain.lines().count(), 3);
        assert!(plain.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(plain.lines().all(|l| l.chars().count() <= LINE_MAX));
        assert_eq!(shown(Mode::Off, 30), "");
    }

    #[test]
    fn a_proxy_in_trouble_is_named_first() {
        let shown = |proxy_fails| {
            let gauges = Gauges {
                proxy_fails,
                ..Gauges::default()
            };
            line(0, &gauges, Rates::default(), Resident::default())
        };
        assert!(shown(true).starts_with("the proxy fails | 0 pages"));
        assert!(shown(false).starts_with("0 pages"));
    }

    #[test]
    fn remarks_come_with_quiet_and_without_control_characters() {
        let out = Shared::default();
        StatusLine::new(Mode::Off, Box::new(out.clone())).say("bad \u{1b}[2J host\n");
        assert_eq!(out.text(), "bad \\u{1b}[2J host\\n\n");
    }
}
