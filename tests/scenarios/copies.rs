//! A crawl directory that is copied while the crawl runs: the copy goes on from one of its checkpoints, or is refused in
//! one clear line; it never begins anew in silence, and restoring it changes nothing that a second restore needs.

use super::program::{Crawl, cyclosa};
use super::synthetic::Web;
use std::collections::BTreeSet;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Copies made while the crawl runs, and the time between them.
const COPIES: usize = 4;
const BETWEEN: Duration = Duration::from_millis(600);

fn epoch_restored(stderr: &str) -> Option<u64> {
    let (_, rest) = stderr.split_once("restored checkpoint ")?;
    rest.split(' ').next()?.parse().ok()
}

#[test]
fn a_copy_of_a_running_crawl_goes_on_or_is_refused() {
    let web = Web::start(&["--hosts", "6", "--pages", "110", "--far", "0"]);
    let seeds: Vec<String> = (0..6)
        .map(|n| format!("http://h{n}.web.test:{}/", web.port))
        .collect();
    let more = ["--checkpoint-every", "1s", "--delay", "30ms"];
    let crawl = Crawl::new(&seeds, &more);
    let place = tempfile::tempdir().expect("a directory");
    let running = crawl.start();
    sleep(BETWEEN);
    let copies: Vec<_> = (0..COPIES)
        .map(|n| {
            let to = place.path().join(n.to_string());
            // A file may go while it is copied; that is part of the question.
            let _ = Command::new("cp")
                .arg("-r")
                .args([crawl.dir(), &to])
                .output();
            sleep(BETWEEN);
            to
        })
        .collect();
    running.wait().expect(0);
    let expected: BTreeSet<String> = crawl.urls_in("done");
    let (mut gone_on, mut refused) = (0, 0);
    for dir in copies {
        let copy = Crawl::new(&seeds, &more).in_dir(&dir);
        // Restored and killed, twice: the same checkpoint or a newer one each time.
        let mut newest = 0;
        for _ in 0..2 {
            let mut running = copy.start();
            while running.is_running() && epoch_restored(&running.stderr()).is_none() {
                sleep(Duration::from_millis(1));
            }
            let ended = running.kill();
            let epoch = epoch_restored(&ended.stderr).unwrap_or(newest);
            assert!(epoch >= newest, "{epoch} after {newest}: {ended:#?}");
            newest = epoch;
        }
        let ended = copy.run();
        if ended.code == Some(0) {
            assert!(epoch_restored(&ended.stderr) >= Some(1), "{ended:#?}");
            assert_eq!(copy.urls_in("done"), expected);
            copy.assert_sound();
            gone_on += 1;
        } else {
            assert_eq!(ended.code, Some(1), "{ended:#?}");
            let line = ended.only_line();
            assert!(line.contains("copy") || line.contains("damaged"), "{line}");
            let words = ["verify", dir.to_str().expect("UTF-8")];
            assert_ne!(cyclosa(&words).code, Some(0), "{line}");
            refused += 1;
        }
    }
    println!("{gone_on} copies went on, {refused} were refused");
    assert!(gone_on > 0);
}
