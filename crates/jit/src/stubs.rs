//! The few stubs between Rust and generated code, and what generated code jumps to.
//!
//! Generated code runs with `r15` = [`Vcpu`] on one stack frame, which [`enter`] makes: every region's prologue and
//! epilogue are cut away, so that going from region to region is one jump. A region gets the budget in `rdi` and hands it
//! on so. Nothing else is live between regions: guest registers are in the state.
#![allow(unsafe_code)] // assembly that keeps the conventions said here

use crate::deliver::Deliver;
use crate::hooks;
use core::mem::offset_of;
use memory::tlb::{ANCHOR_LIMITS, Anchor, OFFSET_MASK, OFFSET_SHIFT, Tlb, TlbEntry};
use vcpu::translated::{JUMPS, Jump, NOT_BRANCHED, Translated};
use vcpu::{PENDING_OFFSET, Vcpu};

/// Bytes of stack that a region may use for spilled values.
pub const FRAME: u32 = 4096;

/// Places of stubs in [`Translated::stubs`].
pub mod number {
    /// Back to the engine. NIA is settled.
    pub const LEAVE: usize = 0;
    /// Goes on at the effective address in the second argument.
    pub const JUMP: usize = 1;
    /// Likewise, from a branch that has written CFAR, to quadrant 0.
    pub const JUMP_LOW: usize = 16;
    /// Likewise, to quadrant 3.
    pub const JUMP_HIGH: usize = 17;
    /// As [`JUMP`], most likely to quadrant 0.
    pub const NEXT_LOW: usize = 18;
    /// As [`JUMP`], most likely to quadrant 3.
    pub const NEXT_HIGH: usize = 19;
    /// A jump within the page that leads nowhere yet: its offset in the second argument.
    pub const UNLINKED: usize = 2;
    /// Runs a helper that changes NIA or MSR (operands, then its address), and goes on at NIA.
    pub const CONTEXT: usize = 3;
    /// A memory access beside the TLB, as [`Translated`] describes it. Keeps all general registers.
    pub const SLOW: usize = 4;
    /// As [`SLOW`]; keeps vector registers too.
    pub const SLOW_VECTORS: usize = 5;
    /// Makes the condition register canonical. Keeps all general registers.
    pub const SETTLE: usize = 6;
    /// As [`SETTLE`]; keeps vector registers too.
    pub const SETTLE_VECTORS: usize = 15;
    /// A floating-point instruction that is not made in line, as [`hooks::arithmetic`] has it. Keeps all registers.
    pub const ARITHMETIC: usize = 20;
    /// Calls a helper that can fail: (vCPU, three operands, its address). Comes back if it succeeded.
    pub const TRY: usize = 7;
    /// The poll found that the budget is used up, or something that calls the vCPU away. NIA is settled.
    pub const CALLED_AWAY: usize = 8;
    /// System call interrupt: (budget, address to return to, cause bits for SRR1).
    pub const SYSTEM_CALL: usize = 9;
    /// System call vectored interrupt: (budget, address to return to, level).
    pub const SYSTEM_CALL_VECTORED: usize = 10;
    /// `rfid`: (budget, its address).
    pub const RFID: usize = 11;
    /// `rfscv`: (budget, its address).
    pub const RFSCV: usize = 12;
    /// Writes MSR: (budget, value, bits to write). NIA is settled.
    pub const SET_MSR: usize = 13;
    /// Privileged write of AMR: (budget, value, address to go on at).
    pub const SET_AMR: usize = 14;
}

/// Places of generated functions in [`Translated::generated`]: those of [`Deliver`].
mod function {
    pub const DELIVER: usize = 0;
    pub const SYSTEM_CALL: usize = 1;
    pub const SYSTEM_CALL_VECTORED: usize = 2;
    pub const RFID: usize = 3;
    pub const RFSCV: usize = 4;
    pub const SET_MSR: usize = 5;
    pub const SET_AMR: usize = 6;
}

/// Byte offset of a stub's address from the vCPU.
pub const fn stub_offset(n: usize) -> i32 {
    (offset_of!(Vcpu, translated) + offset_of!(Translated, stubs) + 8 * n) as i32
}

