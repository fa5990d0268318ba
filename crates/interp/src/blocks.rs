//! The store of decoded blocks of one vCPU, and the look-ups that lead to them.

use crate::pool::{Place, Pool};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use vcpu::{CodeEvent, Vcpu};

/// Runs one instruction, and those behind it up to the end of the block. Returns the operation that ended it: the block's
/// last instruction, a branch that was taken, or an instruction that stopped ([`Vcpu::exit`] says why).
///
/// A handler calls the next one in tail position. Release builds make jumps of these calls; nothing depends on it, since
/// a block's length bounds their depth.
pub type Handler = for<'a> fn(&'a mut Vcpu, &'a Operation) -> &'a Operation;

/// One decoded instruction.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its handler.
    pub handler: Handler,
    /// Its word (the suffix of a prefixed one): where the handler takes its fields from.
    pub word: u32,
    /// The prefix of a prefixed instruction. Of one that can lead to another block of the page: that block's number
    /// plus one, or 0 as long as nobody went there.
    pub extra: u32,
}

impl Operation {
    /// An operation for an instruction, prefix and suffix or a word alone.
    pub fn new(handler: Handler, raw: u64) -> Self {
        Operation { handler, word: raw as u32, extra: (raw >> 32) as u32 }
    }

    /// Runs what stands behind this operation in its block.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub fn run_next<'a>(&'a self, v: &'a mut Vcpu) -> &'a Operation {
        // SAFETY: an operation that runs is part of a block ([`Vcpu::cursor`]), and the last of every block
        // (`handlers::go_on`, or `handlers::cut`) does not call this.
        let next = unsafe { &*std::ptr::from_ref(self).add(1) };
        (next.handler)(v, next)
    }

    /// Prefix and suffix, or the word alone.
    #[inline(always)]
    pub fn raw(&self) -> u64 {
        u64::from(self.extra) << 32 | u64::from(self.word)
    }
}

/// Size of an [`Operation`]: the distance of two in a block.
pub const OPERATION_BYTES: usize = size_of::<Operation>();

/// Number of a block in the store; [`NONE`] stands for none.
pub type BlockId = u32;
/// No block.
pub const NONE: BlockId = u32::MAX;

/// A straight run of instructions of one page. Conditional branches forward stand within it: taken, they leave it.
#[derive(Debug)]
pub struct Block {
    /// The instructions, and one operation more that goes on behind them ([`Blocks::operations`]).
    pub operations: Place,
    /// Number of instructions.
    pub len: i64,
    /// Real address of the first.
    pub real: u64,
    /// [`Vcpu::mode`] that it was decoded for.
    pub mode: u32,
    /// The block is one instruction to be traced when it completes; with the knowledge whether it is a branch.
    pub traced: Option<bool>,
    /// Times that it still has to run until it is reported; 0: it was.
    pub heat: u32,
    /// Times that it will have run then, since it was reported as new.
    pub due: u32,
    /// It ran often enough to become part of a region.
    pub warm: bool,
    /// It was not reported as new yet.
    pub is_new: bool,
    /// Where translated code for it is entered; 0: nowhere.
    pub code: u64,
}

