//! From a region of guest code to machine code.

use crate::blob::{Blob, CODE_ALIGN, Link, PAGE};
use crate::emit::{
    Ahead, At, BRANCHED, CFAR, CTR, Emit, Env, Jump, Local, NIA, PAGE as PAGE_AT, Signatures, Skip, flags, gpr_offset,
};
use crate::region::{self, Block, End, Place, Region, Source};
use crate::stubs::{FRAME, number, stub_offset};
use crate::{dispatch, vector};
use core::mem::offset_of;
use cranelift_codegen::Context;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, AliasRegionData, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, Signature,
    UserExternalName, UserFuncName, Value,
    types::{I32, I64},
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa, TargetFrontendConfig};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{FinalizedRelocTarget, ir};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use isa::{Any, Fields, Op};
use sem::{Target, Width};
use std::collections::{BTreeMap, HashMap, HashSet};
use vcpu::context::mode;
use vcpu::translated::NOT_BRANCHED;
use vcpu::{PENDING_OFFSET, Vcpu};

/// Cranelift's own optimisations: see docs/jit.md for what they cost and bring.
const OPT: &str = "none";

/// Names of what a region jumps to: another place of the page by its offset, or a stub by its number.
const PLACES: u32 = 0;
const STUBS: u32 = 1;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The host is not one that code can be made for.
    #[error("no code can be made for this host: {0}; use -accel interp")]
    Host(String),
    /// The interpreter has to run what stands there.
    #[error("the interpreter has to run this code")]
    Refused,
    /// The code generator failed.
    #[error("code generator: {0}")]
    Generator(String),
    /// The machine code is not of the form that the arena takes.
    #[error("unexpected machine code: {0}")]
    Form(&'static str),
}

/// Translates regions. One for each thread that does.
pub struct Compiler {
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    control: ControlPlane,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("isa", &self.isa.name()).finish_non_exhaustive()
    }
}

impl Compiler {
    /// A translator for this host.
    ///
    /// # Errors
    /// [`CompileError::Host`].
    pub fn new() -> Result<Self, CompileError> {
        let host = |e: &dyn std::fmt::Display| CompileError::Host(e.to_string());
        let mut b = settings::builder();
        for (name, value) in [
            ("opt_level", OPT),
            ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
            ("enable_pinned_reg", "true"),
            ("preserve_frame_pointers", "true"),
            ("enable_probestack", "false"),
            ("unwind_info", "false"),
            ("enable_heap_access_spectre_mitigation", "false"),
            ("is_pic", "true"),
        ] {
            b.set(name, value).map_err(|e| host(&e))?;
        }
        let isa =
            cranelift_native::builder().map_err(|e| host(&e))?.finish(settings::Flags::new(b)).map_err(|e| host(&e))?;
        if let Some(feature) = vector::missing_feature(&*isa) {
            return Err(CompileError::Host(format!("it lacks {feature}")));
        }
        Ok(Compiler {
            isa,
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            control: ControlPlane::default(),
        })
    }

    /// Translates a region.
    ///
    /// # Errors
    /// Why there is no code; the interpreter runs it then.
    pub fn compile(&mut self, source: &Source) -> Result<Blob, CompileError> {
        let region = region::find(source).ok_or(CompileError::Refused)?;
        self.build(source, &region)?;
        let code = self
            .context
            .compile(&*self.isa, &mut self.control)
            .map_err(|e| CompileError::Generator(e.inner.to_string()))?;
        let bytes = code.code_buffer().to_vec();
        let mut jumps = Vec::new();
        for r in code.buffer.relocs() {
            let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = &r.target else {
                return Err(CompileError::Form("a relocation that is no jump"));
            };
            if r.kind != Reloc::X86CallPCRel4 {
                return Err(CompileError::Form("a relocation that is no jump"));
            }
            jumps.push((r.offset as usize, *name));
        }
        let names = self.context.func.params.user_named_funcs();
        let jumps: Vec<_> = jumps.into_iter().map(|(at, name)| (at, names[name].clone())).collect();
        finish(source, &region, bytes, &jumps)
    }

