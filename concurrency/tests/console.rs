//! The console's queues.

use aileron_concurrency::queue::{INPUT_BYTES_MAX, QueuedConsole};
use aileron_concurrency::take_output;
use platform::Console as _;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use std::sync::Arc;

const RUNS: usize = 20_000;

/// What vCPUs write, the writer gets, each vCPU's in its order; a wake-up that is lost is a deadlock.
#[test]
fn all_output_comes_out() {
    shuttle::check_random(
        || {
            let console = QueuedConsole::new();
            let writers: Vec<_> = [b'a', b'A']
                .map(|first| {
                    let console = console.clone();
                    thread::spawn(move || (first..first + 3).for_each(|byte| assert_eq!(console.write(&[byte]), 1)))
                })
                .into_iter()
                .collect();
            let mut seen = Vec::new();
            while seen.len() < 6 {
                seen.extend(take_output(&console));
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let of = |range: std::ops::RangeInclusive<u8>| -> Vec<u8> {
                seen.iter().copied().filter(|byte| range.contains(byte)).collect()
            };
            assert_eq!((of(b'a'..=b'c'), of(b'A'..=b'C')), (b"abc".to_vec(), b"ABC".to_vec()));
        },
        RUNS,
    );
}

/// Who feeds a full queue goes on when the guest reads, and the guest hears of all input.
#[test]
fn a_reader_that_waits_for_room_goes_on() {
    shuttle::check_random(
        || {
            let console = QueuedConsole::new();
            let told = Arc::new(AtomicUsize::new(0));
            let heard = told.clone();
            console.set_input_notifier(Arc::new(move || {
                heard.fetch_add(1, SeqCst);
            }));
            assert_eq!(console.push_input(&vec![0; INPUT_BYTES_MAX]), INPUT_BYTES_MAX);
            let feeder = {
                let console = console.clone();
                thread::spawn(move || console.feed(b"xyz"))
            };
            let mut seen = Vec::new();
            let mut buffer = vec![0; INPUT_BYTES_MAX / 2 + 1];
            while seen.len() < INPUT_BYTES_MAX + 3 {
                let count = console.read(&mut buffer);
                seen.extend(&buffer[..count]);
                thread::yield_now();
            }
            feeder.join().unwrap();
            assert!(seen.ends_with(b"xyz"));
            assert!(told.load(SeqCst) >= 2, "the first input, and what came after there was room");
        },
        RUNS / 20,
    );
}
