//! Tests of the ring: order, loss, drops, bounds, and wake-ups, on one thread and on two.

use super::super::Bell;
use super::*;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

/// Counts its drops.
struct Counted(u64, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted(drops: &Arc<AtomicUsize>, n: u64) -> Counted {
    Counted(n, Arc::clone(drops))
}

#[test]
fn capacity_is_rounded_up_and_exact() {
    for (asked, got) in [(0, 2), (1, 2), (2, 2), (3, 4), (1_000, 1_024)] {
        let (mut tx, _rx) = channel::<usize>(asked);
        assert_eq!((tx.capacity(), tx.free()), (got, got));
        for n in 0..got {
            assert_eq!(tx.free(), got - n);
            tx.send(n).unwrap();
        }
        assert_eq!(tx.free(), 0);
        assert_eq!(tx.send(7), Err(Full(7)), "the value comes back");
    }
}

#[test]
fn values_come_in_order_through_many_rounds_of_a_small_ring() {
    let (mut tx, mut rx) = channel(4);
    let (mut next, mut expected) = (0_u64, 0_u64);
    let mut out = Vec::new();
    for round in 0..10_000_usize {
        let mut batch: Vec<u64> = (next..next + (round % 6) as u64).collect();
        let all = batch.len();
        let sent = tx.send_batch(&mut batch);
        assert_eq!(batch.len(), all - sent, "what does not fit stays");
        assert!(batch.first().is_none_or(|&b| b == next + sent as u64));
        next += sent as u64;
        rx.take(round % 4, &mut out);
        out.extend(rx.recv());
        for value in out.drain(..) {
            assert_eq!(value, expected);
            expected += 1;
        }
        assert_eq!(tx.free() as u64, 4 - (next - expected));
        assert_eq!(rx.gauge().depth(), next - expected);
        assert_eq!(rx.is_empty(), next == expected);
    }
    assert!(expected > 10_000, "the rounds moved something");
}

#[test]
fn a_limit_of_zero_takes_and_acknowledges_nothing() {
    let (mut tx, mut rx) = channel(2);
    tx.send(1).unwrap();
    assert_eq!(rx.take(0, &mut Vec::new()), 0);
    assert_eq!(tx.free(), 1);
    assert_eq!(rx.recv(), Some(1));
    assert_eq!(rx.recv(), None);
}

#[test]
fn an_empty_batch_is_nothing() {
    let (mut tx, rx) = channel::<u8>(2);
    assert_eq!(tx.send_batch(&mut Vec::new()), 0);
    assert!(rx.is_empty());
}

#[test]
fn values_left_in_the_ring_are_dropped_once_whichever_end_goes_first() {
    for sender_first in [true, false] {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut tx, mut rx) = channel(8);
        for n in 0..12 {
            if let Err(Full(value)) = tx.send(counted(&drops, n)) {
                assert_eq!(value.0, n);
                drop(rx.recv());
                tx.send(value).unwrap();
            }
        }
        assert_eq!(drops.load(Ordering::Relaxed), 4);
        if sender_first {
            drop(tx);
            drop(rx);
        } else {
            drop(rx);
            drop(tx);
        }
        assert_eq!(drops.load(Ordering::Relaxed), 12);
    }
}

#[test]
fn each_end_learns_that_the_other_is_gone() {
    let (mut tx, mut rx) = channel(2);
    tx.send(5).unwrap();
    assert!(!rx.is_closed() && !tx.is_closed());
    drop(tx);
    assert!(!rx.is_closed(), "not while there is something to take");
    assert_eq!(rx.recv(), Some(5));
    assert!(rx.is_closed());
    assert_eq!(rx.recv(), None);

    let (mut tx, rx) = channel(2);
    drop(rx);
    assert!(tx.is_closed());
    assert!(tx.send(1).is_ok() && tx.send(2).is_ok());
    assert_eq!(tx.send(3), Err(Full(3)), "full, not lost in silence");
}