/// A multiplicative hash: keys are real addresses and modes, which nobody chooses to collide.
#[derive(Default, Debug)]
pub struct KeyHasher(u64);
impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }
    fn write_u32(&mut self, v: u32) {
        self.write_u64(u64::from(v));
    }
    fn write_u64(&mut self, v: u64) {
        self.0 = (self.0.rotate_left(29) ^ v).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
/// Words of a page.
const WORDS: usize = 1024;
type Words = [BlockId; WORDS];

fn word(real: u64) -> usize {
    (real >> 2) as usize & (WORDS - 1)
}

type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// One entry of the jump cache.
#[derive(Debug, Clone, Copy)]
struct Jump {
    ea: u64,
    key: u64,
    block: BlockId,
}
const EMPTY: Jump = Jump { ea: u64::MAX, key: u64::MAX, block: NONE };

/// Slots of the jump cache a page has.
const SLOTS: usize = 64;
/// Blocks that are kept: about 250 bytes each. A boot of Debian to the login prompt has 160 thousand.
const MOST_BLOCKS: usize = 1 << 20;
/// Pages that the jump cache tells apart.
const PAGES: usize = 512;

/// Classes of real pages of which it is known where in the jump cache there may be ways into them.
const PAGE_CLASSES: usize = 1024;
/// Slots that one bit stands for.
const SLOTS_A_BIT: usize = SLOTS * PAGES / u128::BITS as usize;

fn page_class(page: u64) -> usize {
    (page ^ page >> 10) as usize & (PAGE_CLASSES - 1)
}

/// All decoded blocks of one vCPU.
#[derive(Debug)]
pub struct Blocks {
    blocks: Vec<Block>,
    pool: Pool,
    free: Vec<BlockId>,
    /// By real page and mode: the block that begins at each word of the page.
    by_place: KeyMap<(u64, u32), Box<Words>>,
    by_page: KeyMap<u64, Vec<BlockId>>,
    jumps: Box<[Jump]>,
    /// By [`page_class`]: which parts of the jump cache may lead into the real page.
    rows: Box<[u128; PAGE_CLASSES]>,
    /// Blocks decoded so far.
    pub decoded: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Blocks {
            blocks: Vec::new(),
            pool: Pool::default(),
            free: Vec::new(),
            by_place: HashMap::default(),
            by_page: HashMap::default(),
            jumps: vec![EMPTY; SLOTS * PAGES].into_boxed_slice(),
            rows: Box::new([0; PAGE_CLASSES]),
            decoded: 0,
        }
    }
}

/// The key under which a look-up by effective address is cached: mode and context of the fetch.
#[inline(always)]
fn jump_key(v: &Vcpu, ea: u64) -> u64 {
    v.fetch_context[(ea >> 63) as usize] << 32 | u64::from(v.mode)
}

#[inline(always)]
fn jump_row(page: u64, context: u64) -> usize {
    ((page ^ page >> 7 ^ (context >> 3).wrapping_mul(0x1D)) as usize & (PAGES - 1)) * SLOTS
}

#[inline(always)]
fn jump_index(v: &Vcpu, ea: u64) -> usize {
    jump_row(ea >> 12, v.fetch_context[(ea >> 63) as usize]) + ((ea >> 2 ^ ea >> 8) as usize & (SLOTS - 1))
}

impl Block {
    /// It is reported when it has run so many times more. One that is reported now runs once in any case: see `once`.
    pub fn report_after(&mut self, times: u32, once: u32) {
        self.due = self.ran().saturating_add(times);
        self.heat = times.saturating_add(once);
    }

    /// Times that it has run, since it was reported as new.
    pub fn ran(&self) -> u32 {
        self.due.saturating_sub(self.heat)
    }
}

impl Blocks {
    /// The block for `ea` as the vCPU stands, if the jump cache knows it.
    #[inline(always)]
    pub fn jump(&self, v: &Vcpu, ea: u64) -> BlockId {
        let j = &self.jumps[jump_index(v, ea)];
        if j.ea == ea && j.key == jump_key(v, ea) { j.block } else { NONE }
    }

    /// Remembers the way from `ea` to `block`.
    pub fn remember(&mut self, v: &Vcpu, ea: u64, block: BlockId) {
        let index = jump_index(v, ea);
        self.rows[page_class(self.get(block).real >> 12)] |= 1 << (index / SLOTS_A_BIT);
        self.jumps[index] = Jump { ea, key: jump_key(v, ea), block };
    }

    /// Whether there are so many blocks that it is time to start over.
    pub fn is_full(&self) -> bool {
        self.blocks.len() - self.free.len() > MOST_BLOCKS
    }

    /// The block decoded at this real address for this mode.
    pub fn find(&self, real: u64, mode: u32) -> BlockId {
        self.by_place.get(&(real >> 12, mode)).map_or(NONE, |words| words[word(real)])
    }

