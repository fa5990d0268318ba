//! What two machines in lockstep get from outside: the same input, the same random bytes, the same orders, at the same
//! count of instructions. And what they give: kept, to be compared.

use crate::shared::lock;
use platform::{Console, Entropy, InputNotifier};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Input that waits in a terminal of the pair, in bytes; more waits in the console behind it.
const INPUT_BYTES_MAX: usize = 4096;

/// Place of the leader in what there is two of; the follower's is the other.
pub(crate) const LEADER: usize = 0;
/// Place of the follower.
pub(crate) const FOLLOWER: usize = 1;

/// What was asked of the pair since it looked last.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// The run is to end, for this reason.
    pub quit: Option<String>,
    /// A system reset of all vCPUs.
    pub system_reset: bool,
    /// A console has input.
    pub input: bool,
}

/// Where other threads leave what they want until both machines stand at the same count.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    orders: Mutex<Orders>,
    /// There are orders: looked at after each piece.
    any: AtomicBool,
    arrived: Condvar,
    /// Somebody wanted the run to end: nobody waits for a slow console any more.
    quitting: AtomicBool,
}

impl Outside {
    fn note(&self, change: impl FnOnce(&mut Orders)) {
        // With the lock held: whoever waits would miss it between its look and its sleep.
        let mut orders = lock(&self.orders);
        change(&mut orders);
        self.any.store(true, SeqCst);
        self.arrived.notify_all();
    }

    /// The run is to end. The first reason counts.
    pub fn quit(&self, reason: String) {
        self.quitting.store(true, SeqCst);
        self.note(|orders| {
            orders.quit.get_or_insert(reason);
        });
    }

    /// A system reset is wanted.
    pub fn system_reset(&self) {
        self.note(|orders| orders.system_reset = true);
    }

    /// What was asked for, once.
    pub fn take(&self) -> Option<Orders> {
        if !self.any.load(SeqCst) {
            return None;
        }
        let mut orders = lock(&self.orders);
        self.any.store(false, SeqCst);
        Some(std::mem::take(&mut orders))
    }

    /// Sleeps until something is asked for.
    pub fn wait(&self) {
        let nothing = |_: &mut Orders| !self.any.load(SeqCst);
        drop(self.arrived.wait_while(lock(&self.orders), nothing).unwrap_or_else(PoisonError::into_inner));
    }
}

/// What one machine has of a terminal.
#[derive(Default)]
struct Side {
    input: Mutex<VecDeque<u8>>,
    notifier: Mutex<Option<InputNotifier>>,
    output: Mutex<Vec<u8>>,
}

/// A terminal that both machines have.
pub(crate) struct Line {
    console: Arc<dyn Console>,
    outside: Arc<Outside>,
    sides: [Side; 2],
    /// The console has more input than there was room for.
    more: AtomicBool,
}

impl Line {
    /// Puts a console behind the terminal of both.
    pub fn new(console: Arc<dyn Console>, outside: Arc<Outside>) -> Arc<Line> {
        let waker = outside.clone();
        console.set_input_notifier(Arc::new(move || waker.note(|orders| orders.input = true)));
        Arc::new(Line { console, outside, sides: Default::default(), more: AtomicBool::new(false) })
    }

    /// The terminal as one of the machines has it.
    pub fn end(self: &Arc<Line>, side: usize) -> Arc<dyn Console> {
        Arc::new(LineEnd { line: self.clone(), side })
    }

    /// Gives input that waits to both.
    pub fn deliver_input(&self) {
        let room = INPUT_BYTES_MAX - lock(&self.sides[LEADER].input).len().min(INPUT_BYTES_MAX);
        let mut bytes = vec![0; room];
        let count = self.console.read(&mut bytes);
        self.more.store(count == room, SeqCst);
        if count == 0 {
            return;
        }
        for side in &self.sides {
            lock(&side.input).extend(&bytes[..count]);
            let notifier = lock(&side.notifier).clone();
            if let Some(notifier) = notifier {
                notifier();
            }
        }
    }

    /// What both wrote since the last time: leader's, follower's.
    pub fn take_output(&self) -> [Vec<u8>; 2] {
        [LEADER, FOLLOWER].map(|side| std::mem::take(&mut *lock(&self.sides[side].output)))
    }
}

/// An end of a [`Line`].
struct LineEnd {
    line: Arc<Line>,
    side: usize,
}

impl Console for LineEnd {
    fn read(&self, buffer: &mut [u8]) -> usize {
        let mut input = lock(&self.line.sides[self.side].input);
        let count = buffer.len().min(input.len());
        for (slot, byte) in buffer.iter_mut().zip(input.drain(..count)) {
            *slot = byte;
        }
        drop(input);
        if count != 0 && self.side == LEADER && self.line.more.swap(false, SeqCst) {
            self.line.outside.note(|orders| orders.input = true);
        }
        count
    }

