//! XICS, the interrupt controller of PAPR (LoPAPR, "Interrupt Source Controller" and "Interrupt Presentation").
//!
//! A *source* (level or message) is routed to a *server* (a vCPU's presentation controller, ICP) with a priority; 0 is
//! the most favoured, 0xff is "off". The ICP presents what is more favoured than its CPPR and than what it presents
//! already; what it cannot present waits in its source. MFRR is one more source in each ICP: the inter-processor interrupt.
//!
//! Locks: one a source, one an ICP. Order: source before ICP, never two of a kind. What an ICP displaces goes back to its
//! source after both locks are free. Nothing is lost on the way: a source is marked as waiting *before* it is offered to
//! the ICP, and whoever relaxes a CPPR looks at the waiting sources *afterwards*.

mod saved;

use crate::interrupts::{InterruptError, Servers, check_source};
use crate::{SourceKind, lock};
use platform::papr::{HcallStatus, RtasStatus, opcode::*, token::*};
use platform::{
    ExternalInterruptLines, Hcall, HcallArgs, HcallContext, InterruptController, PaprDevice, RtasCall, RtasFunction,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// XISR of an inter-processor interrupt.
const XISR_IPI: u32 = 2;
/// XISR when nothing is presented.
const XISR_NONE: u32 = 0;
/// The least favoured priority: a source with it is off, a CPPR with it lets everything else through.
const PRIORITY_OFF: u8 = 0xff;
/// XISR is the low three bytes of XIRR, CPPR the high one.
const XISR_MASK: u32 = 0x00ff_ffff;

/// A source.
#[derive(Debug, Clone, Copy)]
struct Source {
    kind: SourceKind,
    server: u32,
    priority: u8,
    /// What `ibm,int-on` gives back.
    saved_priority: u8,
    /// Level: the input. Message: a pulse came that no ICP presents yet.
    asserted: bool,
    /// Level: an ICP presents it, or presented it and the guest has not ended it.
    sent: bool,
}

impl Source {
    const fn new(kind: SourceKind, server: u32) -> Source {
        Source { kind, server, priority: PRIORITY_OFF, saved_priority: PRIORITY_OFF, asserted: false, sent: false }
    }

    fn waits(&self) -> bool {
        self.asserted && !self.sent
    }

    /// An ICP took it.
    fn presented(&mut self) {
        match self.kind {
            SourceKind::Level => self.sent = true,
            SourceKind::Message => self.asserted = false,
        }
    }

    /// An ICP gave it back.
    fn rejected(&mut self) {
        match self.kind {
            SourceKind::Level => self.sent = false,
            SourceKind::Message => self.asserted = true,
        }
    }
}

/// A presentation controller.
#[derive(Debug)]
struct Icp {
    /// Current processor priority.
    cppr: u8,
    /// Most favoured request: the IPI's priority.
    mfrr: u8,
    /// What is presented.
    xisr: u32,
    /// Its priority.
    pending_priority: u8,
}

impl Icp {
    const RESET: Icp = Icp { cppr: 0, mfrr: PRIORITY_OFF, xisr: XISR_NONE, pending_priority: PRIORITY_OFF };

    fn xirr(&self) -> u32 {
        u32::from(self.cppr) << 24 | self.xisr
    }

    /// Presents `xisr` if it is favoured enough; the `Ok` is what it displaces.
    fn present(&mut self, xisr: u32, priority: u8) -> Result<Option<u32>, ()> {
        if priority >= self.cppr || priority >= self.pending_priority {
            return Err(());
        }
        let displaced = self.withdraw();
        self.xisr = xisr;
        self.pending_priority = priority;
        Ok(displaced)
    }

    /// Takes back what is presented; the answer is the source that has to wait again. (The IPI waits in MFRR.)
    fn withdraw(&mut self) -> Option<u32> {
        let xisr = std::mem::replace(&mut self.xisr, XISR_NONE);
        self.pending_priority = PRIORITY_OFF;
        Some(xisr).filter(|&xisr| xisr != XISR_NONE && xisr != XISR_IPI)
    }

    /// Presents the IPI if it is favoured enough; the answer is what it displaces.
    fn present_ipi(&mut self) -> Option<u32> {
        self.present(XISR_IPI, self.mfrr).ok().flatten()
    }

    /// Sets CPPR; the answer is what has to wait again.
    fn set_cppr(&mut self, cppr: u8) -> Option<u32> {
        self.cppr = cppr;
        let withdrawn = if self.xisr != XISR_NONE && self.pending_priority >= cppr { self.withdraw() } else { None };
        // At most one of the two gives something back: after a withdrawal nothing is there to be displaced.
        withdrawn.or(self.present_ipi())
    }

    /// The guest takes the interrupt.
    fn accept(&mut self) -> u32 {
        let xirr = self.xirr();
        if self.xisr != XISR_NONE {
            self.cppr = self.pending_priority;
            self.xisr = XISR_NONE;
            self.pending_priority = PRIORITY_OFF;
        }
        xirr
    }
}

/// The interrupt controller of a partition.
pub struct Xics {
    /// Server number of each vCPU.
    servers: Servers,
    icps: Vec<Mutex<Icp>>,
    sources: BTreeMap<u32, Mutex<Source>>,
    /// How many sources wait: mostly none, and then nobody has to look at them.
    waiting: AtomicUsize,
    lines: Arc<dyn ExternalInterruptLines>,
}

impl Xics {
    /// A controller with an ICP for each vCPU (`servers`: their interrupt server numbers) and no sources yet.
    ///
    /// # Errors
    /// When a server number occurs twice.
    pub fn new(servers: &[u32], lines: Arc<dyn ExternalInterruptLines>) -> Result<Xics, InterruptError> {
        Ok(Xics {
            servers: Servers::new(servers)?,
            icps: servers.iter().map(|_| Mutex::new(Icp::RESET)).collect(),
            sources: BTreeMap::new(),
            waiting: AtomicUsize::new(0),
            lines,
        })
    }

    /// Makes source `xisr` exist, off, routed to server 0.
    ///
    /// # Errors
    /// When the number is outside of those of this machine.
    pub fn add_source(&mut self, xisr: u32, kind: SourceKind) -> Result<(), InterruptError> {
        check_source(xisr)?;
        self.sources.insert(xisr, Mutex::new(Source::new(kind, self.servers.number_of(0))));
        Ok(())
    }

    /// Changes ICP `index`, and its vCPU's line with it.
    fn with_icp<R>(&self, index: usize, change: impl FnOnce(&mut Icp) -> R) -> R {
        let mut icp = lock(&self.icps[index]);
        let before = icp.xisr != XISR_NONE;
        let result = change(&mut icp);
        let after = icp.xisr != XISR_NONE;
        if before != after {
            self.lines.set_external_interrupt(index, after);
        }
        result
    }

    /// Changes source `xisr` and offers it to its ICP, then whatever that displaced to its own, and so on: each step
    /// displaces something less favoured, so this ends. `None` when there is no such source.
    fn with_source<R>(&self, xisr: u32, change: impl FnOnce(&mut Source) -> R) -> Option<R> {
        let (result, mut displaced) = self.change_and_offer(xisr, change)?;
        while let Some(xisr) = displaced {
            displaced = self.change_and_offer(xisr, Source::rejected).and_then(|step| step.1);
        }
        Some(result)
    }

    fn change_and_offer<R>(&self, xisr: u32, change: impl FnOnce(&mut Source) -> R) -> Option<(R, Option<u32>)> {
        let mut source = lock(self.sources.get(&xisr)?);
        let waited = source.waits();
        let result = change(&mut source);
        if source.waits() && !waited {
            self.waiting.fetch_add(1, SeqCst);
        }
        let counted = source.waits() || waited;
        let mut displaced = None;
        if source.waits()
            && source.priority != PRIORITY_OFF
            && let Some(index) = self.servers.index_of(source.server.into())
            && let Ok(old) = self.with_icp(index, |icp| icp.present(xisr, source.priority))
        {
            source.presented();
            displaced = old;
        }
        if counted && !source.waits() {
            self.waiting.fetch_sub(1, SeqCst);
        }
        Some((result, displaced))
    }

    /// Changes the ICP of vCPU `index` in a way that may withdraw an interrupt, or let one in that waits.
    fn change_priority(&self, index: usize, change: impl FnOnce(&mut Icp) -> Option<u32>) {
        let (withdrawn, relaxed) = self.with_icp(index, |icp| {
            let old_cppr = icp.cppr;
            let withdrawn = change(icp);
            (withdrawn, icp.cppr > old_cppr)
        });
        if let Some(xisr) = withdrawn {
            self.with_source(xisr, Source::rejected);
        }
        if relaxed && self.waiting.load(SeqCst) != 0 {
            for &xisr in self.sources.keys() {
                self.with_source(xisr, |_| ());
            }
        }
    }

    fn eoi(&self, index: usize, xirr: u32) {
        self.change_priority(index, |icp| icp.set_cppr((xirr >> 24) as u8));
        self.with_source(xirr & XISR_MASK, |source| source.sent = false);
    }

    fn set_route(&self, xisr: u32, server: u32, priority: u8) -> RtasStatus {
        if self.servers.index_of(server.into()).is_none() {
            return RtasStatus::PARAMETER_ERROR;
        }
        status(self.with_source(xisr, |source| {
            source.server = server;
            source.priority = priority;
            source.saved_priority = priority;
        }))
    }

    /// State of every ICP and of the sources that exist, for people.
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (server, icp) in self.servers.iter().zip(&self.icps) {
            let icp = lock(icp);
            let _ = writeln!(
                text,
                "server {server}: XIRR {:#010x}, pending priority {:#04x}, MFRR {:#04x}",
                icp.xirr(),
                icp.pending_priority,
                icp.mfrr
            );
        }
        for (xisr, source) in &self.sources {
            let Source { kind, server, priority, asserted, sent, .. } = *lock(source);
            let _ = writeln!(
                text,
                "source {xisr:#x}: {kind:?}, server {server}, priority {priority:#04x}, \
                 asserted {asserted}, sent {sent}"
            );
        }
        text
    }
}

