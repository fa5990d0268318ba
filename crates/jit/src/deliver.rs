//! Interrupts taken, and returned from, in generated code.
//!
//! These functions are made once, when they are first asked for, and stay where they are. [`Deliver::deliver`] does what
//! [`Vcpu::take_interrupt`] does, by the rows of [`vcpu::interrupts::Handlers`], which the pure function
//! [`cpu::interrupt::deliver`] is asked for when LPCR changes. The others do what the helpers of [`sem`] do. What follows
//! from the new MSR is looked up among the contexts that the vCPU entered before.
//!
//! Neither the budget nor any counter is touched: that an interrupt counts as an instruction is the caller's business.

use arith::fpscr;
use core::mem::offset_of;
use cpu::CpuModel;
use cpu::bits::{fscr, msr, srr1};
use cpu::interrupt::{SCV_LEVELS, SCV_STRIDE, Vector};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, FuncRef, InstBuilder, MemFlagsData, Type, UserFuncName, Value, types};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleError, default_libcall_names};
use sem::system_helpers::{FP_EXCEPTION_STOOD, FP_EXCEPTIONS_INTERRUPT, KEPT_BY_RETURN, PROBLEM_STATE_HAS};
use std::sync::OnceLock;
use vcpu::Vcpu;
use vcpu::context::{
    Derived, KEY_AMR_SHIFT, KEY_HASH, Known, MSR_OF_KEY, PENDING_ALWAYS, PENDING_WITH_EE, SPREAD, SPREAD_SHIFT,
};
use vcpu::interrupts::Handler;
use vcpu::raised::{NUMBERS, VECTOR_SHIFT, WRITES_DAR, WRITES_DSISR, WRITES_IC, number};

/// Why there are no stubs.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Cranelift does not know the host.
    #[error("no code can be generated for this host: {0}; an x86-64 processor is needed (or run with -accel interp)")]
    Host(String),
    /// A stub could not be made.
    #[error("the stub `{name}` could not be generated: {source}; run with -accel interp and report this")]
    Stub {
        /// Its name.
        name: &'static str,
        /// What Cranelift says.
        source: Box<ModuleError>,
    },
}

/// The stubs. All keep the C calling convention of the host.
#[derive(Debug, Clone, Copy)]
pub struct Deliver {
    /// Takes the interrupt in [`Vcpu::raised`].
    pub deliver: extern "C" fn(v: &mut Vcpu),
    /// Takes a system call interrupt: (address to return to, cause bits for SRR1).
    pub system_call: extern "C" fn(v: &mut Vcpu, return_address: u64, srr1: u64),
    /// Takes a system call vectored interrupt: (address to return to, level 0..=127).
    pub system_call_vectored: extern "C" fn(v: &mut Vcpu, return_address: u64, level: u64),
    /// [`sem::system_helpers::rfid`]; [`Vcpu::cia`] is settled.
    pub rfid: extern "C" fn(v: &mut Vcpu),
    /// [`sem::system_helpers::rfscv`]; [`Vcpu::cia`] is settled.
    pub rfscv: extern "C" fn(v: &mut Vcpu),
    /// [`sem::system_helpers::set_msr`]: (value, bits to write); NIA is at the next instruction.
    pub set_msr: extern "C" fn(v: &mut Vcpu, value: u64, mask: u64),
    /// `mtspr AMR` in privileged state.
    pub set_amr: extern "C" fn(v: &mut Vcpu, value: u64),
}

impl Deliver {
    /// The stubs of this process.
    ///
    /// # Errors
    /// [`DeliverError`], the same each time.
    pub fn get() -> Result<&'static Deliver, &'static DeliverError> {
        static STUBS: OnceLock<Result<Deliver, DeliverError>> = OnceLock::new();
        STUBS.get_or_init(make).as_ref()
    }
}

/// Another LPCR than that of the rows, or a listener.
extern "C" fn take_raised(v: &mut Vcpu) {
    v.take_raised();
}

/// A context that is not remembered.
extern "C" fn enter_context(v: &mut Vcpu) {
    v.enter_known_context();
}

const TAKE_RAISED: &str = "take_raised";
const ENTER_CONTEXT: &str = "enter_context";

