//! `cyclosa crawl`: its arguments, the configuration file beneath them, and the [`Config`] they make.
//!
//! What must hold: [`Settings`] is the one list of keys, read from the command line and from `--config` alike, so the
//! two cannot drift apart. The command line wins; a list given there replaces that of the file.

use super::file;
use super::proxy::{self, ProxyUrl};
use super::seeds;
use super::values::{
    Assets, FieldText, HeaderField, Mailbox, NameServer, Net, Pattern, Resolve, Robots, Roots,
    Scope, Sitemaps, Size, Time, UserAgent,
};
use crate::config::{Config, Credentials, default_user_agent, exposure};
use crate::engine;
use crate::engine::standby::{self, Turn};
use crate::engine::stop::{EXIT_STOPPED, Stop};
use crate::error::{Error, Result};
use crate::fetch::read_authorities;
use crate::limits;
use crate::telemetry::harmless;
use crate::time::SECOND;
use std::fmt::Display;
use std::io::BufRead;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  cyclosa crawl seeds.txt --contact https://example.org/crawl --max-pages 100000
  echo http://example.org/ | cyclosa crawl - --dir example --for 10m --contact you@your.site
  cyclosa crawl seeds.txt --config crawl.toml --scope domains

The same command goes on after Ctrl-C, a crash or a reboot; a crawl is never overwritten.
Ctrl-C finishes what is in flight, takes a checkpoint and writes the report; a second one
stops at once.";

/// `cyclosa crawl`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CrawlArgs {
    /// File of seed URLs, one a line, # for comments; - for standard input
    #[arg(value_name = "SEEDS")]
    pub seeds: PathBuf,

    /// Take settings from this TOML file; its keys are the names of these options
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,

    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// What a crawl can be told, by flag or by key of the configuration file.