    /// The Cranelift code of a region, as text, after what it optimises.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn clif(&mut self, source: &Source) -> Result<String, CompileError> {
        let region = region::find(source).ok_or(CompileError::Refused)?;
        self.build(source, &region)?;
        self.context.optimize(&*self.isa, &mut self.control).map_err(|e| CompileError::Generator(e.to_string()))?;
        Ok(self.context.func.display().to_string())
    }

    fn build(&mut self, source: &Source, region: &Region) -> Result<(), CompileError> {
        self.context.clear();
        let func = &mut self.context.func;
        func.name = UserFuncName::user(0, u32::from(source.key.offset));
        func.signature = Signature::new(CallConv::Tail);
        func.signature.params.push(AbiParam::new(I64));
        let b = FunctionBuilder::new(func, &mut self.builder);
        Builder::new(b, source, region).build(self.isa.frontend_config())
    }
}

/// What stands before the code of a region, and before each of its jumps out: where the prologue ends, and the bytes of
/// an epilogue with the opcode of its jump. Both save and restore registers that nobody wants to keep.
fn frame_of(code: &[u8]) -> Result<(u32, Vec<u8>), CompileError> {
    // push rbp; mov rbp, rsp
    if !code.starts_with(&[0x55, 0x48, 0x89, 0xE5]) {
        return Err(CompileError::Form("the prologue"));
    }
    let mut at = 4;
    // sub rsp, n
    let (frame, sub) = match code.get(at..at + 7) {
        Some([0x48, 0x83, 0xEC, n, ..]) => (u32::from(*n), 4),
        Some([0x48, 0x81, 0xEC, a, b, c, d]) => (u32::from_le_bytes([*a, *b, *c, *d]), 7),
        _ => (0, 0),
    };
    if frame > FRAME {
        return Err(CompileError::Form("a frame that is too large"));
    }
    let mut leave = Vec::new();
    let add = code.get(at..at + sub).unwrap_or_default();
    at += sub;
    let mut saved = 0u32;
    // mov [rsp + n], reg, for rbx and r12 to r14, each once
    while let Some(&[rex @ (0x48 | 0x4C), 0x89, modrm, 0x24]) = code.get(at..at + 4) {
        let reg = u32::from(modrm >> 3 & 7) | if rex == 0x4C { 8 } else { 0 };
        let len = match modrm & 0xC7 {
            0x04 => 4,
            0x44 => 5,
            0x84 => 8,
            _ => break,
        };
        if ![3, 12, 13, 14].contains(&reg) || saved >> reg & 1 != 0 {
            break;
        }
        saved |= 1 << reg;
        let Some(save) = code.get(at..at + len) else { break };
        leave.extend_from_slice(save);
        let restore = leave.len() - len;
        leave[restore + 1] = 0x8B;
        at += len;
    }
    leave.extend_from_slice(add);
    if sub > 0 {
        // add rsp, n
        let op = leave.len() - sub + 2;
        leave[op] = 0xC4;
    }
    // mov rsp, rbp; pop rbp; jmp
    leave.extend([0x48, 0x89, 0xEC, 0x5D, 0xE9]);
    Ok((at as u32, leave))
}

