//! Fuzz targets: functions that take any bytes and panic where something does not hold.
//!
//! They are plain functions, so that two drivers share them: libFuzzer (`fuzz_targets/`, one shell each) and the bounded
//! runner of the stable toolchain (`tests/fuzz_targets.rs`).
//!
//! What must hold for every target: it depends on its input alone, it ends soon, and it asks for no more memory than
//! [`LARGEST_REQUEST`] at once. What is compared with what is said at the head of each file.
//!
//! A new target is a file here, a line in [`ALL`], a shell in `fuzz_targets/` with its `[[bin]]` in `Cargo.toml`, and a
//! few seeds in `corpus/`.

pub mod charset;
pub mod checkpoint;
pub mod decode;
pub mod dns;
pub mod edits;
pub mod html;
pub mod http1;
pub mod records;
pub mod references;
pub mod robots;
pub mod seal;
pub mod segment;
pub mod small_crawl;
pub mod url;
pub mod xml;

/// A target.
pub type Target = fn(&[u8]);

/// Most bytes that a target may allocate in one request. The decoders may fill 64 MiB, and a frame of a few KiB may
/// promise 128 MiB.
pub const LARGEST_REQUEST: usize = 256 << 20;

/// All targets by name; the name is also that of the corpus directory.
pub const ALL: [(&str, Target); 12] = [
    ("charset", charset::run),
    ("checkpoint", checkpoint::run),
    ("decode", decode::run),
    ("dns", dns::run),
    ("html", html::run),
    ("http1", http1::run),
    ("records", records::run),
    ("references", references::run),
    ("robots", robots::run),
    ("segment", segment::run),
    ("url", url::run),
    ("xml", xml::run),
];