#[derive(Debug, Default, clap::Args, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Crawl directory: checkpoints, segments, report [default: checkpoints]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Refuse a directory that already holds a crawl
    #[arg(long)]
    pub fresh: bool,
    /// Wait while another process crawls in DIR, and go on in its place when it dies or hangs; with nobody there, crawl.
    /// DIR must be one directory for both, with working file locks (flock): on one machine, or on a network file system
    /// that has them. A crawl that is finished, or at the end of its --for or --max-pages, is not gone on with
    #[arg(long)]
    pub standby: bool,
    /// No status line
    #[arg(long)]
    pub quiet: bool,
    /// Write a further copy of report.json here
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,

    /// Stop after this time in this run
    #[arg(long = "for", value_name = "TIME", help_heading = "Where to stop")]
    #[serde(rename = "for")]
    pub run_for: Option<Time>,
    /// Stop after this many pages over the whole crawl
    #[arg(long, value_name = "N", help_heading = "Where to stop")]
    pub max_pages: Option<u64>,
    /// Links between a seed and a page at most
    #[arg(long, value_name = "N", help_heading = "Where to stop")]
    pub max_depth: Option<u16>,

    /// Which hosts belong to the crawl [default: hosts]
    #[arg(long, value_name = "SCOPE", help_heading = "What belongs to the crawl")]
    pub scope: Option<Scope>,
    /// Only URLs that match one of these, seeds excepted; repeatable
    #[arg(long, value_name = "REGEX", help_heading = "What belongs to the crawl")]
    pub include: Vec<Pattern>,
    /// No URL that matches one of these; repeatable
    #[arg(long, value_name = "REGEX", help_heading = "What belongs to the crawl")]
    pub exclude: Vec<Pattern>,
    /// Hosts of one registrable domain at most; seeds are always taken [default: 10000]
    #[arg(long, value_name = "N", help_heading = "What belongs to the crawl")]
    pub hosts_per_domain: Option<u32>,
    /// What is fetched along with pages [default: images]
    #[arg(long, value_name = "WHICH", help_heading = "What belongs to the crawl")]
    pub assets: Option<Assets>,
    /// Whether sitemaps that robots.txt files name are crawled; scope, --include and --exclude hold for them as for links,
    /// and for --max-depth their pages are one link away from what led to the host [default: follow]
    #[arg(
        long,
        value_name = "WHETHER",
        help_heading = "What belongs to the crawl"
    )]
    pub sitemaps: Option<Sitemaps>,
    /// Cut bodies longer than this [default: 16MiB]
    #[arg(long, value_name = "SIZE", help_heading = "What belongs to the crawl")]
    pub max_body: Option<Size>,

    /// Who crawls; the name before / is what robots.txt files are searched for [default: cyclosa/VERSION (+CONTACT)]
    #[arg(long, value_name = "TEXT", help_heading = "Politeness")]
    pub user_agent: Option<UserAgent>,
    /// Where a webmaster can complain: a URL or a mail address (sent as From, too, unless --from is given). Without one, here,
    /// in --from or in --user-agent, nothing on the public Internet is crawled
    #[arg(long, value_name = "URL", help_heading = "Politeness")]
    pub contact: Option<FieldText>,
    /// Mail address sent as From, beside a --contact that is a URL
    #[arg(long, value_name = "MAIL", help_heading = "Politeness")]
    pub from: Option<Mailbox>,
    /// Pause between two fetches of one host [default: 1s]
    #[arg(long, value_name = "TIME", help_heading = "Politeness")]
    pub delay: Option<Time>,
    /// Pause between two fetches of one address [default: 0s]
    #[arg(long, value_name = "TIME", help_heading = "Politeness")]
    pub ip_delay: Option<Time>,
    /// Fetches of one host at once [default: 1]
    #[arg(long, value_name = "N", help_heading = "Politeness")]
    pub per_host: Option<u16>,
    /// Whether robots.txt is obeyed [default: obey]
    #[arg(long, value_name = "WHETHER", help_heading = "Politeness")]
    pub robots: Option<Robots>,

    /// Pages on their way at once [default: 1024]
    #[arg(long, value_name = "N", help_heading = "Resources")]
    pub concurrency: Option<usize>,
    /// Memory budget [default: 8GiB]
    #[arg(long, value_name = "SIZE", help_heading = "Resources")]
    pub memory: Option<Size>,
    /// Work that a crash may cost at most [default: 15s]
    #[arg(long, value_name = "TIME", help_heading = "Resources")]
    pub checkpoint_every: Option<Time>,

    /// Open an address range that is not public, such as 127.0.0.0/8; repeatable
    #[arg(long, value_name = "NET", help_heading = "Network")]
    pub allow_net: Vec<Net>,
    /// Do not look a name up: HOST:PORT:ADDR; *.NAME takes all below, PORT * all ports; repeatable
    #[arg(long, value_name = "RULE", help_heading = "Network")]
    pub resolve: Vec<Resolve>,
    /// Ask this name server instead of the system's, ADDR or ADDR:PORT; repeatable, asked in the order given
    #[arg(long, value_name = "ADDR", help_heading = "Network")]
    pub dns: Vec<NameServer>,
    /// Send this field with every request, "NAME: VALUE"; repeatable
    #[arg(long, value_name = "FIELD", help_heading = "Network")]
    pub header: Vec<HeaderField>,
    /// Basic authentication: a file of lines "ORIGIN USER:PASSWORD", each sent to its origin only
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub auth: Option<PathBuf>,
    /// Send back the cookies that servers set (bounded; forgotten when the process ends)
    #[arg(long, help_heading = "Network")]
    pub cookies: bool,
    /// Fetch through this proxy: http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT. Names are looked up and
    /// checked here, and the proxy is asked for addresses (HTTP: with CONNECT, also for port 80); its password is a line
    /// "http://HOST:PORT USER:PASSWORD" in the file of --auth
    #[arg(long, value_name = "URL", help_heading = "Network")]
    pub proxy: Option<ProxyUrl>,
    /// The proxy looks names up (always with socks5h): for networks without name service. Which addresses names lead to is
    /// then its business, not that of --allow-net
    #[arg(long, help_heading = "Network")]
    pub proxy_names: bool,
    /// Believe the certificate authorities in this PEM file too; repeatable
    #[arg(long, value_name = "FILE.pem", help_heading = "Network")]
    pub ca: Vec<PathBuf>,
    /// Which certificate authorities are believed: Mozilla's, compiled in, or the system's [default: webpki]
    #[arg(long, value_name = "WHICH", help_heading = "Network")]
    pub roots: Option<Roots>,
}