/// Byte offset of a field of [`Vcpu`].
macro_rules! at {
    ($($field:tt)+) => { offset_of!(Vcpu, $($field)+) as i32 };
}

const INTEGER: MemFlagsData = MemFlagsData::trusted();
/// Contexts are aligned to eight bytes, and copied by sixteen.
const VECTOR: MemFlagsData = MemFlagsData::new().with_notrap();
const TRANSLATING: u64 = msr::IR | msr::DR;

/// The body of one stub.
struct Body<'a, 'f> {
    b: &'a mut FunctionBuilder<'f>,
    /// The vCPU.
    v: Value,
    take_raised: FuncRef,
    enter_context: FuncRef,
}

impl Body<'_, '_> {
    fn constant(&mut self, value: u64) -> Value {
        self.b.ins().iconst(types::I64, value as i64)
    }

    fn load(&mut self, ty: Type, at: i32) -> Value {
        let v = self.v;
        self.b.ins().load(ty, INTEGER, v, at)
    }

    fn load64(&mut self, at: i32) -> Value {
        self.load(types::I64, at)
    }

    fn store(&mut self, value: Value, at: i32) {
        let v = self.v;
        self.b.ins().store(INTEGER, value, v, at);
    }

    fn and(&mut self, value: Value, mask: u64) -> Value {
        let mask = self.constant(mask);
        self.b.ins().band(value, mask)
    }

    /// `yes & mask | no & !mask`.
    fn merge(&mut self, mask: Value, yes: Value, no: Value) -> Value {
        let yes = self.b.ins().band(yes, mask);
        let no = self.b.ins().band_not(no, mask);
        self.b.ins().bor(yes, no)
    }

    /// If the rows hold for another LPCR: fills [`Vcpu::raised`] by `raise`, has the interrupt taken, and returns.
    fn check_rows(&mut self, raise: impl FnOnce(&mut Self)) {
        let (now, rows) = (self.load64(at!(state.lpcr)), self.load64(at!(handlers.lpcr)));
        let valid = self.b.ins().icmp(IntCC::Equal, now, rows);
        let (go_on, stale) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(stale);
        self.b.ins().brif(valid, go_on, &[], stale, &[]);
        self.b.switch_to_block(stale);
        raise(self);
        self.b.ins().call(self.take_raised, &[self.v]);
        self.b.ins().return_(&[]);
        self.b.switch_to_block(go_on);
    }

    /// Fills [`Vcpu::raised`] with an interrupt that writes neither DAR nor DSISR nor FSCR.
    fn raise(&mut self, vector: Vector, return_address: Value, srr1: Value, level: Value) {
        self.store(return_address, at!(raised.return_address));
        self.store(srr1, at!(raised.srr1));
        let vector = self.b.ins().iconst(types::I16, i64::from(vector as u16));
        self.store(vector, at!(raised.vector));
        let nothing = self.b.ins().iconst(types::I8, 0);
        self.store(nothing, at!(raised.writes));
        let level = self.b.ins().ireduce(types::I8, level);
        self.store(level, at!(raised.level));
    }

    /// Handler of the interrupt with this number under `old` MSR: its address, and its MSR.
    fn handler(&mut self, old: Value, number: Value) -> (Value, Value) {
        let translation = self.and(old, TRANSLATING);
        let both = self.b.ins().icmp_imm_u(IntCC::Equal, translation, TRANSLATING as i64);
        let row = self.constant(size_of::<[Handler; Vector::ALL.len()]>() as u64);
        let zero = self.constant(0);
        let row = self.b.ins().select(both, row, zero);
        let column = self.b.ins().imul_imm_u(number, size_of::<Handler>() as i64);
        let place = self.b.ins().iadd(row, column);
        let place = self.b.ins().iadd(self.v, place);
        let mut field = |at: usize| self.b.ins().load(types::I64, INTEGER, place, at!(handlers.rows) + at as i32);
        let address = field(offset_of!(Handler, address));
        let (kept, set) = (field(offset_of!(Handler, kept)), field(offset_of!(Handler, set)));
        let kept = self.b.ins().band(old, kept);
        (address, self.b.ins().bor(kept, set))
    }