    /// Adds a block with these operations.
    pub fn insert(&mut self, mut block: Block, operations: &[Operation]) -> BlockId {
        self.decoded += 1;
        block.operations = self.pool.insert(operations);
        let (real, mode, page) = (block.real, block.mode, block.real >> 12);
        let id = match self.free.pop() {
            Some(id) => {
                self.blocks[id as usize] = block;
                id
            }
            None => {
                self.blocks.push(block);
                (self.blocks.len() - 1) as BlockId
            }
        };
        self.by_place.entry((page, mode)).or_insert_with(|| Box::new([NONE; WORDS]))[word(real)] = id;
        self.by_page.entry(page).or_default().push(id);
        id
    }

    /// The block.
    #[inline(always)]
    pub fn get(&self, id: BlockId) -> &Block {
        &self.blocks[id as usize]
    }

    /// The operations of a block.
    #[inline(always)]
    pub fn operations(&self, block: &Block) -> &[Operation] {
        self.pool.get(block.operations)
    }

    /// Operation `n` of a block.
    #[inline(always)]
    pub fn operation_mut(&mut self, id: BlockId, n: usize) -> &mut Operation {
        &mut self.pool.get_mut(self.blocks[id as usize].operations)[n]
    }

    /// The block, to change what is counted.
    #[inline(always)]
    pub fn get_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.blocks[id as usize]
    }

    /// Acts on what the vCPU noted.
    pub fn act_on(&mut self, event: CodeEvent) {
        match event {
            CodeEvent::DropPage(page) => self.drop_page(page),
            CodeEvent::DropAll => self.clear(),
            CodeEvent::ForgetAll => self.forget_jumps(),
            CodeEvent::ForgetTranslations => self.forget_code(),
            CodeEvent::ForgetPage { base, ea, shift } => {
                if shift > 16 {
                    self.forget_jumps();
                } else {
                    let first = ea >> shift << shift >> 12;
                    for page in first..first + (1 << (shift.max(12) - 12)) {
                        let row = jump_row(page, base);
                        self.jumps[row..row + SLOTS].iter_mut().filter(|j| j.ea >> 12 == page).for_each(|j| *j = EMPTY);
                    }
                }
            }
        }
    }

    /// Shows the blocks of a real page that were decoded for a mode to `f`.
    pub fn change_page(&mut self, page: u64, mode: u32, mut f: impl FnMut(&mut Block)) {
        let ids = self.by_page.get(&page).map_or(&[][..], |ids| ids);
        for id in ids {
            let b = &mut self.blocks[*id as usize];
            if b.mode == mode {
                f(b);
            }
        }
    }

    fn forget_jumps(&mut self) {
        self.jumps.fill(EMPTY);
        self.rows.fill(0);
    }

    /// Forgets where translated code is.
    fn forget_code(&mut self) {
        for b in &mut self.blocks {
            if b.code != 0 {
                (b.code, b.heat) = (0, 1);
            }
        }
    }

    /// Drops every block of a real page. Links lead within a page only, so none is left dangling.
    fn drop_page(&mut self, page: u64) {
        let Some(ids) = self.by_page.remove(&page) else { return };
        for id in &ids {
            let b = &mut self.blocks[*id as usize];
            self.by_place.remove(&(page, b.mode));
            self.pool.remove(std::mem::take(&mut b.operations));
        }
        let rows = self.rows[page_class(page)];
        for (_, row) in self.jumps.chunks_exact_mut(SLOTS_A_BIT).enumerate().filter(|(n, _)| rows >> n & 1 != 0) {
            let leads_there = |j: &&mut Jump| j.block != NONE && self.blocks[j.block as usize].real >> 12 == page;
            row.iter_mut().filter(leads_there).for_each(|j| *j = EMPTY);
        }
        self.free.extend(ids);
    }

    /// Drops everything, as at a machine reset.
    pub fn clear(&mut self) {
        *self = Blocks { decoded: self.decoded, ..Blocks::default() };
    }
}
