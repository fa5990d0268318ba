//! A region as Cranelift code: blocks, the ways between them, and the ways out.

use crate::ahead::accesses_ahead;
use crate::blob::PAGE;
use crate::compile::CompileError;
use crate::dispatch;
use crate::emit::{At, BRANCHED, CFAR, CTR, Context, Emit, Env, Guess, Jump, Local, Long, NIA, Signatures, Skip};
use crate::emit::{flags, gpr_offset, guessed_page};
use crate::finish::{PLACES, STUBS};
use crate::loops::{Loops, Stream, stream};
use crate::region::{Block, End, Place, Region, Source};
use crate::stubs::number;
use cranelift_codegen::ir;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, AliasRegionData, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, Signature,
    UserExternalName, Value,
    types::{I32, I64},
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::FunctionBuilder;
use sem::Target;
use std::collections::{BTreeMap, HashMap, HashSet};
use vcpu::context::mode;
use vcpu::translated::{GUESSES, NO_PAGE, NOT_BRANCHED};

/// Places that a `blr` is compared with at most.
const MOST_RETURNS: usize = 4;

/// Where a way out of a block leads.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// To another place of the page.
    Place(u16),
    /// To an effective address.
    Address(Value),
}

/// What has to be stored on a way from a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// Nothing: the next block goes on with what is known.
    Nothing,
    /// All but what variables hold.
    Others,
    /// Everything.
    All,
}

/// Makes the Cranelift code of a region.
pub struct Builder<'a, 'f> {
    b: FunctionBuilder<'f>,
    region: &'a Region,
    loops: Loops,
    blocks: BTreeMap<u16, ir::Block>,
    /// What stands before blocks where a cycle or an innermost loop is entered: by whether it is a cycle.
    entries: BTreeMap<(u16, bool), ir::Block>,
    /// What is known at the start of blocks that one way leads to.
    known: HashMap<u16, Local>,
    links: HashMap<(u32, u32), FuncRef>,
    /// Pages that the accesses of innermost loops go to, by the number of the loop and by whether they store.
    guesses: BTreeMap<(usize, Stream, bool), Guess>,
    env: Env,
}

impl<'a, 'f> Builder<'a, 'f> {
    /// A builder of a function that takes the budget.
    pub fn new(mut b: FunctionBuilder<'f>, source: &'a Source, region: &'a Region) -> Self {
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let blocks = region.blocks.keys().map(|offset| (*offset, b.create_block())).collect();
        let mut links = HashMap::new();
        let env = environment(&mut b, &mut links, source, region);
        let budget = b.block_params(entry)[0];
        b.def_var(env.budget, budget);
        Builder {
            b,
            region,
            loops: Loops::find(region),
            blocks,
            entries: BTreeMap::new(),
            known: HashMap::new(),
            links,
            guesses: BTreeMap::new(),
            env,
        }
    }