/// Cuts prologue and epilogues away, and makes jumps of the calls in tail position.
fn finish(
    source: &Source,
    region: &Region,
    mut code: Vec<u8>,
    jumps: &[(usize, UserExternalName)],
) -> Result<Blob, CompileError> {
    let (entry, epilogue) = frame_of(&code)?;
    let mut links = Vec::new();
    for (at, name) in jumps {
        let start = at.checked_sub(epilogue.len()).ok_or(CompileError::Form("an epilogue"))?;
        if code.get(start..*at) != Some(&epilogue[..]) {
            return Err(CompileError::Form("an epilogue"));
        }
        let room = &mut code[start..at + 4];
        room.fill(0xCC);
        if name.namespace == STUBS {
            // jmp [r15 + n]
            room[..3].copy_from_slice(&[0x41, 0xFF, 0xA7]);
            room[3..7].copy_from_slice(&stub_offset(name.index as usize).to_le_bytes());
            continue;
        }
        // One of the places at which the distance does not cross a boundary of eight bytes.
        let skip = (0..5).find(|n| (start + n + 1) % 8 <= 4).unwrap_or(0);
        room[..skip].fill(0x90);
        room[skip] = 0xE9;
        links.push(Link { rel32: (start + skip + 1) as u32, thunk: 0, to: name.index as u16 });
    }
    for link in &mut links {
        link.thunk = code.len() as u32;
        // mov esi, offset; jmp [r15 + n]
        code.push(0xBE);
        code.extend(u32::from(link.to).to_le_bytes());
        code.extend([0x41, 0xFF, 0xA7]);
        code.extend(stub_offset(number::UNLINKED).to_le_bytes());
        let at = link.rel32 as usize;
        let distance = link.thunk.wrapping_sub(link.rel32 + 4);
        code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    }
    code.resize(code.len().next_multiple_of(CODE_ALIGN), 0xCC);
    Ok(Blob { key: source.key, code, entry, links, spans: region.spans(), instructions: region.instructions })
}

/// Where a way out of a block leads.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// To another place of the page.
    Place(u16),
    /// To an effective address.
    Address(Value),
}

struct Builder<'a, 'f> {
    b: FunctionBuilder<'f>,
    source: &'a Source,
    region: &'a Region,
    blocks: BTreeMap<u16, ir::Block>,
    /// What is known at the start of blocks that one way leads to.
    known: HashMap<u16, Local>,
    links: HashMap<(u32, u32), FuncRef>,
    budget: cranelift_frontend::Variable,
    /// Blocks that were translated, or are now: a way that leads to one of them may close a loop.
    begun: HashSet<u16>,
}

impl<'a, 'f> Builder<'a, 'f> {
    fn new(mut b: FunctionBuilder<'f>, source: &'a Source, region: &'a Region) -> Self {
        let blocks = region.blocks.keys().map(|offset| (*offset, b.create_block())).collect();
        let budget = b.declare_var(I64);
        Builder {
            b,
            source,
            region,
            blocks,
            known: HashMap::new(),
            links: HashMap::new(),
            budget,
            begun: HashSet::new(),
        }
    }

    fn signature(&mut self, conv: CallConv, params: usize, returns: usize) -> ir::SigRef {
        let mut s = Signature::new(conv);
        s.params.extend((0..params).map(|_| AbiParam::new(I64)));
        s.returns.extend((0..returns).map(|_| AbiParam::new(I64)));
        self.b.import_signature(s)
    }

    fn alias(&mut self, n: u32, name: &'static str) -> ir::AliasRegion {
        self.b.func.dfg.alias_regions.insert(AliasRegionData { user_id: n, description: name.into() })
    }