    fn write(&self, data: &[u8]) -> usize {
        let taken = match self.side {
            LEADER if !self.line.outside.quitting.load(SeqCst) => self.line.console.write(data).min(data.len()),
            // What the follower writes is compared only.
            _ => data.len(),
        };
        lock(&self.line.sides[self.side].output).extend(&data[..taken]);
        taken
    }

    fn set_input_notifier(&self, notifier: InputNotifier) {
        *lock(&self.line.sides[self.side].notifier) = Some(notifier);
    }

    fn flush(&self) {
        if self.side == LEADER {
            self.line.console.flush();
        }
    }
}

/// Random bytes that the leader got and the follower did not yet.
#[derive(Debug, Default)]
pub(crate) struct Random(Mutex<VecDeque<u8>>);

impl Random {
    /// How many bytes one of the two got more than the other.
    pub fn left(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Entropy of the leader: what it gets is noted.
pub(crate) struct Noted {
    pub source: Arc<dyn Entropy>,
    pub random: Arc<Random>,
}

impl Entropy for Noted {
    fn fill(&self, buffer: &mut [u8]) {
        self.source.fill(buffer);
        lock(&self.random.0).extend(&*buffer);
    }
}

/// Entropy of the follower: what the leader got. Asked for more than that it gives zeros, and the two differ.
pub(crate) struct Repeated(pub Arc<Random>);

impl Entropy for Repeated {
    fn fill(&self, buffer: &mut [u8]) {
        let mut random = lock(&self.0.0);
        buffer.fill_with(|| random.pop_front().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Has 10,000 bytes of input, and takes three bytes of output at a time.
    struct Source(AtomicUsize);

    impl Console for Source {
        fn read(&self, buffer: &mut [u8]) -> usize {
            let count = buffer.len().min(10_000 - self.0.load(SeqCst));
            self.0.fetch_add(count, SeqCst);
            count
        }

        fn write(&self, data: &[u8]) -> usize {
            data.len().min(3)
        }

        fn set_input_notifier(&self, notifier: InputNotifier) {
            notifier();
        }
    }

    #[test]
    fn both_get_all_input_and_are_told_alike() {
        let outside = Arc::new(Outside::default());
        let line = Line::new(Arc::new(Source(AtomicUsize::new(0))), outside.clone());
        let ends = [LEADER, FOLLOWER].map(|side| line.end(side));
        let told = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        for (end, told) in ends.iter().zip(&told) {
            let told = told.clone();
            end.set_input_notifier(Arc::new(move || {
                told.fetch_add(1, SeqCst);
            }));
        }
        let mut got = [0; 2];
        let mut buffer = [0; 1000];
        for round in 0.. {
            match outside.take() {
                Some(orders) => {
                    assert!(orders.input);
                    line.deliver_input();
                }
                None if round > 100 => break,
                None => {}
            }
            for (end, got) in ends.iter().zip(&mut got) {
                *got += end.read(&mut buffer);
            }
            assert_eq!(got[0], got[1]);
        }
        assert_eq!(got, [10_000; 2]);
        let told = told.map(|told| told.load(SeqCst));
        assert!(told[0] == told[1] && told[0] >= 3, "{told:?}");
    }

    #[test]
    fn output_is_kept_as_it_was_taken() {
        let outside = Arc::new(Outside::default());
        let line = Line::new(Arc::new(Source(AtomicUsize::new(0))), outside.clone());
        let (leader, follower) = (line.end(LEADER), line.end(FOLLOWER));
        assert_eq!((leader.write(b"abcdef"), leader.write(b"def"), follower.write(b"abcdef")), (3, 3, 6));
        assert_eq!(line.take_output(), [b"abcdef", b"abcdef"]);
        outside.quit("enough".into());
        assert_eq!(leader.write(b"abcdef"), 6);
        assert_eq!(line.take_output(), [b"abcdef".to_vec(), Vec::new()]);
        outside.quit("more than enough".into());
        outside.wait();
        assert_eq!(outside.take().unwrap().quit.unwrap(), "enough");
        assert!(outside.take().is_none());
    }

    #[test]
    fn random_bytes_are_the_same() {
        let random = Arc::new(Random::default());
        let source = Arc::new(platform::SeededEntropy::new(1));
        let (noted, repeated) = (Noted { source, random: random.clone() }, Repeated(random.clone()));
        let (mut a, mut b) = ([0; 13], [0; 13]);
        noted.fill(&mut a);
        assert_eq!(random.left(), 13);
        repeated.fill(&mut b);
        assert!(a == b && a != [0; 13] && random.left() == 0);
        assert_eq!(repeated.next_u64(), 0);
    }
}