impl Settings {
    /// These settings, completed by those of `beneath`.
    pub fn over(self, beneath: Settings) -> Settings {
        fn list<T>(above: Vec<T>, beneath: Vec<T>) -> Vec<T> {
            if above.is_empty() { beneath } else { above }
        }
        Settings {
            dir: self.dir.or(beneath.dir),
            fresh: self.fresh || beneath.fresh,
            standby: self.standby || beneath.standby,
            quiet: self.quiet || beneath.quiet,
            report: self.report.or(beneath.report),
            run_for: self.run_for.or(beneath.run_for),
            max_pages: self.max_pages.or(beneath.max_pages),
            max_depth: self.max_depth.or(beneath.max_depth),
            scope: self.scope.or(beneath.scope),
            include: list(self.include, beneath.include),
            exclude: list(self.exclude, beneath.exclude),
            hosts_per_domain: self.hosts_per_domain.or(beneath.hosts_per_domain),
            assets: self.assets.or(beneath.assets),
            sitemaps: self.sitemaps.or(beneath.sitemaps),
            max_body: self.max_body.or(beneath.max_body),
            user_agent: self.user_agent.or(beneath.user_agent),
            contact: self.contact.or(beneath.contact),
            from: self.from.or(beneath.from),
            delay: self.delay.or(beneath.delay),
            ip_delay: self.ip_delay.or(beneath.ip_delay),
            per_host: self.per_host.or(beneath.per_host),
            robots: self.robots.or(beneath.robots),
            concurrency: self.concurrency.or(beneath.concurrency),
            memory: self.memory.or(beneath.memory),
            checkpoint_every: self.checkpoint_every.or(beneath.checkpoint_every),
            allow_net: list(self.allow_net, beneath.allow_net),
            resolve: list(self.resolve, beneath.resolve),
            dns: list(self.dns, beneath.dns),
            header: list(self.header, beneath.header),
            auth: self.auth.or(beneath.auth),
            cookies: self.cookies || beneath.cookies,
            proxy: self.proxy.or(beneath.proxy),
            proxy_names: self.proxy_names || beneath.proxy_names,
            ca: list(self.ca, beneath.ca),
            roots: self.roots.or(beneath.roots),
        }
    }

