//! Any calls on terminals whose consoles take as much as they like. What the fuzz target `vty` runs.

use crate::{VioBus, Vty};
use platform::mock::{Input, MockWorld};
use platform::papr::HcallStatus;
use platform::papr::opcode::{H_GET_TERM_CHAR, H_PUT_TERM_CHAR, H_VIO_SIGNAL};
use platform::papr::token::DISPLAY_CHARACTER;
use platform::{Console, InputNotifier, InterruptController, PaprDevice, RtasCall};
use snapshot::{Io, Section};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// First terminal's number and source; the second one's are one more.
const REG: u32 = 0x7100_0000;
const XISR: u32 = 0x1100;
/// Characters in a call.
const MOST: usize = 16;

/// A console that takes at most so many bytes of a write.
#[derive(Default)]
struct Fussy {
    room: Mutex<usize>,
    written: Mutex<Vec<u8>>,
    input: Mutex<VecDeque<u8>>,
    notifier: Mutex<Option<InputNotifier>>,
}

impl Console for Fussy {
    fn read(&self, buffer: &mut [u8]) -> usize {
        let mut input = crate::lock(&self.input);
        let count = buffer.len().min(input.len());
        for (slot, byte) in buffer.iter_mut().zip(input.drain(..count)) {
            *slot = byte;
        }
        count
    }

    fn write(&self, data: &[u8]) -> usize {
        let count = data.len().min(*crate::lock(&self.room));
        crate::lock(&self.written).extend(&data[..count]);
        count
    }

    fn set_input_notifier(&self, notifier: InputNotifier) {
        *crate::lock(&self.notifier) = Some(notifier);
    }
}

#[derive(Default)]
struct Pulses(Mutex<Vec<u32>>);

impl InterruptController for Pulses {
    fn set_level(&self, _: u32, _: bool) {}
    fn pulse(&self, xisr: u32) {
        crate::lock(&self.0).push(xisr);
    }
}

/// What a terminal should have done.
#[derive(Default)]
struct Model {
    /// What the guest was told to be rid of.
    sent: Vec<u8>,
    /// What was typed and not read.
    typed: VecDeque<u8>,
    silent: bool,
}

fn bus(consoles: &[Arc<Fussy>; 2], pulses: &Arc<Pulses>) -> VioBus {
    let vty = |n: u32| {
        let console: Arc<dyn Console> = consoles[n as usize].clone();
        Vty::new(REG + n, XISR + n, console, pulses.clone())
    };
    VioBus::new(vec![vty(0), vty(1)])
}