    /// Translates all blocks.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn build(mut self, config: TargetFrontendConfig) -> Result<(), CompileError> {
        let head = self.way(None, self.region.head);
        self.b.ins().jump(head, &[]);
        for offset in self.order() {
            self.block(offset)?;
        }
        self.enter_loops();
        self.b.seal_all_blocks();
        self.b.finalize(config);
        Ok(())
    }

    /// Blocks in the order in which they are translated: a block that one way leads to comes behind the one that leads
    /// to it.
    fn order(&self) -> Vec<u16> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        let mut work = self.region.returns.clone();
        work.push(self.region.head);
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
        function(&mut self.b, &mut self.links, namespace, index, params)
    }

    // --- ways ---

    /// The Cranelift block for a way to `to`: where a cycle is entered, registers become variables.
    fn way(&mut self, from: Option<u16>, to: u16) -> ir::Block {
        let same_cycle = from.is_some_and(|from| self.loops.same_cycle(from, to));
        let inner = |at: u16| self.loops.innermost_of(at).map(|(n, _)| n);
        let same_loop = same_cycle && from.and_then(inner) == inner(to);
        if !self.loops.comes_again(to) || same_loop || same_cycle && inner(to).is_none() {
            return self.blocks[&to];
        }
        let b = &mut self.b;
        *self.entries.entry((to, !same_cycle)).or_insert_with(|| b.create_block())
    }

    /// Translates what stands before loops: registers are read, and no page is known.
    fn enter_loops(&mut self) {
        for ((to, cycle), block) in std::mem::take(&mut self.entries) {
            self.b.switch_to_block(block);
            if cycle {
                let kept = self.loops.kept(to);
                for n in (0..32).filter(|n| kept.gpr >> n & 1 != 0) {
                    let v = self.b.ins().load(I64, self.env.state, self.env.vcpu, gpr_offset(n));
                    self.b.def_var(self.env.gpr[n], v);
                }
                if kept.ctr {
                    let v = self.b.ins().load(I64, self.env.state, self.env.vcpu, CTR);
                    self.b.def_var(self.env.ctr, v);
                }
            }
            if let Some((n, _)) = self.loops.innermost_of(to) {
                let none = self.b.ins().iconst(I64, NO_PAGE as i64);
                for (_, guess) in self.guesses.iter().filter(|((of, ..), _)| *of == n) {
                    if let Guess::Loop(at) = guess {
                        self.b.ins().store(self.env.state, none, self.env.vcpu, guessed_page(*at));
                    }
                }
            }
            self.b.ins().jump(self.blocks[&to], &[]);
        }
    }

    /// Whether what is known at the end of the block before is known in this one too: that is the one way to it.
    fn inherits(&self, to: u16) -> bool {
        to != self.region.head && self.region.blocks.get(&to).is_some_and(|b| b.ways_in == 1)
    }

    /// What has to be stored on the way from one block to another place.
    fn settled(&self, from: u16, to: u16) -> Settled {
        let loop_of = |at| self.loops.innermost_of(at).map(|(n, _)| n);
        let from = loop_of(from);
        if !self.blocks.contains_key(&to) || from.is_some() && from != loop_of(to) {
            Settled::All
        } else if self.inherits(to) {
            Settled::Nothing
        } else {
            Settled::Others
        }
    }

    /// Goes to a place of the page: a block of the region, or out of it.
    fn go(&mut self, from: u16, last: u16, to: u16, mut local: Local) {
        if self.settled(from, to) == Settled::All {
            let mut e = self.emit(from, local);
            e.flush();
            local = e.local;
        }
        if usize::from(to) >= PAGE {
            let mut e = self.emit(from, local);
            let address = e.address(u64::from(to));
            let budget = self.env.budget(&mut self.b);
            let stub = if self.runs_high() { number::NEXT_HIGH } else { number::NEXT_LOW };
            let f = self.function(STUBS, stub as u32, 2);
            self.b.ins().return_call(f, &[budget, address]);
            return;
        }
        // What comes back, through this region or others, goes backward somewhere.
        if to <= last {
            self.emit(from, local.clone()).poll_budget(to);
        }
        if self.blocks.contains_key(&to) {
            if self.inherits(to) {
                self.known.insert(to, local);
            }
            let block = self.way(Some(from), to);
            self.b.ins().jump(block, &[]);
            return;
        }
        let budget = self.env.budget(&mut self.b);
        let f = self.function(PLACES, u32::from(to), 1);
        self.b.ins().return_call(f, &[budget]);
    }

    /// Notes the branch at `from` as the last one taken.
    fn branched(&mut self, from: u16) {
        let place = self.b.ins().iconst(I32, i64::from(from));
        self.b.ins().store(self.env.state, place, self.env.vcpu, BRANCHED);
    }

    /// Whether code of this mode most likely stands in quadrant 3; elsewhere the engine finds it.
    fn runs_high(&self) -> bool {
        self.env.mode & mode::IR != 0 && self.env.mode & mode::PR == 0
    }

    /// Goes to an effective address by the branch at `from`, out of the region: CFAR is written here, while the page is
    /// the branch's.
    fn branch_to(&mut self, block: u16, from: u16, address: Value, returns: bool, local: Local) {
        let mut e = self.emit(block, local);
        e.flush();
        let local = e.local;
        if returns {
            self.return_within(block, from, address, &local);
        }
        let mut e = self.emit(block, local);
        let cfar = e.address(u64::from(from));
        e.store_state(cfar, CFAR);
        let none = self.b.ins().iconst(I32, i64::from(NOT_BRANCHED));
        self.b.ins().store(self.env.state, none, self.env.vcpu, BRANCHED);
        let budget = self.env.budget(&mut self.b);
        let stub = if self.runs_high() { number::JUMP_HIGH } else { number::JUMP_LOW };
        let f = self.function(STUBS, stub as u32, 2);
        self.b.ins().return_call(f, &[budget, address]);
    }

    /// Goes on in the region if the `blr` at `from` returns from a call in it. The state is current.
    fn return_within(&mut self, block: u16, from: u16, address: Value, local: &Local) {
        let region = self.region;
        for to in region.returns.iter().take(MOST_RETURNS) {
            let mut e = self.emit(block, local.clone());
            let place = e.address(u64::from(*to));
            let here = self.b.ins().icmp(IntCC::Equal, address, place);
            let (back, on) = (self.b.create_block(), self.b.create_block());
            self.b.ins().brif(here, back, &[], on, &[]);
            self.b.seal_block(back);
            self.b.seal_block(on);
            self.b.switch_to_block(back);
            self.branched(from);
            if *to <= from {
                self.emit(block, local.clone()).poll_budget(*to);
            }
            let way = self.way(None, *to);
            self.b.ins().jump(way, &[]);
            self.b.switch_to_block(on);
        }
    }

    /// Leaves for the engine, to go on at `offset`.
    fn leave(&mut self, from: u16, offset: u16, local: Local) {
        let mut e = self.emit(from, local);
        e.flush();
        let nia = e.address(u64::from(offset));
        e.store_state(nia, NIA);
        let budget = self.env.budget(&mut self.b);
        self.b.ins().return_call(self.env.leave, &[budget]);
    }

    // --- blocks ---

    /// A translator within a block.
    fn emit(&mut self, block: u16, local: Local) -> Emit<'_, 'f> {
        let mut e = Emit::new(&mut self.b, &self.env, local);
        e.kept = self.loops.kept(block);
        e.defers = self.loops.innermost_of(block).is_some();
        e
    }

    /// The pages that the loads and stores of an instruction go to again and again.
    fn guesses_of(&mut self, block: u16, place: &Place) -> [Option<Guess>; 2] {
        let privileged = self.env.mode & mode::PR == 0;
        if self.env.mode & mode::DR != 0 && stream(place).is_some_and(|s| s.is_anchored(privileged)) {
            return [Some(Guess::Anchor); 2];
        }
        let Some((n, l)) = self.loops.innermost_of(block) else { return [None; 2] };
        let Some(stream) = stream(place).filter(|s| l.streams.contains(s)) else { return [None; 2] };
        [false, true].map(|store| {
            if let Some(guess) = self.guesses.get(&(n, stream, store)) {
                return Some(*guess);
            }
            let number = self.guesses.keys().filter(|(of, ..)| *of == n).count();
            let guess = (number < GUESSES).then_some(Guess::Loop(number))?;
            self.guesses.insert((n, stream, store), guess);
            Some(guess)
        })
    }

    fn block(&mut self, offset: u16) -> Result<(), CompileError> {
        let region = self.region;
        let block = &region.blocks[&offset];
        self.b.switch_to_block(self.blocks[&offset]);
        let local = match self.known.remove(&offset) {
            Some(local) => local,
            None => {
                let dirty = self.loops.dirty(offset);
                let mut e = self.emit(offset, Local::default());
                e.set_dirty(dirty);
                e.local
            }
        };
        let count = block.places.len() as i64;
        if self.env.counts {
            let budget = self.b.use_var(self.env.budget);
            // What is left is the interpreter's, which counts instruction by instruction.
            let short = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, budget, count);
            let (out, on) = (self.b.create_block(), self.b.create_block());
            self.b.set_cold_block(out);
            self.b.ins().brif(short, out, &[], on, &[]);
            self.b.switch_to_block(out);
            self.leave(offset, offset, local.clone());
            self.b.switch_to_block(on);
        }
        let guesses: Vec<_> = block.places.iter().map(|p| self.guesses_of(offset, p)).collect();
        let mut e = self.emit(offset, local);
        e.count(count);
        let mut skip: Option<Skip> = None;
        for (n, place) in block.places.iter().enumerate() {
            e.at = At { offset: place.offset, len: place.len, ahead: (block.places.len() - n) as u32 };
            e.ahead = accesses_ahead(&block.places[n..]);
            e.guesses = guesses[n];
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
        let (local, at, jump, context) = (e.local, e.at, e.jump, e.context);
        self.end(offset, block, local, at, jump, context)
    }

    /// Ends a block.
    fn end(
        &mut self,
        offset: u16,
        block: &Block,
        local: Local,
        at: At,
        jump: Option<Jump>,
        context: Option<Context>,
    ) -> Result<(), CompileError> {
        let defers = self.loops.innermost_of(offset).is_some();
        let next = block.places.last().map_or(offset, Place::next);
        let mut e = self.emit(offset, local);
        e.at = at;
        if context.is_some() {
            e.flush();
        } else if !defers {
            e.flush_registers();
        }
        match context {
            Some(Context::Helper(helper, operands)) => {
                let [a, b, c] = operands.map(|o| e.value(o));
                let f = e.leave_for(helper, next);
                let budget = self.env.budget(&mut self.b);
                let stub = self.function(STUBS, number::CONTEXT as u32, 5);
                self.b.ins().return_call(stub, &[budget, a, b, c, f]);
                return Ok(());
            }
            Some(Context::Stub(n, operands)) => {
                let [a, b] = operands.map(|o| e.value(o));
                let budget = self.env.budget(&mut self.b);
                let stub = self.function(STUBS, n as u32, 3);
                self.b.ins().return_call(stub, &[budget, a, b]);
                return Ok(());
            }
            None => {}
        }
        let local = e.local;
        let last = block.places.last().map_or(offset, |p| p.offset);
        match (jump, block.end) {
            (Some(jump), _) => self.branch(offset, last, next, jump, local),
            (None, End::Refused(next)) => {
                self.leave(offset, next, local);
                Ok(())
            }
            (None, end) => {
                let to = if let End::Falls(next) = end { next } else { next };
                let local = self.settle_others(offset, &[to], local);
                self.go(offset, last, to, local);
                Ok(())
            }
        }
    }

    /// Stores what the ways out of a block want stored, but for what variables hold.
    fn settle_others(&mut self, from: u16, to: &[u16], local: Local) -> Local {
        if !to.iter().any(|to| self.settled(from, *to) == Settled::Others) {
            return local;
        }
        let mut e = self.emit(from, local);
        e.flush_others();
        e.local
    }

    fn branch(&mut self, offset: u16, last: u16, next: u16, jump: Jump, local: Local) -> Result<(), CompileError> {
        let place = match jump.target {
            Target::Relative(d) => Some(i64::from(last) + d).filter(|to| (0..PAGE as i64).contains(to)),
            _ => None,
        };
        let mut ways: Vec<u16> = place.iter().map(|to| *to as u16).collect();
        if jump.condition.is_some() {
            ways.push(next);
        }
        let local = self.settle_others(offset, &ways, local);
        let mut e = self.emit(offset, local);
        let condition = jump.condition.map(|c| e.truth(c));
        let way = match (place, jump.target) {
            (Some(to), _) => Way::Place(to as u16),
            (None, Target::Relative(d)) => Way::Address(e.address((i64::from(last) + d) as u64)),
            (None, Target::Absolute(a)) => Way::Address(e.value(Long::K(a))),
            (None, Target::Indirect(v)) => Way::Address(e.value(v)),
        };
        let local = e.local;
        if let Some(c) = condition {
            let taken = self.b.create_block();
            let direct = self.blocks.contains_key(&next) && self.settled(offset, next) != Settled::All;
            if direct {
                if self.inherits(next) {
                    self.known.insert(next, local.clone());
                }
                let on = self.way(Some(offset), next);
                self.b.ins().brif(c, taken, &[], on, &[]);
            } else {
                let on = self.b.create_block();
                self.b.ins().brif(c, taken, &[], on, &[]);
                self.b.seal_block(on);
                self.b.switch_to_block(on);
                self.go(offset, last, next, local.clone());
            }
            self.b.seal_block(taken);
            self.b.switch_to_block(taken);
        }
        match way {
            Way::Place(to) => {
                self.branched(last);
                self.go(offset, last, to, local);
            }
            Way::Address(v) => {
                let effects = self.region.blocks[&offset].places.last().map(|p| p.effects);
                let returns =
                    effects.is_some_and(|e| e.lr_read && !e.lr_written && matches!(jump.target, Target::Indirect(_)));
                self.branch_to(offset, last, v, returns, local);
            }
        }
        Ok(())
    }
}