    /// What the settings mean; the seeds are still to come. The error names the setting that is out of range.
    pub fn into_config(self) -> Result<Config> {
        let usual = Config::default();
        let user_agent = match (self.user_agent, &self.contact) {
            (Some(UserAgent(typed)), _) => typed,
            (None, Some(FieldText(contact))) => format!("{} (+{contact})", default_user_agent()),
            (None, None) => usual.user_agent,
        };
        let every =
            limits::CHECKPOINT_EVERY_MIN_S * SECOND..=limits::CHECKPOINT_EVERY_MAX_S * SECOND;
        let time = |value: Option<Time>, default| value.map_or(default, |t| t.0);
        let checkpoint_every = time(self.checkpoint_every, usual.checkpoint_every);
        if !every.contains(&checkpoint_every) {
            return Err(Error::usage(format!(
                "--checkpoint-every: write a time from {}s to {}s",
                limits::CHECKPOINT_EVERY_MIN_S,
                limits::CHECKPOINT_EVERY_MAX_S
            )));
        }
        if self.run_for == Some(Time(0)) {
            return Err(Error::usage(
                "--for: a run of no time fetches nothing; leave it out for a run without end",
            ));
        }
        if self.fresh && self.standby {
            return Err(Error::usage(
                "--fresh refuses a directory that holds a crawl, and --standby waits for one; leave one of them out",
            ));
        }
        let identified =
            self.contact.is_some() || self.from.is_some() || names_somebody(&user_agent);
        let header_bytes: usize = self.header.iter().map(|h| h.0.len() + 2).sum();
        if header_bytes > limits::HEADERS_BYTES_MAX {
            return Err(Error::usage(format!(
                "--header: all fields together are longer than {} bytes; servers refuse long requests",
                limits::HEADERS_BYTES_MAX
            )));
        }
        let credentials = match &self.auth {
            Some(path) => Credentials::read(path)?,
            None => usual.credentials,
        };
        let warnings = self.auth.iter().filter_map(|path| exposure("--auth", path));
        let warnings = warnings.collect();
        let mut authorities = Vec::new();
        for path in &self.ca {
            authorities.append(&mut read_authorities(path)?);
        }
        let max_body = self.max_body.map_or(usual.max_body as u64, |s| s.0);
        Ok(Config {
            dir: self.dir.unwrap_or(usual.dir),
            seeds: Vec::new(),
            run_for: self.run_for.map(|t| t.0),
            max_pages: match self.max_pages {
                Some(pages) => Some(within("max-pages", pages, 1..=u64::MAX)?),
                None => None,
            },
            max_depth: self.max_depth,
            scope: self.scope.map_or(usual.scope, Into::into),
            include: self.include.into_iter().map(|p| p.0).collect(),
            exclude: self.exclude.into_iter().map(|p| p.0).collect(),
            user_agent,
            contact: self.contact.map(|c| c.0),
            from: self.from.map(|f| f.0),
            delay: time(self.delay, usual.delay),
            ip_delay: time(self.ip_delay, usual.ip_delay),
            per_host: within(
                "per-host",
                self.per_host.unwrap_or(usual.per_host),
                1..=limits::PER_HOST_MAX,
            )?,
            hosts_per_domain: within(
                "hosts-per-domain",
                self.hosts_per_domain.unwrap_or(usual.hosts_per_domain),
                1..=u32::MAX,
            )?,
            robots: self.robots.map_or(usual.robots, Into::into),
            assets: self.assets.map_or(usual.assets, Into::into),
            sitemaps: self.sitemaps.map_or(usual.sitemaps, Into::into),
            concurrency: within(
                "concurrency",
                self.concurrency.unwrap_or(usual.concurrency),
                1..=limits::CONCURRENCY_MAX,
            )?,
            memory: within(
                "memory",
                self.memory.map_or(usual.memory, |s| s.0),
                limits::MEMORY_BYTES_MIN..=u64::MAX,
            )?,
            allow_net: self.allow_net.into_iter().map(|n| n.0).collect(),
            resolve: self.resolve.into_iter().map(|r| r.0).collect(),
            dns: name_servers(self.dns)?,
            own_addresses: Vec::new(),
            own_listeners: Vec::new(),
            identified,
            headers: self.header.into_iter().map(|h| h.0).collect(),
            credentials,
            warnings,
            cookies: self.cookies,
            proxy: None,
            roots: self.roots.map_or(usual.roots, Into::into),
            authorities,
            idle_connections: usual.idle_connections,
            connection_ends: usual.connection_ends,
            max_body: within("max-body", max_body, 1..=limits::BODY_BYTES_MAX as u64)? as usize,
            checkpoint_every,
            report: self.report,
            fresh: self.fresh,
            standby: self.standby,
            quiet: self.quiet,
            clocks: usual.clocks,
        })
    }
}

/// Whether a user agent says where to complain.
fn names_somebody(user_agent: &str) -> bool {
    user_agent.contains("://") || user_agent.contains('@')
}

/// Each server once, and no more than are ever asked.
fn name_servers(given: Vec<NameServer>) -> Result<Vec<SocketAddr>> {
    let mut servers: Vec<SocketAddr> = Vec::new();
    for NameServer(server) in given {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    within("dns", servers.len(), 0..=limits::DNS_SERVERS_MAX)?;
    Ok(servers)
}

/// `value` if it lies in `range`, else a message that names the setting.
fn within<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<T> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (bound, side) = if value < *range.start() {
        (range.start(), "least")
    } else {
        (range.end(), "most")
    };
    Err(Error::usage(format!("--{key} {value}: at {side} {bound}")))
}