    fn build(mut self, config: TargetFrontendConfig) -> Result<(), CompileError> {
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        let state = flags(self.alias(0, "state"));
        let tlb = flags(self.alias(1, "tlb"));
        let guest = flags(self.alias(2, "guest"));
        let mail = flags(self.alias(3, "mail"));
        let fixed = MemFlagsData::new().with_notrap().with_can_move().with_readonly();
        let signatures = Signatures {
            helper: self.signature(CallConv::SystemV, 4, 1),
            fallible: self.signature(CallConv::SystemV, 5, 0),
            slow: self.signature(CallConv::PreserveAll, 3, 0),
            settle: self.signature(CallConv::PreserveAll, 0, 0),
        };
        let budget = self.b.block_params(entry)[0];
        self.b.def_var(self.budget, budget);
        let vcpu = self.b.ins().get_pinned_reg(I64);
        let (carried, carries_ctr) = self.carried();
        let gpr = std::array::from_fn(|n| {
            (carried >> n & 1 != 0).then(|| {
                let var = self.b.declare_var(I64);
                let v = self.b.ins().load(I64, state, vcpu, gpr_offset(n));
                self.b.def_var(var, v);
                var
            })
        });
        let ctr = carries_ctr.then(|| {
            let var = self.b.declare_var(I64);
            let v = self.b.ins().load(I64, state, vcpu, CTR);
            self.b.def_var(var, v);
            var
        });
        let places = || self.region.blocks.values().flat_map(|b| &b.places);
        let vectors = places().any(|p| p.effects.vsr_read | p.effects.vsr_written != 0 || p.effects.quadword);
        let env = Env {
            mode: self.source.key.mode,
            level: self.source.level,
            vectors,
            vcpu,
            gpr,
            ctr,
            budget: self.budget,
            state,
            fixed,
            tlb,
            guest,
            mail,
            called_away: self.function(STUBS, number::CALLED_AWAY as u32, 1),
            signatures,
        };
        let head = self.source.key.offset;
        self.poll(&env, mail, head);
        let order = self.order();
        for offset in order {
            self.block(&env, mail, offset)?;
        }
        self.b.seal_all_blocks();
        self.b.finalize(config);
        Ok(())
    }

    /// Registers that go around a loop: written and read by blocks that can come again. The others are read from the
    /// state wherever a block begins, which costs less than keeping them.
    fn carried(&self) -> (u32, bool) {
        let (mut read, mut written, mut ctr) = (0, 0, (false, false));
        for (offset, block) in &self.region.blocks {
            let mut seen = HashSet::new();
            let mut work: Vec<u16> = block.successors().into_iter().flatten().collect();
            while let Some(at) = work.pop() {
                if seen.insert(at)
                    && let Some(next) = self.region.blocks.get(&at)
                {
                    work.extend(next.successors().into_iter().flatten());
                }
            }
            if seen.contains(offset) {
                for e in block.places.iter().map(|p| &p.effects) {
                    read |= e.gpr_read;
                    written |= e.gpr_written;
                    ctr.0 |= e.ctr_read;
                    ctr.1 |= e.ctr_written;
                }
            }
        }
        (read & written, ctr.0 && ctr.1)
    }