fn signature(b: &mut FunctionBuilder<'_>, conv: CallConv, params: usize, returns: usize) -> ir::SigRef {
    let mut s = Signature::new(conv);
    s.params.extend((0..params).map(|_| AbiParam::new(I64)));
    s.returns.extend((0..returns).map(|_| AbiParam::new(I64)));
    b.import_signature(s)
}

fn function(
    b: &mut FunctionBuilder<'_>,
    links: &mut HashMap<(u32, u32), FuncRef>,
    namespace: u32,
    index: u32,
    params: usize,
) -> FuncRef {
    if let Some(f) = links.get(&(namespace, index)) {
        return *f;
    }
    let signature = signature(b, CallConv::Tail, params, 0);
    let name = b.func.declare_imported_user_function(UserExternalName::new(namespace, index));
    let data = ExtFuncData { name: ExternalName::user(name), signature, colocated: true, patchable: false };
    let f = b.import_function(data);
    links.insert((namespace, index), f);
    f
}

/// What holds for a whole region.
fn environment(
    b: &mut FunctionBuilder<'_>,
    links: &mut HashMap<(u32, u32), FuncRef>,
    source: &Source,
    region: &Region,
) -> Env {
    let mut alias = |n: u32, name: &'static str| {
        flags(b.func.dfg.alias_regions.insert(AliasRegionData { user_id: n, description: name.into() }))
    };
    let (state, tlb, guest, mail) = (alias(0, "state"), alias(1, "tlb"), alias(2, "guest"), alias(3, "mail"));
    let places = || region.blocks.values().flat_map(|b| &b.places);
    Env {
        mode: source.key.mode,
        level: source.level(),
        vectors: places().any(|p| p.effects.vsr_read | p.effects.vsr_written != 0 || p.effects.quadword),
        vcpu: b.ins().get_pinned_reg(I64),
        gpr: std::array::from_fn(|_| b.declare_var(I64)),
        ctr: b.declare_var(I64),
        fma: std::arch::is_x86_feature_detected!("fma"),
        budget: b.declare_var(I64),
        counts: source.key.counts,
        state,
        fixed: MemFlagsData::new().with_notrap().with_can_move().with_readonly(),
        tlb,
        guest,
        mail,
        called_away: function(b, links, STUBS, number::CALLED_AWAY as u32, 1),
        leave: function(b, links, STUBS, number::LEAVE as u32, 1),
        signatures: Signatures {
            helper: signature(b, CallConv::SystemV, 4, 1),
            fallible: signature(b, CallConv::SystemV, 5, 0),
            kept: signature(b, CallConv::PreserveAll, 0, 0),
        },
    }
}