/// Crawls to the end and prints the report.
///
/// # Errors
/// Everything fatal; see [`crate::engine::run`].
pub fn run(typed: CrawlArgs) -> Result<ExitCode> {
    let config = typed.understand(&mut std::io::stdin().lock())?;
    for warning in &config.warnings {
        eprintln!("{}", harmless(warning));
    }
    let stop = Stop::on_signals()?;
    let quiet = config.quiet;
    let mut announce = |line: &str| {
        if !quiet {
            eprintln!("{}", harmless(line));
        }
    };
    let ended = if config.standby {
        match standby::wait(&config, &stop, &mut announce)? {
            Turn::Mine(tenure) => engine::run_in(tenure, &config, &stop, &mut announce)?,
            Turn::Over(why) => {
                announce(&why);
                return Ok(ExitCode::SUCCESS);
            }
            Turn::Stopped => return Ok(ExitCode::from(EXIT_STOPPED)),
        }
    } else {
        engine::run(&config, &stop, &mut announce)?
    };
    super::report::print(&ended.report)?;
    if !quiet {
        eprintln!("\n{}", super::report::last_line(&ended.report));
    }
    Ok(if ended.interrupted {
        ExitCode::from(EXIT_STOPPED)
    } else {
        ExitCode::SUCCESS
    })
}

impl CrawlArgs {
    /// Reads the configuration file and the seeds, and checks everything. `stdin` is read for `-` only.
    pub fn understand(self, stdin: &mut dyn BufRead) -> Result<Config> {
        let settings = match &self.config {
            Some(path) => self.settings.over(file::read(path)?),
            None => self.settings,
        };
        // Settings first: a wrong flag should not wait for a million seeds to be read.
        let (proxy, names) = (settings.proxy.clone(), settings.proxy_names);
        let mut config = settings.into_config()?;
        config.seeds = seeds::read(&self.seeds, stdin)?;
        seeds::ask_who_crawls(&config)?;
        proxy::complete(&mut config, proxy, names)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::{Cli, Command};
    use super::*;
    use crate::config;
    use crate::time::MILLISECOND;
    use clap::Parser;

    fn typed(line: &str) -> Box<CrawlArgs> {
        let words = ["cyclosa", "crawl"]
            .into_iter()
            .chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Crawl(typed) => typed,
            other => panic!("{other:?}"),
        }
    }

    fn config(line: &str) -> Result<Config> {
        typed(&format!("- {line}")).understand(&mut &b"http://a.test/\n"[..])
    }

    #[test]
    fn without_flags_everything_is_as_documented() {
        let (c, d) = (config("").unwrap(), Config::default());
        assert_eq!(
            c.seeds,
            [("http://a.test/".to_string(), "stdin:1".to_string())]
        );
        assert_eq!(
            format!(
                "{:?}",
                Config {
                    seeds: vec![],
                    identified: true,
                    ..c
                }
            ),
            format!("{d:?}")
        );
        assert!(!config("").unwrap().identified);
    }

    #[test]
    fn a_contact_or_a_telling_user_agent_says_who_crawls() {
        for line in [
            "--contact a@b.test",
            "--contact https://b.test/",
            "--from a@b.test",
            "--user-agent bot/1+https://b.test/",
        ] {
            assert!(config(line).unwrap().identified, "{line}");
        }
        assert!(!config("--user-agent bot/1").unwrap().identified);
    }

    #[test]
    fn the_help_tells_the_true_defaults() {
        use clap::CommandFactory;
        let command = Cli::command();
        let crawl = command.find_subcommand("crawl").unwrap();
        let mut line = String::new();
        for flag in crawl.get_arguments().filter(|a| a.get_id() != "user_agent") {
            let help = flag.get_help().map(|h| h.to_string()).unwrap_or_default();
            if let Some((_, default)) = help.split_once("[default: ") {
                let name = flag.get_long().unwrap();
                line += &format!("--{name} {} ", default.trim_end_matches(']'));
            }
        }
        assert!(line.matches("--").count() >= 10, "{line}");
        let (told, true_ones) = (config(&line).unwrap(), config("").unwrap());
        assert_eq!(format!("{told:?}"), format!("{true_ones:?}"), "{line}");
    }

