//! Two machines of one command line in lockstep: the leader interprets, the follower compiles. Under the virtual clock a
//! run is a function of what comes from outside, and both get that at the same count of instructions; so whatever they
//! differ in is a mistake of one of them.

use crate::accelerator::{LastRegion, PIECE_INSTRUCTIONS, Role, last_region};
use crate::board::{Config, Machine};
use crate::difference::{Difference, Pair, Piece, doublewords, guest_code, registers};
use crate::error::MachineError;
use crate::run::{Runner, Turn};
use crate::shared::{End, Ending};
use crate::twin::{FOLLOWER, LEADER, Line, Noted, Outside, Random, Repeated};
use engine::{Engine, EngineExit, EngineStats};
use memory::mail::pending;
use platform::Partition as _;
use std::sync::Arc;
use vcpu::Vcpu;

/// Pieces in a row in which the follower may retire nothing.
const EMPTY_PIECES_MAX: u32 = 100_000;

/// A change to the follower that is none of its own.
pub(crate) struct Disturbance {
    /// The count of instructions at which it happens.
    pub count: u64,
    pub change: Box<dyn FnOnce(&mut Vcpu) + Send>,
}

/// What a leader has of its follower.
pub(crate) struct Follower {
    pub machine: Machine,
    pub outside: Arc<Outside>,
    pub disturbance: Option<Disturbance>,
    lines: Vec<Arc<Line>>,
    random: Arc<Random>,
    ram_every: u64,
}

/// Two machines of one configuration: the leader, which has the follower.
pub(crate) fn build(config: Config) -> Result<Machine, MachineError> {
    if config.topology.vcpus != 1 {
        return Err(MachineError::LockstepVcpus(config.topology.vcpus));
    }
    if !config.clock.is_virtual() {
        return Err(MachineError::LockstepRealClock);
    }
    let outside = Arc::new(Outside::default());
    let random = Arc::new(Random::default());
    let lines: Vec<_> = config.consoles.iter().map(|console| Line::new(console.clone(), outside.clone())).collect();
    let consoles = |side| lines.iter().map(|line| line.end(side)).collect();
    let follower = Config {
        capabilities: config.capabilities.clone(),
        numa: config.numa.clone(),
        kernel: config.kernel.clone(),
        initrd: config.initrd.clone(),
        append: config.append.clone(),
        clock: timing::Clock::virtual_time(config.clock.wall_ns()),
        entropy: Arc::new(Repeated(random.clone())),
        consoles: consoles(FOLLOWER),
        nvram: config.nvram.copy_in_memory(),
        name: config.name.clone(),
        root_strings: config.root_strings.clone(),
        accelerator: config.accelerator.clone(),
        vcpu_observer: Arc::new(vcpu::Silent),
        hcall_observer: None,
        ..config
    };
    let ram_every = config.accelerator.ram_every.max(1);
    let entropy = Arc::new(Noted { source: config.entropy.clone(), random: random.clone() });
    let leader = Config { consoles: consoles(LEADER), entropy, ..config };
    // One after the other: the follower repeats the leader's random bytes.
    let mut leader = Machine::build(leader, Role::Leader)?;
    let machine = Machine::build(follower, Role::Follower)?;
    leader.follower = Some(Box::new(Follower { machine, outside, disturbance: None, lines, random, ram_every }));
    Ok(leader)
}

impl Machine {
    /// In lockstep: changes the follower when it has executed `count` instructions since power-on, to see whether the
    /// difference is found. Nothing in a machine without follower.
    pub fn disturb_follower(&mut self, count: u64, change: impl FnOnce(&mut Vcpu) + Send + 'static) {
        if let Some(follower) = &mut self.follower {
            follower.disturbance = Some(Disturbance { count, change: Box::new(change) });
        }
    }

    /// Counters of the follower in lockstep, which compiles.
    pub fn follower_stats(&self) -> Option<EngineStats> {
        self.follower.as_ref().map(|follower| follower.machine.stats())
    }
}

/// A machine's only vCPU.
struct Side<'a> {
    machine: &'a Machine,
    runner: &'a Runner,
    engine: (Engine, Turn),
}