fn status(found: Option<()>) -> RtasStatus {
    if found.is_some() { RtasStatus::SUCCESS } else { RtasStatus::PARAMETER_ERROR }
}

impl InterruptController for Xics {
    fn set_level(&self, xisr: u32, asserted: bool) {
        self.with_source(xisr, |source| {
            if source.kind == SourceKind::Level {
                source.asserted = asserted;
            }
        });
    }

    fn pulse(&self, xisr: u32) {
        self.with_source(xisr, |source| {
            if source.kind == SourceKind::Message {
                source.asserted = true;
            }
        });
    }
}

/// Rows of the hypercall table.
const HCALLS: [Hcall; 6] = [
    Hcall { opcode: H_EOI, name: "H_EOI", hypertas: Some("hcall-interrupt") },
    Hcall { opcode: H_CPPR, name: "H_CPPR", hypertas: Some("hcall-interrupt") },
    Hcall { opcode: H_IPI, name: "H_IPI", hypertas: Some("hcall-interrupt") },
    Hcall { opcode: H_IPOLL, name: "H_IPOLL", hypertas: Some("hcall-interrupt") },
    Hcall { opcode: H_XIRR, name: "H_XIRR", hypertas: Some("hcall-interrupt") },
    Hcall { opcode: H_XIRR_X, name: "H_XIRR_X", hypertas: Some("hcall-interrupt") },
];