#[test]
fn values_skipped_by_an_unwinding_consumer_are_dropped_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut tx, mut rx) = channel(4);
    for n in 0..4 {
        tx.send(counted(&drops, n)).unwrap();
    }
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = rx.poller.poll().ok();
        panic!("a consumer that dies with everything acknowledged and nothing read");
    }));
    assert!(caught.is_err());
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    for n in 4..8 {
        tx.send(counted(&drops, n)).unwrap();
    }
    assert_eq!(drops.load(Ordering::Relaxed), 4, "overwritten, not leaked");
    drop((tx, rx));
    assert_eq!(drops.load(Ordering::Relaxed), 8);
}

/// Sends `total` boxed numbers from another thread through a ring of `capacity` and checks order and drops here.
fn stress(total: u64, capacity: usize, batch: usize, limit: usize) {
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut tx, mut rx) = channel(capacity);
    let their_drops = Arc::clone(&drops);
    let sender = thread::spawn(move || {
        let mut pending = Vec::with_capacity(batch);
        let mut next = 0;
        while next < total || !pending.is_empty() {
            while pending.len() < batch && next < total {
                pending.push(Box::new(counted(&their_drops, next)));
                next += 1;
            }
            if tx.send_batch(&mut pending) == 0 {
                thread::yield_now();
            }
        }
    });
    let mut out = Vec::new();
    let mut expected = 0;
    while !rx.is_closed() {
        if rx.take(limit, &mut out) == 0 {
            thread::yield_now();
        }
        for value in out.drain(..) {
            assert_eq!(value.0, expected);
            expected += 1;
        }
    }
    sender.join().unwrap();
    assert_eq!(expected, total);
    assert_eq!(drops.load(Ordering::Relaxed) as u64, total);
}

#[test]
fn two_threads_pass_millions_in_order_and_drop_each_once() {
    stress(2_000_000, 1_024, 64, 64);
    stress(500_000, 2, 1, 1);
    stress(1_000_000, 64, 7, 1_000);
}

#[test]
fn two_threads_pass_single_values_in_order() {
    const TOTAL: u64 = 1_000_000;
    let (mut tx, mut rx) = channel(256);
    let sender = thread::spawn(move || {
        for mut n in 0..TOTAL {
            while let Err(Full(back)) = tx.send(n) {
                n = back;
                thread::yield_now();
            }
        }
    });
    let mut expected = 0;
    while expected < TOTAL {
        match rx.recv() {
            Some(n) => {
                assert_eq!(n, expected);
                expected += 1;
            }
            None => thread::yield_now(),
        }
    }
    sender.join().unwrap();
    assert!(rx.is_closed());
}

#[test]
fn a_parked_consumer_is_woken_by_every_send_and_by_the_end() {
    const TOTAL: u64 = 2_000;
    let (mut there, mut their_end) = channel(2);
    let (mut back, mut my_end) = channel(2);
    let (their_bell, my_bell) = (Bell::for_thread(), Bell::for_thread());
    there.set_bell(Arc::clone(&their_bell));
    back.set_bell(Arc::clone(&my_bell));
    // Long enough that one lost wake-up hangs the test for good: nothing here is saved by the bound.
    let for_ever = Duration::from_secs(3_600);
    let echo = thread::spawn(move || {
        while !their_end.is_closed() {
            while let Some(n) = their_end.recv() {
                back.send(n).unwrap();
            }
            their_bell.park(for_ever, || !their_end.is_empty() || their_end.is_closed());
        }
    });
    for n in 0..TOTAL {
        there.send(n).unwrap();
        let answer = loop {
            if let Some(answer) = my_end.recv() {
                break answer;
            }
            my_bell.park(for_ever, || !my_end.is_empty());
        };
        assert_eq!(answer, n);
    }
    drop(there);
    echo.join().unwrap();
    assert!(my_end.is_closed());
}