    /// Takes an interrupt that saves in SRR0 and SRR1.
    fn save_srr(&mut self, old: Value, return_address: Value, causes: Value) {
        self.store(return_address, at!(state.spr.srr0));
        let saved = self.and(old, !srr1::CLEARED);
        let saved = self.b.ins().bor(saved, causes);
        self.store(saved, at!(state.spr.srr1));
    }

    /// Takes a system call vectored interrupt: saves in LR and CTR. Returns the handler's address.
    fn save_scv(&mut self, old: Value, return_address: Value, level: Value, base: Value) -> Value {
        self.store(return_address, at!(state.lr));
        let saved = self.and(old, !srr1::CLEARED);
        self.store(saved, at!(state.ctr));
        let level = self.and(level, u64::from(SCV_LEVELS));
        let offset = self.b.ins().imul_imm_u(level, SCV_STRIDE as i64);
        self.b.ins().iadd(base, offset)
    }

    /// DAR, DSISR and FSCR\[IC\], each if `writes` says so.
    fn save_rest(&mut self, writes: Value) {
        let mut select = |bit: u8, ty: Type, new: i32, old: i32| {
            let wanted = self.b.ins().band_imm_u(writes, i64::from(bit));
            let (new, was) = (self.load(ty, new), self.load(ty, old));
            let value = self.b.ins().select(wanted, new, was);
            self.store(value, old);
        };
        select(WRITES_DAR, types::I64, at!(raised.dar), at!(state.spr.dar));
        select(WRITES_DSISR, types::I32, at!(raised.dsisr), at!(state.spr.dsisr));
        let wanted = self.b.ins().band_imm_u(writes, i64::from(WRITES_IC));
        let (cause, was) = (self.load64(at!(raised.ic)), self.load64(at!(state.spr.fscr)));
        let cause = self.b.ins().ishl_imm_u(cause, i64::from(fscr::IC_SHIFT));
        let others = self.and(was, !(0xFF << fscr::IC_SHIFT));
        let new = self.b.ins().bor(others, cause);
        let value = self.b.ins().select(wanted, new, was);
        self.store(value, at!(state.spr.fscr));
    }

    /// Enters the context of `msr`, unless it is the current one, and returns.
    fn enter(&mut self, msr: Value) {
        let key = self.and(msr, MSR_OF_KEY);
        let rest = self.load64(at!(contexts.rest));
        let key = self.b.ins().bor(key, rest);
        let current = self.load64(at!(contexts.current));
        let differs = self.b.ins().icmp(IntCC::NotEqual, key, current);
        let (done, look_up) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(differs, look_up, &[], done, &[]);
        self.b.switch_to_block(look_up);
        let spread = self.b.ins().imul_imm_u(key, SPREAD as i64);
        let slot = self.b.ins().ushr_imm_u(spread, i64::from(SPREAD_SHIFT));
        let slot = self.b.ins().imul_imm_u(slot, size_of::<Known>() as i64);
        let known = self.b.ins().iadd(self.v, slot);
        let found = self.b.ins().load(types::I64, INTEGER, known, at!(contexts.known) + offset_of!(Known, key) as i32);
        let found = self.b.ins().icmp(IntCC::Equal, found, key);
        let (hit, miss) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(miss);
        self.b.ins().brif(found, hit, &[], miss, &[]);
        self.b.switch_to_block(hit);
        let mut copy = |ty: Type, flags: MemFlagsData, from: usize, to: i32| {
            let from = at!(contexts.known) + (offset_of!(Known, derived) + from) as i32;
            let value = self.b.ins().load(ty, flags, known, from);
            self.b.ins().store(flags, value, self.v, to);
        };
        let pair = types::I64X2;
        copy(pair, VECTOR, offset_of!(Derived, data_context), at!(data_context));
        copy(pair, VECTOR, offset_of!(Derived, data_entries), at!(data_entries));
        copy(pair, VECTOR, offset_of!(Derived, fetch_context), at!(fetch_context));
        copy(pair, VECTOR, offset_of!(Derived, jump_key), at!(translated.jump_key));
        copy(types::I32, INTEGER, offset_of!(Derived, mode), at!(mode));
        self.store(key, at!(contexts.current));
        self.b.ins().return_(&[]);
        self.b.switch_to_block(miss);
        self.b.ins().call(self.enter_context, &[self.v]);
        self.b.ins().return_(&[]);
        self.b.switch_to_block(done);
        self.b.ins().return_(&[]);
    }

