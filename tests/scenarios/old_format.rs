//! A directory that an older version of the program left, with `kill -9`, in the middle of a crawl: this program cannot
//! read it, says so and what helps, and leaves it exactly as it is.
//!
//! `tests/format1/` holds its files, each compressed with zstd, written by the last version whose checkpoints had format
//! version 1.

use super::program::Crawl;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn unpack(to: &Path) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format1");
    for entry in fs::read_dir(folder).expect("it is part of the sources") {
        let path = entry.expect("an entry").path();
        let bytes = zstd::decode_all(&fs::read(&path).expect("a file")[..]).expect("a zstd file");
        let name = path.file_stem().expect("NAME.zst");
        fs::write(to.join(name), bytes).expect("room for 6 MiB");
    }
}

/// Every file but those that say who holds the directory, whole.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir)
        .expect("a directory")
        .map(|e| e.expect("an entry"));
    let named = entries.map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()));
    named
        .filter(|(name, _)| !["LOCK", "LEASE", "FENCE"].contains(&name.as_str()))
        .map(|(name, path)| (name, fs::read(path).expect("a file")))
        .collect()
}

#[test]
fn a_directory_of_format_version_1_is_refused_by_name_and_left_alone() {
    let home = tempfile::tempdir().expect("a directory");
    unpack(home.path());
    let before = contents(home.path());
    let crawl = Crawl::new(&["http://h0.web.test/".to_owned()], &["--scope", "any"]);
    let crawl = crawl.in_dir(home.path());
    for ended in [
        crawl.run(),
        crawl.ask("verify", &[]),
        crawl.ask("urls", &[]),
    ] {
        let ended = ended.expect(1);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            said.contains("format version 1") && said.contains("program that began it"),
            "{said}"
        );
    }
    assert!(contents(home.path()) == before, "files were changed");
}
