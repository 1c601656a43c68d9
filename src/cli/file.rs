//! The configuration file of `cyclosa crawl --config`.
//!
//! What must hold: the keys are those of [`Settings`], nothing else is accepted; an error names file, line and key.

use super::crawl::Settings;
use crate::error::{Error, Result};
use crate::limits::CONFIG_FILE_BYTES_MAX;
use std::io::Read;
use std::path::Path;

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Settings> {
    let at_fault = |why: &dyn std::fmt::Display| {
        Error::usage(format!("cannot read --config {}: {why}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|e| at_fault(&e))?;
    let mut text = String::new();
    file.take(CONFIG_FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|e| at_fault(&e))?;
    if text.len() as u64 > CONFIG_FILE_BYTES_MAX {
        return Err(at_fault(&format_args!(
            "it is longer than {CONFIG_FILE_BYTES_MAX} bytes"
        )));
    }
    understand(&text, &path.display().to_string())
}

/// Understands a file's text; `name` is for messages.
fn understand(text: &str, name: &str) -> Result<Settings> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.as_bytes()[..at]
            .iter()
            .filter(|&&b| b == b'\n')
            .count();
        let source = text.lines().nth(line - 1).unwrap_or_default().trim();
        // A line inside a list has no key.
        let key = source.split_once('=').map_or("", |(key, _)| key.trim());
        let why = error.message().replace("unknown field", "unknown key");
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::usage(match key {
            "" => format!("{name}:{line}: {why}"),
            key if why.contains(&format!("`{key}`")) => format!("{name}:{line}: {why}"),
            key => format!("{name}:{line}: {key}: {why}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let error = understand(text, "crawl.toml").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn an_empty_file_says_nothing() {
        let settings = understand("# nothing\n", "x").unwrap();
        assert!(settings.dir.is_none() && settings.include.is_empty() && !settings.quiet);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, parts) in [
            (
                "quiet = true\nper_host = 2\n",
                ["crawl.toml:2:", "unknown key", "`per_host`", "`per-host`"],
            ),
            (
                "\ndelay = \"soon\"\n",
                ["crawl.toml:2:", "delay", "`soon`", "1s"],
            ),
            ("delay = 5\n", ["crawl.toml:1:", "delay", "no unit", "5s"]),
            (
                "quiet = \"yes\"\n",
                ["crawl.toml:1:", "quiet", "boolean", "yes"],
            ),
            (
                "scope = \"all\"\n",
                ["crawl.toml:1:", "scope", "`all`", "`domains`"],
            ),
            (
                "resolve = [\n\"a:80\"]\n",
                ["crawl.toml:", "HOST:PORT:ADDR", "a:80", "`"],
            ),
            (
                "include = [\"(\"]\n",
                ["crawl.toml:1:", "include", "regular expression", "("],
            ),
            ("delay = \n", ["crawl.toml:1:", "delay", "", ""]),
            (
                "delay = \"1s\"\ndelay = \"2s\"\n",
                ["crawl.toml:2:", "duplicate", "delay", ""],
            ),
        ] {
            let shown = message(text);
            assert!(!shown.contains('\n'));
            for part in parts {
                assert!(shown.contains(part), "`{part}` in `{shown}`");
            }
        }
    }

    #[test]
    fn a_missing_file_is_bad_usage() {
        let error = read(Path::new("no/such.toml")).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("no/such.toml"));
    }
}