const TRANSLATED: usize = offset_of!(Vcpu, translated);
const STACK: usize = TRANSLATED + offset_of!(Translated, stack);
const BUDGET: usize = offset_of!(Vcpu, budget);
const NIA: usize = offset_of!(Vcpu, state) + offset_of!(cpu::State, nia);
const BRANCHED: usize = TRANSLATED + offset_of!(Translated, branched);
const CFAR: usize = offset_of!(Vcpu, state) + offset_of!(cpu::State, cfar);
const PAGE: usize = TRANSLATED + offset_of!(Translated, page);
const KEY: usize = TRANSLATED + offset_of!(Translated, jump_key);
const TABLE: usize = TRANSLATED + offset_of!(Translated, jump_table);
const CIA: usize = offset_of!(Vcpu, cia);
const INTERRUPTS: usize = TRANSLATED + offset_of!(Translated, interrupts);
const STAYED: usize = TRANSLATED + offset_of!(Translated, stayed);
const GENERATED: usize = TRANSLATED + offset_of!(Translated, generated);

/// Runs generated code at `code` until it leaves.
///
/// # Safety
/// `code` is the entry of a region that [`crate::Translator`] gave for where this vCPU stands, and stays as it is until
/// the vCPU has left it.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(vcpu: *mut Vcpu, code: u64, budget: i64) {
    core::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, {frame} + 8",
        "mov [rdi + {stack}], rsp",
        "mov r15, rdi",
        "mov rdi, rdx",
        "jmp rsi",
        frame = const FRAME,
        stack = const STACK,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn leave() {
    core::arch::naked_asm!(
        "mov [r15 + {budget}], rdi",
        "mov rsp, [r15 + {stack}]",
        "add rsp, {frame} + 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        frame = const FRAME,
        stack = const STACK,
        budget = const BUDGET,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn unlinked() {
    core::arch::naked_asm!(
        "add rsi, [r15 + {page}]",
        "mov [r15 + {nia}], rsi",
        "jmp {leave}",
        page = const PAGE,
        nia = const NIA,
        leave = sym leave,
    )
}

/// `rax` is the entry of the jump cache for the address in `rsi`, as [`vcpu::translated::jump_index`] has it; `rdx` where the
/// pending word stands.
macro_rules! entry_of {
    () => {
        "mov rdx, [r15 + {pending}]\nmov rax, rsi\nshr rax, 13\nxor rax, rsi\nshl rax, 3\nand eax, {mask}\nadd rax, [r15 + {table}]"
    };
}

/// CFAR is written if it was not yet, while the page is the branch's.
macro_rules! settled_cfar {
    () => {
        "mov edx, [r15 + {branched}]\ntest edx, edx\njs 3f\nadd rdx, [r15 + {page}]\nmov [r15 + {cfar}], rdx\nmov dword ptr [r15 + {branched}], {none}\n3:"
    };
}

/// A stub that goes on where the jump cache says, if the budget is not used up
/// and nothing calls the vCPU away. `$key` loads the key into `rcx`; `$before` may set `rsi`, the address; `$found` is done
/// once the way is known, before the page changes.
macro_rules! jumping {
    ($(#[$doc:meta])* $name:ident, $before:literal, $key:literal, $($found:tt)+) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                $before,
                entry_of!(),
                "mov edx, [rdx]",
                "test rdi, rdi",
                "js 6f",
                "test edx, edx",
                "jnz 5f",
                "4:",
                $key,
                "cmp rsi, [rax + {ea}]",
                "jne 7f",
                "cmp rcx, [rax + {entry_key}]",
                "jne 7f",
                "mov rax, [rax + {code}]",
                "8:",
                $($found)+,
                "and rsi, -4096",
                "mov [r15 + {page}], rsi",
                "jmp rax",
                // The way is not known; the code may be.
                "7:",
                "mov [r15 + {budget}], rdi",
                "mov [r15 + {nia}], rsi",
                "mov rdi, r15",
                "call {find_way}",
                "mov rdi, [r15 + {budget}]",
                "mov rsi, [r15 + {nia}]",
                "test rax, rax",
                "jnz 8b",
                "mov [r15 + {nia}], rsi",
                "jmp {leave}",
                // Something is pending; whether it matters now is seldom asked.
                "5:",
                "test edx, [r15 + {pending_mask}]",
                "jz 4b",
                "6:",
                "mov [r15 + {nia}], rsi",
                "jmp {called_away}",
                "/* {key} {stayed} {branched} {cfar} {none} */",
                key = const KEY,
                mask = const (JUMPS - 1) * size_of::<Jump>(),
                table = const TABLE,
                ea = const offset_of!(Jump, ea),
                entry_key = const offset_of!(Jump, key),
                code = const offset_of!(Jump, code),
                page = const PAGE,
                nia = const NIA,
                budget = const BUDGET,
                find_way = sym hooks::find_way,
                stayed = const STAYED,
                branched = const BRANCHED,
                cfar = const CFAR,
                none = const NOT_BRANCHED,
                pending = const PENDING_OFFSET,
                pending_mask = const offset_of!(Vcpu, pending_mask),
                leave = sym leave,
                called_away = sym called_away,
            )
        }
    };
}
// An index of 15 bits, two bits above the lowest of the address, in entries of 32 bytes.
const _: () = assert!(size_of::<Jump>() == 32);
jumping!(
    /// From a branch that has written CFAR, to the address in `rsi`, which is in quadrant 0 (else it is not found).
    jump_low, "", "mov rcx, [r15 + {key}]", ""
);
jumping!(
    /// As `jump_low`, in quadrant 3.
    jump_high, "", "mov rcx, [r15 + {key} + 8]", ""
);
jumping!(
    /// To the address in `rsi`.
    jump, "", "mov rcx, rsi\nshr rcx, 63\nmov rcx, [r15 + rcx * 8 + {key}]",
    settled_cfar!()
);
jumping!(
    /// To NIA, behind an interrupt or whatever else sets NIA or MSR.
    go_on, "mov rsi, [r15 + {nia}]", "mov rcx, rsi\nshr rcx, 63\nmov rcx, [r15 + rcx * 8 + {key}]",
    concat!("inc qword ptr [r15 + {stayed}]\n", settled_cfar!())
);

/// What stands in a region for a jump to one of these stubs: the common case of it, so that each branch has an indirect
/// jump of its own, as processors predict them. `$stub` does the rest. `$found` is done before the page changes.
macro_rules! jumping_inline {
    ($name:ident, $end:ident, $quadrant:literal, $stub:expr, $($found:tt)+) => {
        core::arch::global_asm!(
            concat!(".globl ", stringify!($name), "\n.hidden ", stringify!($name), "\n", stringify!($name), ":"),
            entry_of!(),
            "mov rcx, [r15 + {key}]",
            "test rdi, rdi",
            "js 2f",
            "cmp dword ptr [rdx], 0",
            "jne 2f",
            "cmp rsi, [rax + {ea}]",
            "jne 2f",
            "cmp rcx, [rax + {entry_key}]",
            "jne 2f",
            $($found)+,
            "and rsi, -4096",
            "mov [r15 + {page}], rsi",
            "jmp qword ptr [rax + {code}]",
            "2:",
            "jmp qword ptr [r15 + {stub}]",
            concat!(".globl ", stringify!($end), "\n.hidden ", stringify!($end), "\n", stringify!($end), ":"),
            "/* {branched} {cfar} {none} */",
            key = const KEY + 8 * $quadrant,
            mask = const (JUMPS - 1) * size_of::<Jump>(),
            table = const TABLE,
            ea = const offset_of!(Jump, ea),
            entry_key = const offset_of!(Jump, key),
            code = const offset_of!(Jump, code),
            page = const PAGE,
            branched = const BRANCHED,
            cfar = const CFAR,
            none = const NOT_BRANCHED,
            pending = const PENDING_OFFSET,
            stub = const stub_offset($stub),
        );
        unsafe extern "C" {
            static $name: u8;
            static $end: u8;
        }
    };
}
jumping_inline!(aileron_jump_low, aileron_jump_low_end, 0, number::JUMP_LOW, "");
jumping_inline!(aileron_jump_high, aileron_jump_high_end, 1, number::JUMP_HIGH, "");
jumping_inline!(aileron_next_low, aileron_next_low_end, 0, number::JUMP, settled_cfar!());
jumping_inline!(aileron_next_high, aileron_next_high_end, 1, number::JUMP, settled_cfar!());

/// The machine code that stands in a region for a jump to the stub, if there is any. It is position independent.
pub fn inline(stub: usize) -> Option<&'static [u8]> {
    // SAFETY: both labels lie in one piece of code, in this order.
    unsafe {
        let (start, end) = match stub {
            number::JUMP_LOW => (&raw const aileron_jump_low, &raw const aileron_jump_low_end),
            number::JUMP_HIGH => (&raw const aileron_jump_high, &raw const aileron_jump_high_end),
            number::NEXT_LOW => (&raw const aileron_next_low, &raw const aileron_next_low_end),
            number::NEXT_HIGH => (&raw const aileron_next_high, &raw const aileron_next_high_end),
            _ => return None,
        };
        Some(core::slice::from_raw_parts(start, end.offset_from_unsigned(start)))
    }
}

