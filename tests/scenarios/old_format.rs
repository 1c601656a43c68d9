//! A directory that an older version of the program left, with `kill -9`, in the middle of a crawl of the synthetic web:
//! it is read, verified, and gone on with.
//!
//! `tests/format1/` holds its files, each compressed with zstd. It was written by the last version whose checkpoints had
//! format version 1, as `cyclosa web` and `cyclosa crawl` with the flags below.

use super::program::Crawl;
use super::synthetic::Web;
use cyclosa::checkpoint::page::{VERSION, le32};
use std::fs;
use std::path::Path;

/// The port is part of every URL in it.
const LISTEN: &str = "127.0.0.1:20113";
const WEB: &str =
    "--hosts 3 --pages 30 --mean-size 500 --degree 6 --images 0 --errors 5% --robots-rules 0.5";

fn unpack(to: &Path) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format1");
    for entry in fs::read_dir(folder).expect("it is part of the sources") {
        let path = entry.expect("an entry").path();
        let bytes = zstd::decode_all(&fs::read(&path).expect("a file")[..]).expect("a zstd file");
        let name = path.file_stem().expect("NAME.zst");
        fs::write(to.join(name), bytes).expect("room for 6 MiB");
    }
}

/// Format version of the manifest's two slots.
fn versions(dir: &Path) -> [u32; 2] {
    let manifest = fs::read(dir.join("manifest")).expect("a manifest");
    [0, 4_096].map(|at| le32(&manifest[at + 8..]))
}

#[test]
fn a_directory_of_format_version_1_is_verified_and_gone_on_with() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path();
    unpack(dir);
    assert_eq!(versions(dir), [1, 1]);

    let seed = format!("http://h0.web.test:{}/", &LISTEN[LISTEN.len() - 5..]);
    let crawl = Crawl::new(&[seed], &["--scope", "any"]).in_dir(dir);
    let verified = crawl.ask("verify", &[]).expect(0).stdout;
    assert!(
        verified.contains("restorable: [6, 5]")
            && verified.contains("119 discovered = 82 queued + 0 in flight + 37 done"),
        "{verified}"
    );
    let done = crawl.urls_in("done");
    // What was stored after the checkpoint is listed too, and fetched again.
    assert_eq!(done.len(), 43);

    let Some(_web) = Web::listening(LISTEN, &WEB.split(' ').collect::<Vec<_>>()) else {
        println!("going on skipped: {LISTEN} is taken");
        return;
    };
    let said = crawl.run().expect(0).stderr;
    assert!(said.contains("restored checkpoint 6"), "{said}");
    assert_eq!(crawl.urls_in("queued").len(), 0);
    let all = crawl.urls_in("done");
    assert!(
        all.is_superset(&done) && all.len() >= 85,
        "{} done",
        all.len()
    );
    assert_eq!(versions(dir), [VERSION, VERSION]);
    crawl.assert_sound();
}