/// Calls that `data` says.
///
/// # Panics
/// If a character is lost, doubled or comes out of order, input is announced wrongly, or a saved bus is another one.
pub fn vty(data: &[u8]) {
    let mut input = Input::new(data);
    let world = MockWorld::new(1, 1 << 12);
    let consoles = [Arc::new(Fussy::default()), Arc::new(Fussy::default())];
    let pulses = Arc::new(Pulses::default());
    let mut bus = bus(&consoles, &pulses);
    let mut models = [Model::default(), Model::default()];
    while !input.is_empty() {
        let n = usize::from(input.one_in(3));
        let number = match input.byte() {
            0 if n == 0 => 0,
            1 => 0x7100_0002 + u64::from(input.word()),
            _ => u64::from(REG) + n as u64,
        };
        let exists = number < 0x7100_0002;
        crate::lock(&pulses.0).clear();
        let mut vcpu = world.partition.vcpu(0);
        let model = &mut models[n];
        match input.byte() % 8 {
            0..=2 => {
                let count = if input.one_in(8) { input.doubleword() } else { u64::from(input.byte() % 20) };
                let (high, low) = (input.doubleword(), input.doubleword());
                let args = [number, count, high, low, 0, 0, 0, 0, 0];
                let status = bus.hcall(H_PUT_TERM_CHAR, &mut world.context(&mut vcpu), &args);
                let characters = [high.to_be_bytes(), low.to_be_bytes()].concat();
                match status {
                    HcallStatus::H_PARAMETER => assert!(!exists || count > MOST as u64, "{number:#x} {count}"),
                    HcallStatus::H_SUCCESS => {
                        assert!(exists && count <= MOST as u64, "{number:#x} {count}");
                        model.sent.extend(&characters[..count as usize]);
                    }
                    HcallStatus::H_BUSY => assert!(exists && *crate::lock(&consoles[n].room) < MOST, "busy with room"),
                    other => panic!("H_PUT_TERM_CHAR: {other}"),
                }
            }
            3 => {
                let args = [number, 0, 0, 0, 0, 0, 0, 0, 0];
                let status = bus.hcall(H_GET_TERM_CHAR, &mut world.context(&mut vcpu), &args);
                assert_eq!(status, if exists { HcallStatus::H_SUCCESS } else { HcallStatus::H_PARAMETER });
                if exists {
                    let count = vcpu.gpr[4] as usize;
                    assert_eq!(count, model.typed.len().min(MOST));
                    let got = [vcpu.gpr[5].to_be_bytes(), vcpu.gpr[6].to_be_bytes()].concat();
                    let wanted: Vec<u8> = model.typed.drain(..count).collect();
                    assert_eq!(got[..count], wanted);
                }
            }
            4 => {
                let bytes = input.byte() % 40;
                let bytes = input.bytes(bytes.into());
                model.typed.extend(&bytes);
                crate::lock(&consoles[n].input).extend(&bytes);
                let notifier = crate::lock(&consoles[n].notifier).clone().expect("a terminal listens");
                notifier();
                assert_eq!(*crate::lock(&pulses.0), if model.silent { vec![] } else { vec![XISR + n as u32] });
            }
            5 => {
                let on = u64::from(input.byte() % 3);
                let args = [number, on, 0, 0, 0, 0, 0, 0, 0];
                let status = bus.hcall(H_VIO_SIGNAL, &mut world.context(&mut vcpu), &args);
                if exists && on < 2 {
                    assert_eq!(status, HcallStatus::H_SUCCESS);
                    model.silent = on == 0;
                } else {
                    assert_eq!(status, HcallStatus::H_PARAMETER);
                }
            }
            6 => {
                let character = input.byte();
                let args = [u32::from_be_bytes([input.byte(), 0, 0, character])];
                let mut call = RtasCall { args: &args, results: &mut [] };
                let status = bus.rtas(DISPLAY_CHARACTER, &mut world.context(&mut vcpu), &mut call);
                if status.0 == 0 {
                    models[0].sent.push(character);
                } else {
                    assert_eq!(status.0, -2, "display-character is done or busy");
                }
            }
            _ if input.one_in(4) => {
                bus = restored(&bus, &consoles, &pulses);
            }
            _ => *crate::lock(&consoles[n].room) = (input.byte() % 32).into(),
        }
        for (model, console) in models.iter().zip(&consoles) {
            let written = crate::lock(&console.written);
            assert!(model.sent.starts_with(&written), "{:x?} written of {:x?}", *written, model.sent);
            assert!(model.sent.len() - written.len() <= MOST, "more is kept than one call leaves");
        }
    }
    // What is kept comes out with the next call.
    for (n, (model, console)) in models.iter().zip(&consoles).enumerate() {
        *crate::lock(&console.room) = usize::MAX;
        assert!(bus.vtys()[n].put(&[]), "a console with room takes what is kept");
        assert_eq!(*crate::lock(&console.written), model.sent);
    }
}

/// The same bus again from its section, on the same consoles; saving that one gives the same bytes.
fn restored(old: &VioBus, consoles: &[Arc<Fussy>; 2], pulses: &Arc<Pulses>) -> VioBus {
    let save = |bus: &VioBus| {
        let mut io = Io::save(bus.id().version);
        bus.fields(&mut io).expect("a bus can be saved");
        io.written()
    };
    let saved = save(old);
    let new = bus(consoles, pulses);
    let mut io = Io::load(new.id().version, &saved);
    new.fields(&mut io).expect("what was saved can be loaded");
    io.finish().expect("all of it is read");
    assert_eq!(save(&new), saved);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn no_character_is_lost_or_doubled() {
        for seed in 0..400 {
            vty(&some_bytes(seed, 2000));
        }
    }
}