/// Rows of the RTAS table.
const RTAS: [RtasFunction; 4] = [
    RtasFunction::new(IBM_SET_XIVE, "ibm,set-xive", 3, 1),
    RtasFunction::new(IBM_GET_XIVE, "ibm,get-xive", 1, 3),
    RtasFunction::new(IBM_INT_OFF, "ibm,int-off", 1, 1),
    RtasFunction::new(IBM_INT_ON, "ibm,int-on", 1, 1),
];

impl PaprDevice for Xics {
    fn sections(&self) -> Vec<&dyn snapshot::Section> {
        vec![self]
    }

    fn hcalls(&self) -> &[Hcall] {
        &HCALLS
    }

    fn hcall(&self, opcode: u64, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
        let index = context.vcpu.index();
        if index >= self.icps.len() {
            return HcallStatus::H_HARDWARE;
        }
        match opcode {
            H_EOI => self.eoi(index, args[0] as u32),
            H_CPPR => self.change_priority(index, |icp| icp.set_cppr(args[0] as u8)),
            H_IPI => {
                let Some(target) = self.servers.index_of(args[0]) else {
                    return HcallStatus::H_PARAMETER;
                };
                self.change_priority(target, |icp| {
                    icp.mfrr = args[1] as u8;
                    icp.present_ipi()
                });
            }
            H_IPOLL => {
                let Some(target) = self.servers.index_of(args[0]) else {
                    return HcallStatus::H_PARAMETER;
                };
                let (xirr, mfrr) = self.with_icp(target, |icp| (icp.xirr(), icp.mfrr));
                context.vcpu.set_gpr(4, xirr.into());
                context.vcpu.set_gpr(5, mfrr.into());
            }
            H_XIRR | H_XIRR_X => {
                let xirr = self.with_icp(index, Icp::accept);
                context.vcpu.set_gpr(4, xirr.into());
                if opcode == H_XIRR_X {
                    let timebase = context.clock.timebase();
                    context.vcpu.set_gpr(5, timebase);
                }
            }
            _ => return HcallStatus::H_FUNCTION,
        }
        HcallStatus::H_SUCCESS
    }

