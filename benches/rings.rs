//! What a hop between stages costs, by shape, each beside a bounded crossbeam channel and an `ArrayQueue`.
//!
//! Shapes: `unicast` (one thread sends, one takes), `pipeline` (three hops, four threads), `hop` (both ends on one
//! thread, as small machines place them); batches of 1, 16 and 64. Events are `u64`, the size of a boxed page, and carry
//! no work. Whoever finds a ring full or empty yields, on all contestants alike: spinning with more threads than cores
//! would measure the scheduler. `ring_belled` adds a bell nobody sleeps on. Excluded: thread start, placement (unpinned).
//!
//! Run on an otherwise idle machine: `cargo bench --bench rings`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel as cb;
use crossbeam::queue::ArrayQueue;
use cyclosa::ring;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Slots of every ring and queue.
const CAPACITY: usize = 1_024;
/// Events that one criterion iteration stands for.
const EVENTS: u64 = 10_000;
/// Batch sizes.
const BATCHES: [usize; 3] = [1, 16, 64];

trait Tx: Send + 'static {
    fn send_one(&mut self, event: u64) -> bool;
    fn send_batch(&mut self, events: &mut Vec<u64>) -> usize;
}

trait Rx: Send + 'static {
    fn recv_one(&mut self) -> Option<u64>;
    fn take(&mut self, limit: usize, out: &mut Vec<u64>) -> usize;
}

impl Tx for ring::Sender<u64> {
    fn send_one(&mut self, event: u64) -> bool {
        self.send(event).is_ok()
    }
    fn send_batch(&mut self, events: &mut Vec<u64>) -> usize {
        ring::Sender::send_batch(self, events)
    }
}

impl Rx for ring::Receiver<u64> {
    fn recv_one(&mut self) -> Option<u64> {
        self.recv()
    }
    fn take(&mut self, limit: usize, out: &mut Vec<u64>) -> usize {
        ring::Receiver::take(self, limit, out)
    }
}

impl Tx for cb::Sender<u64> {
    fn send_one(&mut self, event: u64) -> bool {
        self.try_send(event).is_ok()
    }
    fn send_batch(&mut self, events: &mut Vec<u64>) -> usize {
        let sent = events.iter().take_while(|&&e| self.try_send(e).is_ok());
        let count = sent.count();
        events.drain(..count);
        count
    }
}

impl Rx for cb::Receiver<u64> {
    fn recv_one(&mut self) -> Option<u64> {
        self.try_recv().ok()
    }
    fn take(&mut self, limit: usize, out: &mut Vec<u64>) -> usize {
        let before = out.len();
        out.extend(self.try_iter().take(limit));
        out.len() - before
    }
}

impl Tx for Arc<ArrayQueue<u64>> {
    fn send_one(&mut self, event: u64) -> bool {
        self.push(event).is_ok()
    }
    fn send_batch(&mut self, events: &mut Vec<u64>) -> usize {
        let count = events.iter().take_while(|&&e| self.push(e).is_ok()).count();
        events.drain(..count);
        count
    }
}

impl Rx for Arc<ArrayQueue<u64>> {
    fn recv_one(&mut self) -> Option<u64> {
        self.pop()
    }
    fn take(&mut self, limit: usize, out: &mut Vec<u64>) -> usize {
        let before = out.len();
        out.extend(std::iter::from_fn(|| self.pop()).take(limit));
        out.len() - before
    }
}

/// Sends 0..total.
fn produce(mut tx: impl Tx, total: u64, batch: usize) {
    if batch == 1 {
        for event in 0..total {
            while !tx.send_one(event) {
                thread::yield_now();
            }
        }
        return;
    }
    let mut pending = Vec::with_capacity(batch);
    let mut next = 0;
    while next < total || !pending.is_empty() {
        let end = total.min(next + (batch - pending.len()) as u64);
        pending.extend(next..end);
        next = end;
        if tx.send_batch(&mut pending) == 0 {
            thread::yield_now();
        }
    }
}

/// Takes `total` events and gives each to `sink`.
fn consume(mut rx: impl Rx, total: u64, batch: usize, mut sink: impl FnMut(&mut Vec<u64>)) {
    let mut events = Vec::with_capacity(batch);
    let mut left = total;
    while left > 0 {
        let got = if batch == 1 {
            events.extend(rx.recv_one());
            events.len()
        } else {
            rx.take(batch, &mut events)
        };
        if got == 0 {
            thread::yield_now();
            continue;
        }
        left -= got as u64;
        sink(&mut events);
        events.clear();
    }
}