impl<'a> Side<'a> {
    fn new(machine: &'a Machine, engine: (Engine, Turn)) -> Side<'a> {
        Side { machine, runner: &machine.runner, engine }
    }

    fn make_runnable(&mut self) -> bool {
        let (engine, turn) = &mut self.engine;
        matches!(turn, Turn::Running) || self.runner.make_runnable(engine, turn)
    }

    fn skip_to_deadline(&mut self) -> bool {
        self.runner.skip_to_deadline([&mut self.engine])
    }

    fn act(&mut self, exit: EngineExit) {
        if let Some(turn) = self.runner.act(&mut self.engine.0, exit) {
            self.engine.1 = turn;
        }
    }

    /// Registers that are not in the state, and time.
    fn others(&mut self) -> [(&'static str, u64); 7] {
        let ns = self.runner.clock.ns();
        let vcpu = self.engine.0.vcpu();
        // What is reserved does not matter when nothing is.
        let reservation = if vcpu.reservation.held { vcpu.reservation } else { Default::default() };
        // Mail and the decrementer's level are the vCPU's own business.
        let interrupts = vcpu.mailbox().pending() & !(pending::MAIL | pending::DECREMENTER);
        [
            ("time in ns", ns),
            ("dec", vcpu.decrementer() as u64),
            ("interrupts", interrupts.into()),
            ("reserved address", reservation.real),
            ("reserved bytes", reservation.size.into()),
            ("reserved value", reservation.value as u64 ^ (reservation.value >> 64) as u64),
            ("darn", vcpu.random),
        ]
    }
}

/// Both, at work.
struct Lockstep<'a> {
    leader: Side<'a>,
    follower: Side<'a>,
    piece: Piece,
}

impl Follower {
    /// Runs both from power-on until they end, and gives back their engines: the leader's, the follower's.
    ///
    /// # Errors
    /// The first difference.
    pub fn run(
        &mut self,
        leader: &Machine,
        engines: [(Engine, Turn); 2],
    ) -> Result<[(Engine, Turn); 2], Box<Difference>> {
        let Follower { machine, outside, disturbance, lines, random, ram_every } = self;
        let [a, b] = engines;
        let (leader, follower) = (Side::new(leader, a), Side::new(machine, b));
        let mut both = Lockstep { leader, follower, piece: Piece::default() };
        let mut next_ram = *ram_every;
        let mut empty = 0;
        loop {
            both.obey(outside, lines);
            if both.same("the end of the run", |side| side.runner.shared.ending())?.is_some() {
                break;
            }
            if !both.same("whether the vCPU has something to do", Side::make_runnable)? {
                if !both.same("whether there is a deadline", Side::skip_to_deadline)? {
                    outside.wait();
                }
                continue;
            }
            let until = disturbance.as_ref().map_or(u64::MAX, |disturbance| disturbance.count);
            let exit = both.run_piece(until)?;
            empty = if both.piece.instructions == 0 { empty + 1 } else { 0 };
            if empty > EMPTY_PIECES_MAX {
                return Err(both.difference("the follower comes back and has executed nothing", Vec::new()));
            }
            if let Some(due) = disturbance.take_if(|due| due.count <= both.follower.engine.0.retired()) {
                (due.change)(both.follower.engine.0.vcpu());
            }
            both.compare("registers differ")?;
            if let EngineExit::Hypercall | EngineExit::Stopped = exit {
                let number = both.leader.engine.0.vcpu().state.gpr[3];
                both.leader.act(exit);
                both.follower.act(exit);
                both.compare(&format!("what hypercall {number:#x} left in registers differs"))?;
                both.same("what the vCPU does after a hypercall", |side| side.engine.1)?;
                both.compare_outputs(lines, random)?;
            }
            if both.leader.engine.0.retired() >= next_ram {
                both.compare_all(next_ram - *ram_every)?;
                next_ram = both.leader.engine.0.retired().saturating_add(*ram_every);
            }
        }
        both.compare("registers differ")?;
        both.compare_all(next_ram - *ram_every)?;
        Ok([both.leader.engine, both.follower.engine])
    }
}

impl<'a> Lockstep<'a> {
    /// Does to both what is asked for from outside.
    fn obey(&mut self, outside: &Outside, lines: &[Arc<Line>]) {
        let Some(orders) = outside.take() else { return };
        if orders.input {
            lines.iter().for_each(|line| line.deliver_input());
        }
        for runner in [self.leader.runner, self.follower.runner] {
            if orders.system_reset {
                runner.shared.system_reset(0);
            }
            if let Some(reason) = &orders.quit {
                runner.shared.end(Ending::End(End::Quit(reason.clone())));
            }
        }
    }

    /// Lets the follower run up to where it comes back, at most to the count `until`, and the leader just as far.
    fn run_piece(&mut self, until: u64) -> Result<EngineExit, Box<Difference>> {
        let begin = self.follower.engine.0.retired();
        let state = &self.leader.engine.0.vcpu().state;
        self.piece = Piece { begin, address: state.nia, msr: state.msr, instructions: 0 };
        let most = if until > begin { PIECE_INSTRUCTIONS.min(until - begin) } else { PIECE_INSTRUCTIONS };
        let exit = self.follower.engine.0.run(most);
        let retired = self.follower.engine.0.retired() - begin;
        self.piece.instructions = retired;
        if retired == 0 && exit == EngineExit::Budget {
            return Ok(exit);
        }
        // What stops the vCPU before its next instruction shows only if there is one to be executed.
        let leader = self.leader.engine.0.run(retired.max(1));
        let same_count = self.leader.engine.0.retired() == self.follower.engine.0.retired();
        let comes_back = |exit| matches!(exit, EngineExit::Hypercall | EngineExit::Stopped).then_some(exit);
        if !same_count || comes_back(leader) != comes_back(exit) {
            let count = |side: &Side<'_>| side.engine.0.retired().to_string();
            let pairs = vec![
                Pair::new("count", count(&self.leader), count(&self.follower)),
                Pair::new("exit", format!("{leader:?}"), format!("{exit:?}")),
            ];
            return Err(self.difference("one leaves its code and the other does not", pairs));
        }
        Ok(exit)
    }