    /// Sets MSR and NIA, and returns. The rows of handlers have what the model's MSR has.
    fn go_on(&mut self, msr: Value, nia: Value) {
        self.store(nia, at!(state.nia));
        self.store(msr, at!(state.msr));
        let enabled = self.and(msr, msr::EE);
        let with = self.b.ins().iconst(types::I32, i64::from(PENDING_WITH_EE));
        let always = self.b.ins().iconst(types::I32, i64::from(PENDING_ALWAYS));
        let mask = self.b.ins().select(enabled, with, always);
        self.store(mask, at!(pending_mask));
        self.enter(msr);
    }

    /// If a floating-point exception stands and is to interrupt with this MSR: has the interrupt taken at NIA, and returns.
    fn check_exceptions(&mut self, msr: Value, nia: Value) {
        let modes = self.and(msr, FP_EXCEPTIONS_INTERRUPT);
        let fpscr = self.load64(at!(state.fpscr));
        let stands = self.and(fpscr, fpscr::FEX);
        let zero = self.constant(0);
        let stands = self.b.ins().select(modes, stands, zero);
        let (go_on, interrupt) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(interrupt);
        self.b.ins().brif(stands, interrupt, &[], go_on, &[]);
        self.b.switch_to_block(interrupt);
        self.store(nia, at!(state.nia));
        self.store(msr, at!(state.msr));
        let (causes, level) = (self.constant(FP_EXCEPTION_STOOD), self.constant(0));
        self.raise(Vector::Program, nia, causes, level);
        self.b.ins().call(self.take_raised, &[self.v]);
        self.b.ins().return_(&[]);
        self.b.switch_to_block(go_on);
    }

    /// As [`Body::go_on`] with an MSR that the guest made up.
    fn go_on_with(&mut self, wanted: Value, nia: Value) {
        let problem = self.and(wanted, msr::PR);
        let (has, nothing) = (self.constant(PROBLEM_STATE_HAS), self.constant(0));
        let has = self.b.ins().select(problem, has, nothing);
        let wanted = self.b.ins().bor(wanted, has);
        let model = self.load64(at!(model));
        let exists = self.b.ins().load(types::I64, INTEGER, model, offset_of!(CpuModel, msr_mask) as i32);
        let new = self.b.ins().band(wanted, exists);
        let wide = self.and(new, msr::SF);
        let low = self.and(nia, u64::from(u32::MAX));
        let nia = self.b.ins().select(wide, nia, low);
        self.check_exceptions(new, nia);
        self.go_on(new, nia);
    }

    /// Returns to the address and MSR that stand there.
    fn return_to(&mut self, address: i32, saved: i32) {
        let cia = self.load64(at!(cia));
        self.store(cia, at!(state.cfar));
        let (address, saved, old) = (self.load64(address), self.load64(saved), self.load64(at!(state.msr)));
        let kept = self.constant(KEPT_BY_RETURN);
        let new = self.merge(kept, old, saved);
        let nia = self.and(address, !3);
        self.go_on_with(new, nia);
    }
}

/// The stub [`Deliver::deliver`].
fn deliver(body: &mut Body<'_, '_>, _: &[Value]) {
    body.check_rows(|_| ());
    let b = &mut *body.b;
    let vector = b.ins().uload16(types::I64, INTEGER, body.v, at!(raised.vector));
    let numbers = b.ins().iconst(types::I64, NUMBERS.as_ptr() as i64);
    let place = b.ins().ushr_imm_u(vector, i64::from(VECTOR_SHIFT));
    let place = b.ins().iadd(numbers, place);
    let number = b.ins().uload8(types::I64, INTEGER, place, 0);
    let (srr, scv) = (b.create_block(), b.create_block());
    let is_scv = b.ins().icmp_imm_u(IntCC::Equal, vector, Vector::SystemCallVectored as i64);
    let return_address = body.load64(at!(raised.return_address));
    let old = body.load64(at!(state.msr));
    let (handler, msr) = body.handler(old, number);
    let finish = body.b.create_block();
    let nia = body.b.append_block_param(finish, types::I64);
    body.b.ins().brif(is_scv, scv, &[], srr, &[]);

    body.b.switch_to_block(srr);
    let causes = body.load64(at!(raised.srr1));
    body.save_srr(old, return_address, causes);
    body.b.ins().jump(finish, &[handler.into()]);

    body.b.switch_to_block(scv);
    let level = body.b.ins().uload8(types::I64, INTEGER, body.v, at!(raised.level));
    let address = body.save_scv(old, return_address, level, handler);
    body.b.ins().jump(finish, &[address.into()]);

    body.b.switch_to_block(finish);
    let writes = body.load(types::I8, at!(raised.writes));
    let (more, go_on) = (body.b.create_block(), body.b.create_block());
    body.b.ins().brif(writes, more, &[], go_on, &[]);
    body.b.switch_to_block(more);
    body.save_rest(writes);
    body.b.ins().jump(go_on, &[]);
    body.b.switch_to_block(go_on);
    body.go_on(msr, nia);
}