/// A stub that calls a generated function, which sets NIA, with the operands that the stub got, and goes on there.
macro_rules! calling {
    ($name:ident, $function:ident, $before:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                $before,
                // Kept by what is called.
                "mov rbx, rdi",
                "mov rdi, r15",
                "call qword ptr [r15 + {function}]",
                "mov rdi, rbx",
                "jmp {go_on}",
                "/* {interrupts} {cia} {nia} {branched} {none} */",
                function = const GENERATED + 8 * function::$function,
                interrupts = const INTERRUPTS,
                cia = const CIA,
                nia = const NIA,
                branched = const BRANCHED,
                none = const NOT_BRANCHED,
                go_on = sym go_on,
            )
        }
    };
}
calling!(deliver, DELIVER, "");
calling!(system_call, SYSTEM_CALL, "inc qword ptr [r15 + {interrupts}]");
calling!(system_call_vectored, SYSTEM_CALL_VECTORED, "inc qword ptr [r15 + {interrupts}]");
// They set CFAR themselves.
calling!(rfid, RFID, "mov [r15 + {cia}], rsi\nmov dword ptr [r15 + {branched}], {none}");
calling!(rfscv, RFSCV, "mov [r15 + {cia}], rsi\nmov dword ptr [r15 + {branched}], {none}");
calling!(set_msr, SET_MSR, "");
calling!(set_amr, SET_AMR, "mov [r15 + {nia}], rdx");