    /// Blocks in the order in which they are translated: a block that one way leads to comes behind the one that leads
    /// to it.
    fn order(&self) -> Vec<u16> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        let mut work = vec![self.source.key.offset];
        while let Some(offset) = work.pop() {
            let Some(block) = self.region.blocks.get(&offset) else { continue };
            if !seen.insert(offset) {
                continue;
            }
            order.push(offset);
            // The line goes on first.
            work.extend(block.successors().into_iter().flatten());
        }
        order
    }

    fn function(&mut self, namespace: u32, index: u32, params: usize) -> FuncRef {
        if let Some(f) = self.links.get(&(namespace, index)) {
            return *f;
        }
        let signature = self.signature(CallConv::Tail, params, 0);
        let name = self.b.func.declare_imported_user_function(UserExternalName::new(namespace, index));
        let f = self.b.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.links.insert((namespace, index), f);
        f
    }

    /// The effective address of a place, counted from the page.
    fn address(&mut self, env: &Env, offset: i64) -> Value {
        let page = self.b.ins().load(I64, env.state, env.vcpu, PAGE_AT);
        self.b.ins().iadd_imm_s(page, offset)
    }

    /// Leaves for the engine, to go on at `offset`.
    fn leave(&mut self, env: &Env, offset: u16) {
        let nia = self.address(env, i64::from(offset));
        self.b.ins().store(env.state, nia, env.vcpu, NIA);
        let budget = self.b.use_var(self.budget);
        let f = self.function(STUBS, number::LEAVE as u32, 1);
        self.b.ins().return_call(f, &[budget]);
    }

    /// Leaves if the budget is used up or something calls the vCPU away; goes on at the block of `to` otherwise.
    fn poll(&mut self, env: &Env, mail: MemFlagsData, to: u16) {
        let (out, look, calls) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(out);
        self.b.set_cold_block(calls);
        let on = self.blocks[&to];
        let budget = self.b.use_var(self.budget);
        let used_up = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, budget, 0);
        self.b.ins().brif(used_up, out, &[], look, &[]);
        self.b.seal_block(look);
        self.b.switch_to_block(look);
        self.b.ins().sequence_point();
        let word = self.b.ins().load(I64, env.state, env.vcpu, PENDING_OFFSET as i32);
        let pending = self.b.ins().load(I32, mail, word, 0);
        self.b.ins().brif(pending, calls, &[], on, &[]);
        self.b.seal_block(calls);
        // Something is pending; whether it matters now is seldom asked.
        self.b.switch_to_block(calls);
        let mask = self.b.ins().load(I32, env.state, env.vcpu, offset_of!(Vcpu, pending_mask) as i32);
        let matters = self.b.ins().band(pending, mask);
        self.b.ins().brif(matters, out, &[], on, &[]);
        self.b.seal_block(out);
        self.b.switch_to_block(out);
        let nia = self.address(env, i64::from(to));
        self.b.ins().store(env.state, nia, env.vcpu, NIA);
        let budget = self.b.use_var(self.budget);
        self.b.ins().return_call(env.called_away, &[budget]);
    }

    /// Goes to a place of the page: a block of the region, or out of it.
    fn go(&mut self, env: &Env, mail: MemFlagsData, to: u16) {
        if usize::from(to) >= PAGE {
            let address = self.address(env, i64::from(to));
            return self.go_to(address);
        }
        match self.blocks.get(&to).copied() {
            Some(_) if self.begun.contains(&to) => self.poll(env, mail, to),
            Some(block) => {
                self.b.ins().jump(block, &[]);
            }
            None => {
                let budget = self.b.use_var(self.budget);
                let f = self.function(PLACES, u32::from(to), 1);
                self.b.ins().return_call(f, &[budget]);
            }
        }
    }

    /// Goes to an effective address, out of the region.
    fn go_to(&mut self, address: Value) {
        let budget = self.b.use_var(self.budget);
        let f = self.function(STUBS, number::JUMP as u32, 2);
        self.b.ins().return_call(f, &[budget, address]);
    }

    /// Goes to an effective address by the branch at `from`, out of the region: CFAR is written here, while the page is
    /// the branch's.
    fn branch_to(&mut self, env: &Env, from: u16, address: Value) {
        let cfar = self.address(env, i64::from(from));
        self.b.ins().store(env.state, cfar, env.vcpu, CFAR);
        let none = self.b.ins().iconst(I32, i64::from(NOT_BRANCHED));
        self.b.ins().store(env.state, none, env.vcpu, BRANCHED);
        let budget = self.b.use_var(self.budget);
        // Where code of this mode most likely stands; elsewhere the engine finds it.
        let translated = env.mode & mode::IR != 0 && env.mode & mode::PR == 0;
        let stub = if translated { number::JUMP_HIGH } else { number::JUMP_LOW };
        let f = self.function(STUBS, stub as u32, 2);
        self.b.ins().return_call(f, &[budget, address]);
    }

    fn block(&mut self, env: &Env, mail: MemFlagsData, offset: u16) -> Result<(), CompileError> {
        let block = &self.region.blocks[&offset];
        self.begun.insert(offset);
        self.b.switch_to_block(self.blocks[&offset]);
        let count = block.places.len() as i64;
        let budget = self.b.use_var(self.budget);
        if self.source.key.exact {
            // What is left is the interpreter's, which counts instruction by instruction.
            let short = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, budget, count);
            let (out, on) = (self.b.create_block(), self.b.create_block());
            self.b.set_cold_block(out);
            self.b.ins().brif(short, out, &[], on, &[]);
            self.b.switch_to_block(out);
            self.leave(env, offset);
            self.b.switch_to_block(on);
        }
        let budget = self.b.ins().iadd_imm_s(budget, -count);
        self.b.def_var(self.budget, budget);

        let local = self.known.remove(&offset).unwrap_or_default();
        let mut e = Emit::new(&mut self.b, env, local);
        let mut skip: Option<Skip> = None;
        for (n, place) in block.places.iter().enumerate() {
            e.at = At { offset: place.offset, len: place.len, ahead: (block.places.len() - n) as u32 };
            e.ahead = accesses_ahead(&block.places[n..]);
            let row = dispatch::run(&mut e, place.insn);
            if e.refused {
                return Err(CompileError::Refused);
            }
            if row.is_err() {
                break;
            }
            if place.skips > 0 {
                skip = e.begin_skip(&block.places[n..]);
            } else if let Some(s) = &mut skip {
                s.left -= 1;
                if s.left == 0 {
                    e.end_skip(s);
                    skip = None;
                }
            }
        }
        e.flush();
        let last = block.places.last().map_or(offset, |p| p.offset);
        let (jump, context) = (e.jump, e.context);
        match context {
            Some(crate::emit::Context::Helper(helper, operands)) => {
                let [a, b, c] = operands.map(|o| e.value(o));
                let f = e.leave_for(helper, block.places.last().map_or(offset, Place::next));
                let budget = self.b.use_var(self.budget);
                let stub = self.function(STUBS, number::CONTEXT as u32, 5);
                self.b.ins().return_call(stub, &[budget, a, b, c, f]);
                return Ok(());
            }
            Some(crate::emit::Context::Stub(n, operands)) => {
                let [a, b] = operands.map(|o| e.value(o));
                let budget = self.b.use_var(self.budget);
                let stub = self.function(STUBS, n as u32, 3);
                self.b.ins().return_call(stub, &[budget, a, b]);
                return Ok(());
            }
            None => {}
        }
        let Some(jump) = jump else {
            let local = e.local;
            let next = match block.end {
                End::Falls(next) => next,
                End::Refused(next) => {
                    self.leave(env, next);
                    return Ok(());
                }
                _ => block.places.last().map_or(offset, Place::next),
            };
            self.remember(next, local);
            self.go(env, mail, next);
            return Ok(());
        };
        let left = e_local(e);
        self.branch(env, mail, block, last, jump, left)
    }

    /// Keeps what is known for the block at `to`, if this is the one way to it.
    fn remember(&mut self, to: u16, local: Local) {
        if to != self.source.key.offset && self.region.blocks.get(&to).is_some_and(|b| b.ways_in == 1) {
            self.known.insert(to, local);
        }
    }

    fn branch(
        &mut self,
        env: &Env,
        mail: MemFlagsData,
        block: &Block,
        last: u16,
        jump: Jump,
        (local, condition, address): (Local, Option<Value>, Option<Value>),
    ) -> Result<(), CompileError> {
        let way = match (jump.target, address) {
            (Target::Relative(d), _) => {
                let to = i64::from(last) + d;
                if (0..PAGE as i64).contains(&to) { Way::Place(to as u16) } else { Way::Address(self.address(env, to)) }
            }
            (_, Some(v)) => Way::Address(v),
            (_, None) => return Err(CompileError::Form("a branch without a target")),
        };
        if let Some(c) = condition {
            let next = block.places.last().map_or(last, Place::next);
            self.remember(next, local.clone());
            let taken = self.b.create_block();
            match self.blocks.get(&next) {
                Some(on) if !self.begun.contains(&next) => {
                    self.b.ins().brif(c, taken, &[], *on, &[]);
                }
                _ => {
                    let on = self.b.create_block();
                    self.b.ins().brif(c, taken, &[], on, &[]);
                    self.b.seal_block(on);
                    self.b.switch_to_block(on);
                    self.go(env, mail, next);
                }
            }
            self.b.seal_block(taken);
            self.b.switch_to_block(taken);
        }
        match way {
            Way::Place(to) => {
                let place = self.b.ins().iconst(I32, i64::from(last));
                self.b.ins().store(env.state, place, env.vcpu, BRANCHED);
                self.remember(to, local);
                self.go(env, mail, to);
            }
            Way::Address(v) => self.branch_to(env, last, v),
        }
        Ok(())
    }
}