    fn rtas_functions(&self) -> &[RtasFunction] {
        &RTAS
    }

    fn rtas(&self, token: u32, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
        let xisr = call.args[0];
        match token {
            IBM_SET_XIVE => match u8::try_from(call.args[2]) {
                Ok(priority) => self.set_route(xisr, call.args[1], priority),
                Err(_) => RtasStatus::PARAMETER_ERROR,
            },
            IBM_GET_XIVE => match self.sources.get(&xisr).map(|source| *lock(source)) {
                Some(source) => {
                    call.results[0] = source.server;
                    call.results[1] = source.priority.into();
                    RtasStatus::SUCCESS
                }
                None => RtasStatus::PARAMETER_ERROR,
            },
            IBM_INT_OFF => status(self.with_source(xisr, |source| {
                if source.priority != PRIORITY_OFF {
                    source.saved_priority = source.priority;
                }
                source.priority = PRIORITY_OFF;
            })),
            IBM_INT_ON => status(self.with_source(xisr, |source| source.priority = source.saved_priority)),
            _ => RtasStatus::PARAMETER_ERROR,
        }
    }

    fn reset(&self) {
        for index in 0..self.icps.len() {
            self.with_icp(index, |icp| *icp = Icp::RESET);
        }
        for source in self.sources.values() {
            let mut source = lock(source);
            let waited = source.waits();
            // The input of a level source is the device's, not the guest's.
            let asserted = source.asserted && source.kind == SourceKind::Level;
            *source = Source { asserted, ..Source::new(source.kind, self.servers.number_of(0)) };
            match (waited, source.waits()) {
                (true, false) => _ = self.waiting.fetch_sub(1, SeqCst),
                (false, true) => _ = self.waiting.fetch_add(1, SeqCst),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