#[unsafe(naked)]
unsafe extern "C" fn context() {
    core::arch::naked_asm!(
        "mov [r15 + {budget}], rdi",
        "mov rdi, r15",
        "call {hook}",
        "mov rdi, [r15 + {budget}]",
        "cmp eax, {on}",
        "je {go_on}",
        "ja {stopped}",
        "jmp {leave}",
        on = const hooks::GO_ON,
        budget = const BUDGET,
        hook = sym hooks::context,
        go_on = sym go_on,
        stopped = sym stopped,
        leave = sym leave,
    )
}

/// A stub that asks a hook whether an interrupt is to be taken; if not, it leaves. `$before` is done first.
macro_rules! asking {
    ($(#[$doc:meta])* $name:ident, $hook:ident, $before:literal) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                $before,
                "mov rdi, r15",
                "call {hook}",
                "mov rdi, [r15 + {budget}]",
                "test al, al",
                "jnz {deliver}",
                "jmp {leave}",
                "/* {stack} */",
                stack = const STACK,
                budget = const BUDGET,
                hook = sym hooks::$hook,
                deliver = sym deliver,
                leave = sym leave,
            )
        }
    };
}
asking!(
    /// A helper failed: its frame is abandoned.
    stopped, stopped, "mov rsp, [r15 + {stack}]"
);
asking!(
    /// A poll found something.
    called_away, called_away, "test rdi, rdi\njle {leave}\nmov [r15 + {budget}], rdi"
);

#[unsafe(naked)]
unsafe extern "C" fn try_helper() {
    core::arch::naked_asm!(
        "sub rsp, 8",
        "call r8",
        "add rsp, 8",
        "test al, al",
        "jz {stopped}",
        "ret",
        stopped = sym stopped,
    )
}

/// A stub that calls a hook with the general registers saved around it. `$after` looks at what it returned.
macro_rules! keeping_general {
    ($name:ident, $hook:ident, $after:literal) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "push rax\npush rcx\npush rdx\npush rsi\npush rdi\npush r8\npush r9\npush r10\npush r11",
                "mov rdi, r15",
                "call {hook}",
                $after,
                "pop r11\npop r10\npop r9\npop r8\npop rdi\npop rsi\npop rdx\npop rcx\npop rax",
                "ret",
                "/* {stopped} */",
                hook = sym hooks::$hook,
                stopped = sym stopped,
            )
        }
    };
}