/// What a block's end leaves: what is known, the condition and the target of its branch.
fn e_local(mut e: Emit<'_, '_>) -> (Local, Option<Value>, Option<Value>) {
    let jump = e.jump;
    let condition = jump.and_then(|j| j.condition).map(|c| e.truth(c));
    let address = jump.and_then(|j| match j.target {
        Target::Absolute(a) => Some(e.value(crate::emit::Long::K(a))),
        Target::Indirect(v) => Some(e.value(v)),
        Target::Relative(_) => None,
    });
    (e.local, condition, address)
}

/// Displacement, width and kind of a load or store of D or DS form.
fn access(place: &Place) -> Option<(i64, Width, bool)> {
    let i = Any(place.insn.raw);
    Some(match place.insn.op {
        Op::lbz | Op::lbzu => (i.d(), Width::Byte, false),
        Op::lhz | Op::lhzu | Op::lha | Op::lhau => (i.d(), Width::Half, false),
        Op::lwz | Op::lwzu => (i.d(), Width::Word, false),
        Op::lwa => (i.ds(), Width::Word, false),
        Op::ld | Op::ldu => (i.ds(), Width::Double, false),
        Op::stb | Op::stbu => (i.d(), Width::Byte, true),
        Op::sth | Op::sthu => (i.d(), Width::Half, true),
        Op::stw | Op::stwu => (i.d(), Width::Word, true),
        Op::std | Op::stdu => (i.ds(), Width::Double, true),
        _ => return None,
    })
}