fn system_call(body: &mut Body<'_, '_>, arguments: &[Value]) {
    let (return_address, causes) = (arguments[0], arguments[1]);
    body.check_rows(|body| {
        let level = body.constant(0);
        body.raise(Vector::SystemCall, return_address, causes, level);
    });
    let old = body.load64(at!(state.msr));
    let number = body.constant(number(Vector::SystemCall) as u64);
    let (handler, msr) = body.handler(old, number);
    body.save_srr(old, return_address, causes);
    body.go_on(msr, handler);
}

fn system_call_vectored(body: &mut Body<'_, '_>, arguments: &[Value]) {
    let (return_address, level) = (arguments[0], arguments[1]);
    body.check_rows(|body| {
        let causes = body.constant(0);
        body.raise(Vector::SystemCallVectored, return_address, causes, level);
    });
    let old = body.load64(at!(state.msr));
    let number = body.constant(number(Vector::SystemCallVectored) as u64);
    let (base, msr) = body.handler(old, number);
    let nia = body.save_scv(old, return_address, level, base);
    body.go_on(msr, nia);
}

fn rfid(body: &mut Body<'_, '_>, _: &[Value]) {
    body.return_to(at!(state.spr.srr0), at!(state.spr.srr1));
}

fn rfscv(body: &mut Body<'_, '_>, _: &[Value]) {
    body.return_to(at!(state.lr), at!(state.ctr));
}

fn set_msr(body: &mut Body<'_, '_>, arguments: &[Value]) {
    let (old, nia) = (body.load64(at!(state.msr)), body.load64(at!(state.nia)));
    let new = body.merge(arguments[1], arguments[0], old);
    body.go_on_with(new, nia);
}

fn set_amr(body: &mut Body<'_, '_>, arguments: &[Value]) {
    body.store(arguments[0], at!(state.spr.amr));
    let rest = body.load64(at!(contexts.rest));
    let key = body.b.ins().ushr_imm_u(arguments[0], 62);
    let key = body.b.ins().ishl_imm_u(key, i64::from(KEY_AMR_SHIFT));
    let others = body.and(rest, !(3 << KEY_AMR_SHIFT));
    let rest = body.b.ins().bor(others, key);
    // With hash translation the bases follow from all of AMR: no context is remembered under this key.
    let hash = body.and(rest, KEY_HASH);
    let written = body.b.ins().iadd(hash, hash);
    let rest = body.b.ins().bor(rest, written);
    body.store(rest, at!(contexts.rest));
    let msr = body.load64(at!(state.msr));
    body.enter(msr);
}

/// What is needed to make stubs.
struct Maker {
    module: JITModule,
    builder: FunctionBuilderContext,
    take_raised: FuncId,
    enter_context: FuncId,
}