/// Takes `total` events and passes each on.
fn relay(rx: impl Rx, mut tx: impl Tx, total: u64, batch: usize) {
    consume(rx, total, batch, |events| {
        while !events.is_empty() {
            let sent = if batch == 1 {
                let sent = tx.send_one(events[0]);
                events.truncate(usize::from(!sent));
                usize::from(sent)
            } else {
                tx.send_batch(events)
            };
            if sent == 0 {
                thread::yield_now();
            }
        }
    });
}

/// Time from the start of all threads to the last event's arrival over `hops` hops.
fn through_threads<T: Tx, R: Rx>(
    make: fn() -> (T, R),
    hops: usize,
    total: u64,
    batch: usize,
) -> Duration {
    let start = Arc::new(Barrier::new(hops + 1));
    let (first, mut rx) = make();
    let mut threads = Vec::new();
    let at_start = Arc::clone(&start);
    threads.push(thread::spawn(move || {
        at_start.wait();
        produce(first, total, batch);
    }));
    for _ in 1..hops {
        let (tx, next) = make();
        let from = std::mem::replace(&mut rx, next);
        let at_start = Arc::clone(&start);
        threads.push(thread::spawn(move || {
            at_start.wait();
            relay(from, tx, total, batch);
        }));
    }
    start.wait();
    let began = Instant::now();
    let mut sum = 0_u64;
    consume(rx, total, batch, |events| {
        sum = events.iter().fold(sum, |s, &e| s.wrapping_add(e));
    });
    let took = began.elapsed();
    assert_eq!(sum, total * (total - 1) / 2);
    for thread in threads {
        thread.join().expect("a bench thread");
    }
    took
}

/// Time for `total` events that are sent and taken by turns on one thread.
fn on_one_thread<T: Tx, R: Rx>(make: fn() -> (T, R), total: u64, batch: usize) -> Duration {
    let (mut tx, mut rx) = make();
    let (mut events, mut out) = (Vec::with_capacity(batch), Vec::with_capacity(batch));
    let began = Instant::now();
    let mut next = 0;
    while next < total {
        if batch == 1 {
            tx.send_one(next);
            black_box(rx.recv_one());
        } else {
            events.extend(next..next + batch as u64);
            tx.send_batch(&mut events);
            rx.take(batch, &mut out);
            black_box(&out);
            out.clear();
        }
        next += batch as u64;
    }
    began.elapsed()
}

fn make_ring() -> (ring::Sender<u64>, ring::Receiver<u64>) {
    ring::channel(CAPACITY)
}

/// With a bell that nobody sleeps on: what waking costs those who need no waking.
fn make_belled() -> (ring::Sender<u64>, ring::Receiver<u64>) {
    let (mut tx, rx) = make_ring();
    tx.set_bell(ring::Bell::for_thread());
    (tx, rx)
}

fn make_channel() -> (cb::Sender<u64>, cb::Receiver<u64>) {
    cb::bounded(CAPACITY)
}

fn make_queue() -> (Arc<ArrayQueue<u64>>, Arc<ArrayQueue<u64>>) {
    let queue = Arc::new(ArrayQueue::new(CAPACITY));
    (Arc::clone(&queue), queue)
}

fn shapes<T: Tx, R: Rx>(c: &mut Criterion, contestant: &str, make: fn() -> (T, R)) {
    for (shape, hops) in [("unicast", 1), ("pipeline", 3), ("hop", 0)] {
        let mut group = c.benchmark_group(shape);
        group.throughput(Throughput::Elements(EVENTS));
        for batch in BATCHES {
            group.bench_with_input(BenchmarkId::new(contestant, batch), &batch, |b, &batch| {
                b.iter_custom(|iterations| {
                    let total = iterations * EVENTS;
                    match hops {
                        0 => on_one_thread(make, total, batch),
                        hops => through_threads(make, hops, total, batch),
                    }
                });
            });
        }
        group.finish();
    }
}

fn rings(c: &mut Criterion) {
    shapes(c, "ring", make_ring);
    shapes(c, "ring_belled", make_belled);
    shapes(c, "crossbeam_channel", make_channel);
    shapes(c, "array_queue", make_queue);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = rings
}
criterion_main!(benches);
