//! From a fetched page to bytes in a segment: making the record (by level, and for a body that came gzipped), undoing
//! gzip beside a plain streaming decoder, and the store's throughput into the page cache. Syncs are excluded: they are
//! the checkpointer's.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cyclosa::config::Config;
use cyclosa::disk::{Access, Disk, DiskFile};
use cyclosa::event::{Coding, Commit, CrawlIdentity, Outcome, Page, StoreNote};
use cyclosa::limits::HEADROOM_BYTES;
use cyclosa::parse::decode::Decoder;
use cyclosa::parse::record::{Level, RecordWriter};
use cyclosa::store::plain::PlainFile;
use cyclosa::store::{Part, Settings, Store};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// 26 KB of text that compresses about as documentation does.
fn text() -> Vec<u8> {
    let sources = concat!(
        include_str!("../src/event.rs"),
        include_str!("../src/limits.rs")
    );
    sources.bytes().take(26_000).collect()
}

fn gzipped() -> Vec<u8> {
    let mut enc = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    enc.write_all(&text()).expect("memory");
    enc.finish().expect("memory")
}

fn page(body: &[u8], coding: Coding) -> Page {
    let head =
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\n\r\n";
    let mut page = Page {
        url: b"http://docs.web.test/guide/chapter/page.html".to_vec(),
        outcome: Outcome::Fetched,
        fetched_at: 1_700_000_000_000,
        ..Page::default()
    };
    page.buf = vec![0; HEADROOM_BYTES];
    page.buf.extend_from_slice(head);
    page.buf.extend_from_slice(body);
    page.head_at = HEADROOM_BYTES as u32;
    page.body_at = page.head_at + head.len() as u32;
    page.body_end = page.buf.len() as u32;
    page.facts.status = 200;
    page.facts.codings[0] = coding;
    page
}

fn records(c: &mut Criterion) {
    let mut writer = RecordWriter::new([1; 16]).expect("memory");
    let mut group = c.benchmark_group("record");
    for level in [Level::Fast, Level::Normal, Level::Deep] {
        let mut page = page(&text(), Coding::Identity);
        group.bench_function(format!("text_26k_{level:?}"), |b| {
            b.iter(|| writer.response(black_box(&mut page), level));
        });
        println!("text_26k_{level:?}: {} bytes stored", page.record.len());
    }
    let mut page = page(&gzipped(), Coding::Gzip);
    group.bench_function("gzip_of_26k", |b| {
        b.iter(|| writer.response(black_box(&mut page), Level::Normal));
    });
    println!("gzip_of_26k: {} bytes stored", page.record.len());
    group.finish();
}

fn decoding(c: &mut Criterion) {
    let (body, mut decoder) = (gzipped(), Decoder::new());
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(26_000));
    group.bench_function("gzip", |b| {
        b.iter(|| {
            decoder
                .decode(black_box(&body), &[Coding::Gzip])
                .bytes()
                .len()
        });
    });
    group.bench_function("gzip_streaming_baseline", |b| {
        b.iter(|| {
            let mut out = Vec::new();
            let mut stream = flate2::read::GzDecoder::new(black_box(&body[..]));
            stream.read_to_end(&mut out).expect("gzip")
        });
    });
    group.finish();
}

/// A directory of plain files; nothing is synced.
struct Dir(PathBuf);

impl Disk for Dir {
    fn create(&self, name: &str, _: Access, _: u64) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(PlainFile::create(&self.0.join(name))?))
    }
    fn open(&self, name: &str, _: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(PlainFile::open(&self.0.join(name))?))
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name))
    }
    fn len(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(std::fs::metadata(self.0.join(name)).ok().map(|m| m.len()))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }
    fn list(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.0)?;
        names
            .map(|n| Ok(n?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

fn store(c: &mut Criterion) {
    const PAGES: u64 = 1_024;
    let crawl = CrawlIdentity {
        id: [1; 16],
        key: [2; 32],
        created: 1,
    };
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(PAGES));
    group.sample_size(20);
    for copies in [false, true] {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let disk = Arc::new(Dir(dir.path().to_owned()));
        let settings = Settings {
            segment_bytes: 64 << 20,
            ..Settings::of(&Config::default())
        };
        let mut store = Store::create(disk.clone(), &crawl, settings).expect("a store");
        let mut pages: Vec<Box<Page>> = Vec::new();
        for i in 0..PAGES {
            let mut page = Box::new(page(&[7; 6_000], Coding::Gzip));
            page.record = vec![i as u8; 6_000];
            page.record_plain_len = 26_000;
            pages.push(page);
        }
        let mut fresh = 0u64;
        let name = if copies { "revisits" } else { "frames_of_6k" };
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    for page in &mut pages {
                        fresh += u64::from(!copies);
                        page.digest[..8].copy_from_slice(&fresh.to_le_bytes());
                        page.record.resize(6_000, 7);
                    }
                    let start = Instant::now();
                    for page in pages.drain(..) {
                        store.commit(Commit::Page(page), 0);
                    }
                    store.turn(0).expect("a turn");
                    pages.extend(store.returned());
                    spent += start.elapsed();
                    for note in store.notes() {
                        // Keep the scratch directory small.
                        if let StoreNote::Opened {
                            segment: old @ 3.., ..
                        } = note
                        {
                            let name = Part::Data.name(old - 2);
                            disk.remove(&name).expect("a sealed segment");
                        }
                    }
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, records, decoding, store);
criterion_main!(benches);