    /// The same question to both.
    fn same<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        mut ask: impl FnMut(&mut Side<'a>) -> T,
    ) -> Result<T, Box<Difference>> {
        let (leader, follower) = (ask(&mut self.leader), ask(&mut self.follower));
        if leader == follower {
            return Ok(leader);
        }
        let pairs = vec![Pair::new(what, format!("{leader:?}"), format!("{follower:?}"))];
        Err(self.difference(&format!("{what} differs"), pairs))
    }

    /// Registers and time.
    fn compare(&mut self, what: &str) -> Result<(), Box<Difference>> {
        for side in [&mut self.leader, &mut self.follower] {
            side.engine.0.vcpu().settle_cr();
        }
        let others = (self.leader.others(), self.follower.others());
        if self.leader.engine.0.vcpu().state == self.follower.engine.0.vcpu().state && others.0 == others.1 {
            return Ok(());
        }
        Err(self.difference(what, Vec::new()))
    }

    /// What both wrote and drew in their last hypercall.
    fn compare_outputs(&mut self, lines: &[Arc<Line>], random: &Random) -> Result<(), Box<Difference>> {
        for (index, line) in lines.iter().enumerate() {
            let [leader, follower] = line.take_output();
            if leader != follower {
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                let pairs = vec![Pair::new(format!("terminal {index}"), text(&leader), text(&follower))];
                return Err(self.difference("console output differs", pairs));
            }
        }
        match random.left() {
            0 => Ok(()),
            left => {
                let pairs = vec![Pair::new("bytes drawn more", left.to_string(), "0")];
                Err(self.difference("the use of random bytes differs", pairs))
            }
        }
    }

    /// RAM and devices, which were the same at the count `before`.
    fn compare_all(&mut self, before: u64) -> Result<(), Box<Difference>> {
        let (leader, follower) = (&self.leader.runner.ram.0, &self.follower.runner.ram.0);
        if let Some(page) = leader.first_different_page(follower) {
            let pairs = doublewords(page, leader, follower);
            let what = format!(
                "RAM differs (it was the same after {before} instructions; -accel lockstep,ram-every=N with a smaller N \
                 finds it earlier)"
            );
            return Err(self.difference(&what, pairs));
        }
        let tables = [leader.hash_table(), follower.hash_table()];
        if let Some(index) = tables[0].first_difference(&tables[1]) {
            let entry = |table: &memory::HashTable| match index < table.entries() {
                true => format!("{:#018x?}", table.read(index)),
                false => "none".into(),
            };
            let pairs = vec![Pair::new(format!("entry {index:#x}"), entry(&tables[0]), entry(&tables[1]))];
            return Err(self.difference("the hash table differs", pairs));
        }
        let devices = (self.leader.machine.devices(), self.follower.machine.devices());
        let differ = devices.0.into_iter().zip(devices.1).filter(|((_, a), (_, b))| a != b);
        let pairs: Vec<_> = differ.map(|((name, a), (_, b))| Pair::new(name, a, b)).collect();
        if pairs.is_empty() { Ok(()) } else { Err(self.difference("devices differ", pairs)) }
    }

    /// What is to be said: `pairs`, and all registers that differ.
    fn difference(&mut self, what: &str, mut pairs: Vec<Pair>) -> Box<Difference> {
        let others = self.leader.others().into_iter().zip(self.follower.others());
        let (leader, follower) = (self.leader.engine.0.vcpu(), self.follower.engine.0.vcpu());
        leader.settle_cr();
        follower.settle_cr();
        pairs.extend(registers(&leader.state, &follower.state));
        let other = |((name, a), (_, b))| Pair::new(name, format!("{a:#x}"), format!("{b:#x}"));
        pairs.extend(others.filter(|(a, b)| a != b).map(other));
        let address = leader.state.nia;
        // What was interpreted before a region is the same in both.
        let region = last_region(&mut self.follower.engine.0);
        let code_from = region.as_ref().map_or(self.piece.address, |region| region.address);
        Box::new(Difference {
            what: what.into(),
            count: self.follower.engine.0.retired(),
            address,
            piece: self.piece,
            pairs,
            guest_code: guest_code(self.leader.engine.0.vcpu(), &Piece { address: code_from, ..self.piece }),
            host_code: region.map(|LastRegion { host_code, .. }| host_code),
        })
    }
}