/// An access that generated code did not find in the TLB: it may be there all the same, since accesses over one base are
/// looked up together, and then do not all lie in one page. And accesses by an anchor look nowhere else: the page becomes
/// the anchor if it may be read and written.
#[unsafe(naked)]
unsafe extern "C" fn slow() {
    core::arch::naked_asm!(
        "push rax",
        "push rcx",
        "push rdx",
        "mov rdx, [r15 + {ea}]",
        "movzx ecx, byte ptr [r15 + {access}]",
        "mov eax, ecx",
        "and ecx, 0x7f",
        "shr eax, 7",
        "lea rcx, [rdx + rcx - 1]",
        "and rcx, -4096",
        "bt rdx, 63",
        "jc 3f",
        "or rcx, [r15 + {context}]",
        "shr rdx, {shift}",
        "and edx, {mask}",
        "add rdx, [r15 + {entries}]",
        "2:",
        "cmp rcx, [rdx + rax * 8 + {read}]",
        "mov rax, [rdx + {addend}]",
        "jne 4f",
        "mov [r15 + {result}], rax",
        "test dword ptr [r15 + {access}], {anchored}",
        "jz 5f",
        "cmp rcx, [rdx + {read}]",
        "jne 5f",
        "cmp rcx, [rdx + {write}]",
        "jne 5f",
        "mov rdx, [r15 + {ea}]",
        "mov ecx, {anchor_bytes}",
        "test rdx, rdx",
        "js 6f",
        "test word ptr [r15 + {msr}], {pr}",
        "jz 5f",
        "xor ecx, ecx",
        "6:",
        "and rdx, -4096",
        "mov [r15 + rcx + {anchors}], rdx",
        "mov [r15 + rcx + {anchors} + 8], rax",
        "mov qword ptr [r15 + rcx + {anchors} + 16], {limit_0}",
        "mov qword ptr [r15 + rcx + {anchors} + 24], {limit_1}",
        "mov qword ptr [r15 + rcx + {anchors} + 32], {limit_2}",
        "mov qword ptr [r15 + rcx + {anchors} + 40], {limit_3}",
        "mov qword ptr [r15 + rcx + {anchors} + 48], {limit_4}",
        "mov qword ptr [r15 + rcx + {anchors} + 56], {limit_5}",
        "mov qword ptr [r15 + rcx + {anchors} + 64], {limit_6}",
        "5:",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "ret",
        "3:",
        "or rcx, [r15 + {context} + 8]",
        "shr rdx, {shift}",
        "and edx, {mask}",
        "add rdx, [r15 + {entries} + 8]",
        "jmp 2b",
        "4:",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "jmp {missed}",
        ea = const TRANSLATED + offset_of!(Translated, ea),
        access = const TRANSLATED + offset_of!(Translated, access),
        shift = const OFFSET_SHIFT,
        mask = const OFFSET_MASK,
        entries = const offset_of!(Vcpu, data_entries),
        context = const offset_of!(Vcpu, data_context),
        read = const offset_of!(TlbEntry, read),
        write = const offset_of!(TlbEntry, write),
        anchored = const hooks::ANCHOR,
        anchor_bytes = const size_of::<Anchor>(),
        anchors = const offset_of!(Vcpu, tlb) + offset_of!(Tlb, anchors),
        limit_0 = const ANCHOR_LIMITS[0],
        limit_1 = const ANCHOR_LIMITS[1],
        limit_2 = const ANCHOR_LIMITS[2],
        limit_3 = const ANCHOR_LIMITS[3],
        limit_4 = const ANCHOR_LIMITS[4],
        limit_5 = const ANCHOR_LIMITS[5],
        limit_6 = const ANCHOR_LIMITS[6],
        msr = const offset_of!(Vcpu, state) + offset_of!(cpu::State, msr),
        pr = const cpu::bits::msr::PR,
        addend = const offset_of!(TlbEntry, addend),
        result = const TRANSLATED + offset_of!(Translated, addend),
        missed = sym missed,
    )
}
const _: () = assert!(offset_of!(TlbEntry, write) == offset_of!(TlbEntry, read) + 8);
const _: () = assert!(hooks::access(0x7F, true, 0, 0, false) == 0xFF);
const _: () =
    assert!(offset_of!(Anchor, page) == 0 && offset_of!(Anchor, addend) == 8 && offset_of!(Anchor, limits) == 16);

