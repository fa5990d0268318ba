//! One vCPU and the translator: what is hot is asked for, what is ready is installed, and entered.

use interp::Interpreter;
use jit::blob::Key;
use jit::region::{Source, add_word};
use jit::store::{Asked, Installed, Translator, page_bytes};
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
    /// Translated code counts its instructions.
    pub counts: bool,
    /// Leave after each region.
    pub pieces: bool,
    /// Times that code was entered.
    pub entries: u64,
    /// Instructions retired there.
    pub retired: u64,
    /// In pieces: where code was entered last, and which.
    pub last: Option<(u64, u64)>,
}

impl Translation {
    pub fn new(v: &mut Vcpu, translator: Arc<Translator>, threshold: u32) -> Self {
        stubs::prepare(v, translator.deliver());
        let counts = v.clock.is_virtual();
        Translation { translator, threshold, counts, pieces: false, entries: 0, retired: 0, last: None }
    }

    pub fn clear(&self) {
        self.translator.clear();
    }

    fn key(&self, v: &Vcpu, offset: u16) -> Key {
        Key { offset, mode: v.mode, counts: self.counts }
    }

    /// Installs what is ready, and makes room where there is none. No translated code runs.
    #[inline]
    pub fn look_up(&mut self, v: &mut Vcpu, interpreter: &mut Interpreter) {
        if self.translator.is_full() {
            self.make_room(v, interpreter);
        } else if self.translator.is_ready() {
            self.install(v, interpreter);
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
        let made = self.translator.make_room(&memory, index, || {
            if v.mailbox().pending() & memory::mail::pending::MAIL != 0 {
                v.serve_mail();
            }
        });
        if made {
            v.code_events.push(CodeEvent::ForgetTranslations);
            act_on_events(Some(self), v, interpreter);
        }
    }

    /// Whether code of this mode is translated: code that is traced is the interpreter's.
    fn is_translated(v: &Vcpu) -> bool {
        v.mode & (mode::STEP | mode::BRANCH_TRACE) == 0
    }

    /// The block at `real` was decoded: another vCPU, or an earlier run, may have had it translated.
    #[cold]
    pub fn is_new(&self, v: &Vcpu, interpreter: &mut Interpreter, real: u64) {
        let key = self.key(v, (real & PAGE_OFFSET) as u16);
        if Self::is_translated(v)
            && let Some(code) = self.translator.find(&v.memory, real >> PAGE_SHIFT, key)
        {
            interpreter.translated(real, key.mode, code);
        }
    }

    /// The block at NIA, decoded at `real`, ran often: a translation is found, or asked for.
    #[cold]
    pub fn is_hot(&mut self, v: &mut Vcpu, interpreter: &mut Interpreter, real: u64) {
        if !Self::is_translated(v) {
            return;
        }
        let key = self.key(v, (real & PAGE_OFFSET) as u16);
        let asked = match self.translator.find(&v.memory, real >> PAGE_SHIFT, key) {
            Some(code) => Some(Asked::Now(Installed { page: real >> PAGE_SHIFT, key, code })),
            None => self.request(v, interpreter, real >> PAGE_SHIFT, key),
        };
        match asked {
            Some(Asked::Now(new)) => interpreter.translated(real, key.mode, new.code),
            // Whoever installs it tells its own interpreter only.
            Some(Asked::Later) | None => interpreter.run_again(real, key.mode, self.threshold),
            Some(Asked::Never) => {}
        }
    }

    /// `None`: the page changes just now.
    fn request(&self, v: &Vcpu, interpreter: &mut Interpreter, page: u64, key: Key) -> Option<Asked> {
        let version = v.memory.code_version(page)?;
        let bytes = page_bytes(&v.memory, page)?;
        let mut source = Source { key, processor: v.model.level, bytes, warm: [0; 16], known: [0; 16] };
        interpreter.warm(
            page << PAGE_SHIFT | u64::from(key.offset),
            key.mode,
            (self.threshold / WARM_FRACTION).max(1),
            self.threshold,
            |offset, len| {
                (0..len).map(|n| offset + 4 * n).for_each(|o| add_word(&mut source.warm, o));
            },
        );
        add_word(&mut source.warm, key.offset);
        // Bytes that changed while they were read belong to another version.
        (v.memory.code_version(page) == Some(version))
            .then(|| self.translator.request(&v.memory, page, version, source))
    }

    /// Address and host code of what [`Translation::enter`] ran last in pieces.
    pub fn last_region(&self) -> Option<(u64, String)> {
        let (address, code) = self.last?;
        Some((address, self.translator.host_code(code)?))
    }

    /// Runs translated code for NIA, made from the real page `page`. Says whether it retired anything, as far as that is known.
    #[allow(unsafe_code)]
    #[inline]
    pub fn enter(&mut self, v: &mut Vcpu, code: u64, page: u64) -> bool {
        let nia = v.state.nia;
        if self.pieces {
            self.last = Some((nia, code));
        } else {
            v.translated.remember_jump(nia, code, page);
        }
        v.translated.page = nia & !PAGE_OFFSET;
        v.exit = Exit::Next;
        let budget = v.budget;
        self.entries += 1;
        // SAFETY: the store said that this code holds for the block that stands at NIA in this mode; it is given up, or
        // its memory used again, only by messages that this vCPU serves here, outside of it.
        unsafe { stubs::enter(v, code, budget) };
        v.settle_cr();
        v.settle_cfar();
        sem::float::settle(v);
        // What a slow path left there concerns an instruction that has been retired since.
        v.ahead = 0;
        if self.counts {
            self.retired += (budget - v.budget) as u64;
            return v.budget != budget;
        }
        v.budget = budget;
        // Where it is back at where it was, the interpreter runs a block: then something was done in any case.
        v.state.nia != nia
    }
}

/// Acts on what the vCPU noted about code.
pub(crate) fn act_on_events(translation: Option<&Translation>, v: &mut Vcpu, interpreter: &mut Interpreter) {
    for event in &v.code_events {
        match *event {
            CodeEvent::DropPage(page) => {
                if let Some(t) = translation {
                    t.translator.drop_page(&v.memory, page);
                }
                v.translated.forget_code_of(page);
            }
            CodeEvent::DropAll | CodeEvent::ForgetTranslations => v.translated.forget_code(),
            CodeEvent::ForgetAll => v.translated.forget_jumps(),
            CodeEvent::ForgetPage { ea, shift, .. } => v.translated.forget_jumps_of(ea, shift),
        }
    }
    interpreter.act_on_events(v);
}