/// Bytes that accesses over one base may lie apart to be looked up together.
const REACH: i64 = 512;

/// The accesses over the base register of the first instruction that follow it, if there are any.
fn accesses_ahead(places: &[Place]) -> Option<Ahead> {
    let first = places.first()?;
    let (d, width, store) = access(first)?;
    let base = Any(first.insn.raw).ra();
    if base == 0 {
        return None;
    }
    let mut found = Ahead { at: d, low: d, high: d + i64::from(width.bytes()), store };
    // What the register holds beyond what it held at first.
    let mut moved = 0;
    let mut more = false;
    for (n, place) in places.iter().enumerate() {
        if place.skips > 0 {
            break;
        }
        if n > 0 {
            let stops = place.effects.context || place.effects.fence.is_some() || place.effects.calls;
            if stops {
                break;
            }
            if let Some((d, width, store)) = access(place).filter(|_| Any(place.insn.raw).ra() == base) {
                let (low, high) = (found.low.min(moved + d), found.high.max(moved + d + i64::from(width.bytes())));
                if high - low <= REACH {
                    (found.low, found.high, more) = (low, high, true);
                    found.store |= store;
                }
            }
        }
        if place.effects.gpr_written >> base & 1 != 0 {
            match place.insn.op {
                Op::stdu | Op::stwu | Op::ldu | Op::lwzu | Op::lbzu | Op::stbu => {
                    moved += access(place).map_or(0, |(d, ..)| d);
                    if access(place).is_none()
                        || Any(place.insn.raw).rt() == base && !matches!(place.insn.op, Op::stdu | Op::stwu | Op::stbu)
                    {
                        break;
                    }
                }
                Op::addi if Any(place.insn.raw).ra() == base => moved += Any(place.insn.raw).si(),
                _ => break,
            }
        }
    }
    more.then_some(found)
}
