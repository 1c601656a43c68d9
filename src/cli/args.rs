//! What was typed: the commands and their help.

use super::{crawl, demo, export, get, report, urls, verify};
use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed: the disk, the network or the stored data; the message says what to do
  2    bad usage: the command line, the configuration or the seed file
  130  stopped by Ctrl-C or SIGTERM, with a checkpoint taken; the same command goes on";

/// A web crawler that stays on one machine: a ring-buffer pipeline in memory, checkpointed every 15 seconds.
#[derive(Debug, Parser)]
#[command(
    name = "cyclosa",
    version,
    about,
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Crawl, or go on where the directory's checkpoint is: the same command does both
    Crawl(Box<crawl::CrawlArgs>),
    /// Crawl a synthetic web inside this process and show the histograms; no network, no arguments
    Demo(demo::DemoArgs),
    /// Serve the synthetic web alone, and print the crawl command that fits it
    Web(Box<crate::web::args::Args>),
    /// Show throughput, latency, outcomes and the balance of a crawl
    Report(report::ReportArgs),
    /// List the URLs of a crawl, tab-separated: url, state, status, type, bytes, time, digest
    Urls(urls::UrlsArgs),
    /// Print a stored page
    Get(get::GetArgs),
    /// Write a crawl in formats that other programs read
    Export(export::ExportArgs),
    /// Check every checksum, every record and the balance of a crawl
    Verify(verify::VerifyArgs),
}

impl Command {
    /// Its name as typed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crawl(_) => "crawl",
            Self::Demo(_) => "demo",
            Self::Web(_) => "web",
            Self::Report(_) => "report",
            Self::Urls(_) => "urls",
            Self::Get(_) => "get",
            Self::Export(_) => "export",
            Self::Verify(_) => "verify",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("cyclosa").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_parsed() {
        for line in [
            "crawl seeds.txt",
            "crawl - --dir d --for 60s",
            "demo",
            "web",
            "web --listen 127.0.0.1:8080 --hosts 10 --seed 7 --pages 100 --errors 5% --latency 20ms",
            "report d --json",
            "urls d --state done",
            "get d http://a.test/ --head",
            "export d --warc out.warc.gz",
            "export d --urls -",
            "verify d",
        ] {
            let command = parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(line.starts_with(command.name()), "{line}");
        }
    }

    #[test]
    fn mistakes_are_bad_usage_and_name_the_flag() {
        for (line, names) in [
            ("", "Usage"),
            ("crawl", "SEEDS"),
            ("crawl s --delay 5", "--delay"),
            ("crawl s --max-body many", "--max-body"),
            ("crawl s --scope galaxy", "--scope"),
            ("crawl s --allow-net 127.0.0.0/40", "--allow-net"),
            ("crawl s --resolve h:80", "--resolve"),
            ("crawl s --dns x", "write 9.9.9.9"),
            ("crawl s --include (", "--include"),
            ("crawl s --max-depth 70000", "--max-depth"),
            ("web --listen 8080", "--listen"),
            ("web --errors 1.5", "--errors"),
            ("urls d --state gone", "--state"),
            ("get d u --head --record", "--record"),
            ("export d", "--warc"),
            ("demo now", "now"),
        ] {
            let error = parse(line).map(|c| c.name()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(names), "{line}: {error}");
        }
    }

    #[test]
    fn help_is_a_result_with_groups_examples_and_exit_codes() {
        let help = parse("--help").unwrap_err();
        assert_eq!(help.exit_code(), 0);
        assert!(help.to_string().contains("130  stopped"));
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let help = parse(&format!("{name} --help")).unwrap_err().to_string();
            assert!(help.contains(&format!("cyclosa {name}")), "{help}");
            assert!(help.contains("Example"), "{name} has no example");
        }
        let help = parse("crawl --help").unwrap_err().to_string();
        for group in [
            "Where to stop:",
            "What belongs to the crawl:",
            "Politeness:",
            "Resources:",
            "Network:",
        ] {
            assert!(help.contains(group), "{group} in {help}");
        }
    }

    #[test]
    fn flags_that_come_later_are_not_shown() {
        for line in [
            "crawl s --status 127.0.0.1:1",
            "serve d",
            "export d --cdxj x",
        ] {
            assert_eq!(
                parse(line).map(|c| c.name()).unwrap_err().exit_code(),
                2,
                "{line}"
            );
        }
    }
}