    #[test]
    fn every_flag_arrives() {
        let c = config(
            "--dir d --for 60s --max-pages 9 --max-depth 3 --scope domains --include ^a --include b --exclude c \
             --user-agent bot/1 --contact mailto:a@b.test --from mailto:c@d.test --delay 500ms --ip-delay 10ms --per-host 2 --robots ignore \
             --assets all --concurrency 16 --memory 1GiB --allow-net 127.0.0.0/8 --allow-net ::1 \
             --resolve *.web.test:8080:127.0.0.1 --dns 9.9.9.9 --dns [::1]:5353 --dns 9.9.9.9:53 --roots system --max-body 1MiB --checkpoint-every 5s --report r.json --fresh --quiet \
             --header X-Team:a --cookies --sitemaps ignore",
        )
        .unwrap();
        assert_eq!(
            (&c.headers[..], c.cookies),
            (&["X-Team: a".to_string()][..], true)
        );
        assert!(!c.standby && config("--standby").unwrap().standby);
        assert_eq!(c.mailbox(), Some("c@d.test"));
        assert_eq!(c.sitemaps, config::Sitemaps::Ignore);
        assert_eq!(c.dir, PathBuf::from("d"));
        assert_eq!(
            (c.run_for, c.max_pages, c.max_depth),
            (Some(60 * SECOND), Some(9), Some(3))
        );
        assert_eq!(
            (c.scope, c.assets, c.robots),
            (
                config::Scope::Domains,
                config::Assets::All,
                config::Robots::Ignore
            )
        );
        assert_eq!((c.include.len(), c.exclude.len()), (2, 1));
        assert_eq!(
            (c.user_agent.as_str(), c.contact.as_deref()),
            ("bot/1", Some("mailto:a@b.test"))
        );
        assert_eq!(
            (c.delay, c.ip_delay, c.per_host),
            (500 * MILLISECOND, 10 * MILLISECOND, 2)
        );
        assert_eq!(
            (c.concurrency, c.memory, c.max_body),
            (16, 1 << 30, 1 << 20)
        );
        assert_eq!((c.allow_net.len(), c.resolve.len()), (2, 1));
        let servers = ["9.9.9.9:53".parse().unwrap(), "[::1]:5353".parse().unwrap()];
        assert_eq!(c.dns, servers);
        assert_eq!(c.roots, config::Roots::System);
        assert_eq!(
            (c.checkpoint_every, c.fresh, c.quiet),
            (5 * SECOND, true, true)
        );
        assert_eq!(c.report, Some(PathBuf::from("r.json")));
    }

    #[test]
    fn the_contact_is_part_of_the_default_user_agent() {
        let c = config("--contact https://a.test/bot").unwrap();
        assert_eq!(
            c.user_agent,
            format!("{} (+https://a.test/bot)", default_user_agent())
        );
    }

    #[test]
    fn out_of_range_names_the_flag_and_is_bad_usage() {
        for (line, flag) in [
            ("--per-host 0", "--per-host"),
            ("--concurrency 0", "--concurrency"),
            ("--concurrency 100000", "--concurrency"),
            ("--memory 1KiB", "--memory"),
            ("--max-body 0", "--max-body"),
            ("--max-body 2GiB", "--max-body"),
            ("--max-pages 0", "--max-pages"),
            ("--for 0s", "--for"),
            ("--standby --fresh", "--standby"),
            ("--checkpoint-every 0s", "--checkpoint-every"),
            ("--checkpoint-every 2h", "--checkpoint-every"),
            (
                "--dns ::1 --dns ::2 --dns ::3 --dns ::4 --dns ::5 --dns ::6 --dns ::7 --dns ::8 --dns ::9",
                "--dns",
            ),
            ("--ca no-such-file.pem", "--ca no-such-file.pem"),
        ] {
            let error = config(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(flag), "{error}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crawl.toml");
        std::fs::write(
            &path,
            "delay = \"3s\"\nper-host = 4\ninclude = [\"x\", \"y\"]\nexclude = [\"z\"]\nfor = \"1h\"\nmax-body = 4096\nquiet = true\n",
        )
        .unwrap();
        let line = format!("--config {} --delay 2s --include only", path.display());
        let c = config(&line).unwrap();
        assert_eq!((c.delay, c.per_host, c.quiet), (2 * SECOND, 4, true));
        assert_eq!(
            (c.include, c.exclude),
            (vec!["only".to_string()], vec!["z".to_string()])
        );
        assert_eq!((c.run_for, c.max_body), (Some(3_600 * SECOND), 4_096));
    }
}
