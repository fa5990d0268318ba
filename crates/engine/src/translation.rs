//! One vCPU and the translator: what is hot is asked for, what is ready is installed, and entered.

use interp::Interpreter;
use jit::blob::Key;
use jit::region::{Source, add_word};
use jit::store::{Translator, page_bytes};
use jit::stubs;
use memory::{PAGE_OFFSET, PAGE_SHIFT};
use std::sync::Arc;
use vcpu::context::mode;
use vcpu::{CodeEvent, Exit, Vcpu};

/// A block that is not hot itself, but ran this fraction of the times that make one hot, becomes part of regions.
const WARM_FRACTION: u32 = 16;

/// What an engine has of the translator.
#[derive(Debug)]
pub(crate) struct Translation {
    translator: Arc<Translator>,
    threshold: u32,
    /// Leave after each region.
    pub pieces: bool,
    /// Times that code was entered.
    pub entries: u64,
}

impl Translation {
    pub fn new(v: &mut Vcpu, translator: Arc<Translator>, threshold: u32) -> Self {
        stubs::prepare(v, translator.deliver());
        Translation { translator, threshold, pieces: false, entries: 0 }
    }

    pub fn clear(&self) {
        self.translator.clear();
    }

    fn key(v: &Vcpu, offset: u16) -> Key {
        Key { offset, mode: v.mode, exact: v.clock.is_virtual() }
    }

    /// Installs what is ready, and makes room where there is none. No translated code runs.
    #[inline]
    pub fn look_up(&mut self, v: &mut Vcpu, interpreter: &mut Interpreter) {
        if self.translator.is_ready() {
            self.install(v, interpreter);
        }
        if self.translator.is_full() {
            self.make_room(v, interpreter);
        }
    }

    #[cold]
    fn install(&mut self, v: &Vcpu, interpreter: &mut Interpreter) {
        for new in self.translator.install_ready(&v.memory) {
            let real = new.page << PAGE_SHIFT | u64::from(new.key.offset);
            interpreter.translated(real, new.key.mode, new.code);
        }
    }

    #[cold]
    fn make_room(&mut self, v: &mut Vcpu, interpreter: &mut Interpreter) {
        let memory = v.memory.clone();
        let index = v.index;
        self.translator.make_room(&memory, index, || {
            if v.mailbox().pending() & memory::mail::pending::MAIL != 0 {
                v.serve_mail();
            }
        });
        v.code_events.push(CodeEvent::ForgetTranslations);
        act_on_events(Some(self), v, interpreter);
    }

    /// The block decoded at `real` ran often: a translation is found, or asked for.
    #[cold]
    pub fn is_hot(&mut self, v: &mut Vcpu, interpreter: &mut Interpreter, real: u64) {
        let page = real >> PAGE_SHIFT;
        let key = Self::key(v, (real & PAGE_OFFSET) as u16);
        // Code of 32-bit mode, and code that is traced, is the interpreter's.
        if v.mode & mode::SF == 0 || v.mode & (mode::STEP | mode::BRANCH_TRACE) != 0 {
            return;
        }
        let code = self.translator.find(&v.memory, page, key).or_else(|| {
            let version = v.memory.code_version(page)?;
            let mut source = Source {
                key,
                level: v.model.level,
                bytes: page_bytes(&v.memory, page)?,
                warm: [0; 16],
                known: [0; 16],
            };
            interpreter.warm(real, key.mode, (self.threshold / WARM_FRACTION).max(1), |offset, len| {
                (0..len).map(|n| offset + 4 * n).for_each(|o| add_word(&mut source.warm, o));
            });
            add_word(&mut source.warm, key.offset);
            // Bytes that changed while they were read belong to another version.
            if v.memory.code_version(page) != Some(version) {
                return None;
            }
            self.translator.request(&v.memory, page, version, source).map(|new| new.code)
        });
        if let Some(code) = code {
            interpreter.translated(real, key.mode, code);
        }
    }

    /// Runs translated code for NIA. Says whether it retired anything.
    #[allow(unsafe_code)]
    #[inline]
    pub fn enter(&mut self, v: &mut Vcpu, code: u64) -> bool {
        let nia = v.state.nia;
        if !self.pieces {
            v.translated.remember_jump(nia, code);
        }
        v.translated.page = nia & !PAGE_OFFSET;
        v.exit = Exit::Next;
        let budget = v.budget;
        self.entries += 1;
        // SAFETY: the store said that this code holds for the block that stands at NIA in this mode; it is given up, or
        // its memory used again, only by messages that this vCPU serves here, outside of it.
        unsafe { stubs::enter(v, code, budget) };
        v.settle_cr();
        // What a slow path left there concerns an instruction that has been retired since.
        v.ahead = 0;
        v.budget != budget
    }
}

/// Acts on what the vCPU noted about code.
pub(crate) fn act_on_events(translation: Option<&Translation>, v: &mut Vcpu, interpreter: &mut Interpreter) {
    for event in &v.code_events {
        match *event {
            CodeEvent::DropPage(page) => {
                if let Some(t) = translation {
                    t.translator.drop_page(page);
                }
                v.translated.forget_jumps();
            }
            CodeEvent::DropAll | CodeEvent::ForgetAll | CodeEvent::ForgetTranslations => v.translated.forget_jumps(),
            CodeEvent::ForgetPage { ea, shift, .. } => v.translated.forget_jumps_of(ea, shift),
        }
    }
    interpreter.act_on_events(v);
}
