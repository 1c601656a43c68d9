//! Scenarios: the real program against real servers, seen from outside only (its output, its files, the servers' logs).
//!
//! * [`site`] serves documentation packages of Debian with an nginx of the test's own; [`scripted`] is a server that does
//!   what a test tells it.
//! * [`closure`] says independently which pages a crawl has to fetch.
//! * What is missing on a machine (nginx, unbound, packages, zstd, warcio, the right to mount) makes a test say that it skips.

#[path = "../certificates/mod.rs"]
mod certificates;
mod closure;
mod content;
mod cookies;
mod copies;
mod disk_faults;
mod dns;
mod full_disk;
mod hostile;
mod identity;
mod inward;
mod killed;
mod leaks;
mod mistakes;
#[path = "../name_server/mod.rs"]
mod name_server;
mod namespace;
mod odd_servers;
mod old_format;
mod polite;
mod power;
mod program;
mod proxies;
mod report;
mod scripted;
mod site;
mod sitemaps;
mod soak;
mod standby;
mod stopped;
mod synthetic;
mod tls;
mod tls_site;
mod tools;
mod whole_sites;