impl Maker {
    fn new() -> Result<Self, DeliverError> {
        let host = |e: &dyn std::fmt::Display| DeliverError::Host(e.to_string());
        let mut flags = settings::builder();
        // Made at each start: what a test build has verified is not verified again.
        let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
        for (name, value) in [
            ("opt_level", "speed"),
            ("is_pic", "false"),
            ("use_colocated_libcalls", "false"),
            ("enable_verifier", verifier),
        ] {
            flags.set(name, value).map_err(|e| host(&e))?;
        }
        let isa = cranelift_native::builder().map_err(|e| host(&e))?;
        let isa = isa.finish(settings::Flags::new(flags)).map_err(|e| host(&e))?;
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.symbol(TAKE_RAISED, take_raised as *const u8);
        builder.symbol(ENTER_CONTEXT, enter_context as *const u8);
        let mut module = JITModule::new(builder);
        let mut import = |name: &'static str| {
            let mut signature = module.make_signature();
            signature.params.push(AbiParam::new(types::I64));
            let declared = module.declare_function(name, Linkage::Import, &signature);
            declared.map_err(|source| DeliverError::Stub { name, source: Box::new(source) })
        };
        let (take_raised, enter_context) = (import(TAKE_RAISED)?, import(ENTER_CONTEXT)?);
        Ok(Maker { module, builder: FunctionBuilderContext::new(), take_raised, enter_context })
    }

    /// Adds a stub with this many arguments behind the vCPU.
    fn add(
        &mut self,
        name: &'static str,
        arguments: usize,
        body: impl FnOnce(&mut Body<'_, '_>, &[Value]),
    ) -> Result<FuncId, DeliverError> {
        let failed = |source: ModuleError| DeliverError::Stub { name, source: Box::new(source) };
        let module = &mut self.module;
        let mut context = module.make_context();
        context.func.signature.params = vec![AbiParam::new(types::I64); arguments + 1];
        let id = module.declare_function(name, Linkage::Local, &context.func.signature).map_err(failed)?;
        context.func.name = UserFuncName::user(0, id.as_u32());
        let mut b = FunctionBuilder::new(&mut context.func, &mut self.builder);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let parameters = b.block_params(entry).to_vec();
        let take_raised = module.declare_func_in_func(self.take_raised, b.func);
        let enter_context = module.declare_func_in_func(self.enter_context, b.func);
        body(&mut Body { b: &mut b, v: parameters[0], take_raised, enter_context }, &parameters[1..]);
        b.seal_all_blocks();
        b.finalize(module.target_config());
        module.define_function(id, &mut context).map_err(failed)?;
        Ok(id)
    }

    /// Makes the code executable, for good.
    fn finish(mut self) -> Result<JITModule, DeliverError> {
        let failed = |source| DeliverError::Stub { name: "all", source: Box::new(source) };
        self.module.finalize_definitions().map_err(failed)?;
        Ok(self.module)
    }
}

/// Makes the stubs.
#[allow(unsafe_code)]
fn make() -> Result<Deliver, DeliverError> {
    let mut maker = Maker::new()?;
    let ids = [
        maker.add("deliver", 0, deliver)?,
        maker.add("system_call", 2, system_call)?,
        maker.add("system_call_vectored", 2, system_call_vectored)?,
        maker.add("rfid", 0, rfid)?,
        maker.add("rfscv", 0, rfscv)?,
        maker.add("set_msr", 2, set_msr)?,
        maker.add("set_amr", 1, set_amr)?,
    ];
    let module = maker.finish()?;
    let [deliver, system_call, system_call_vectored, rfid, rfscv, set_msr, set_amr] =
        ids.map(|id| module.get_finalized_function(id));
    // The module does not free its code: that would need `free_memory`.
    drop(module);
    // SAFETY: each address is that of a finished function with these parameters (see `Maker::add` above) and the host's C
    // calling convention; it reads and writes fields of the vCPU alone, calls functions of this file with it, and stays.
    unsafe {
        use std::mem::transmute;
        type Plain = extern "C" fn(&mut Vcpu);
        type One = extern "C" fn(&mut Vcpu, u64);
        type Two = extern "C" fn(&mut Vcpu, u64, u64);
        Ok(Deliver {
            deliver: transmute::<*const u8, Plain>(deliver),
            system_call: transmute::<*const u8, Two>(system_call),
            system_call_vectored: transmute::<*const u8, Two>(system_call_vectored),
            rfid: transmute::<*const u8, Plain>(rfid),
            rfscv: transmute::<*const u8, Plain>(rfscv),
            set_msr: transmute::<*const u8, Two>(set_msr),
            set_amr: transmute::<*const u8, One>(set_amr),
        })
    }
}