keeping_general!(missed, slow, "test al, al\njz {stopped}");
keeping_general!(settle, settle, "");
keeping_general!(arithmetic_general, arithmetic, "test al, al\njz {stopped}");

/// Calls `inner` with the vector registers saved around it.
macro_rules! keeping_vectors {
    ($name:ident, $inner:ident) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                "sub rsp, 264",
                "movups [rsp], xmm0", "movups [rsp + 16], xmm1", "movups [rsp + 32], xmm2", "movups [rsp + 48], xmm3",
                "movups [rsp + 64], xmm4", "movups [rsp + 80], xmm5", "movups [rsp + 96], xmm6", "movups [rsp + 112], xmm7",
                "movups [rsp + 128], xmm8", "movups [rsp + 144], xmm9", "movups [rsp + 160], xmm10", "movups [rsp + 176], xmm11",
                "movups [rsp + 192], xmm12", "movups [rsp + 208], xmm13", "movups [rsp + 224], xmm14", "movups [rsp + 240], xmm15",
                "call {inner}",
                "movups xmm0, [rsp]", "movups xmm1, [rsp + 16]", "movups xmm2, [rsp + 32]", "movups xmm3, [rsp + 48]",
                "movups xmm4, [rsp + 64]", "movups xmm5, [rsp + 80]", "movups xmm6, [rsp + 96]", "movups xmm7, [rsp + 112]",
                "movups xmm8, [rsp + 128]", "movups xmm9, [rsp + 144]", "movups xmm10, [rsp + 160]", "movups xmm11, [rsp + 176]",
                "movups xmm12, [rsp + 192]", "movups xmm13, [rsp + 208]", "movups xmm14, [rsp + 224]", "movups xmm15, [rsp + 240]",
                "add rsp, 264",
                "ret",
                inner = sym $inner,
            )
        }
    };
}
keeping_vectors!(slow_vectors, slow);
keeping_vectors!(settle_vectors, settle);
keeping_vectors!(arithmetic, arithmetic_general);

/// Readies a vCPU for generated code: addresses of stubs, of what they call, and of helpers.
pub fn prepare(v: &mut Vcpu, generated: &Deliver) {
    let stubs: [(usize, usize); 19] = [
        (number::LEAVE, leave as *const () as usize),
        (number::JUMP, jump as *const () as usize),
        (number::JUMP_LOW, jump_low as *const () as usize),
        (number::JUMP_HIGH, jump_high as *const () as usize),
        (number::UNLINKED, unlinked as *const () as usize),
        (number::CONTEXT, context as *const () as usize),
        (number::SLOW, slow as *const () as usize),
        (number::SLOW_VECTORS, slow_vectors as *const () as usize),
        (number::SETTLE, settle as *const () as usize),
        (number::SETTLE_VECTORS, settle_vectors as *const () as usize),
        (number::ARITHMETIC, arithmetic as *const () as usize),
        (number::TRY, try_helper as *const () as usize),
        (number::CALLED_AWAY, called_away as *const () as usize),
        (number::SYSTEM_CALL, system_call as *const () as usize),
        (number::SYSTEM_CALL_VECTORED, system_call_vectored as *const () as usize),
        (number::RFID, rfid as *const () as usize),
        (number::RFSCV, rfscv as *const () as usize),
        (number::SET_MSR, set_msr as *const () as usize),
        (number::SET_AMR, set_amr as *const () as usize),
    ];
    for (n, address) in stubs {
        v.translated.stubs[n] = address;
    }
    let functions: [(usize, usize); 7] = [
        (function::DELIVER, generated.deliver as usize),
        (function::SYSTEM_CALL, generated.system_call as usize),
        (function::SYSTEM_CALL_VECTORED, generated.system_call_vectored as usize),
        (function::RFID, generated.rfid as usize),
        (function::RFSCV, generated.rfscv as usize),
        (function::SET_MSR, generated.set_msr as usize),
        (function::SET_AMR, generated.set_amr as usize),
    ];
    for (n, address) in functions {
        v.translated.generated[n] = address;
    }
    v.translated.helpers = helper_base();
}

/// What addresses of helpers count from: the same function in every process of one build.
pub fn helper_base() -> u64 {
    hooks::settle as *const () as u64
}
