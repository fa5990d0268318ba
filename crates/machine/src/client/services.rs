//! The services, ONE table.

use super::{ClientInterface, FAILED, NAME_BYTES_MAX, State, string};
use hypervisor::{RTAS_STUB, rtas_size_bytes};
use platform::papr::HcallStatus;
use platform::{Access, HcallContext, RunState, Shutdown, TIMEBASE_HZ, check_range};
use std::time::Duration;

/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes of a property's value that the client gives, and of all of them.
const VALUE_BYTES_MAX: u32 = 1 << 16;
const VALUES_BYTES_MAX: usize = 1 << 20;
/// Bytes that one `read` or `write` moves at most; the client is told how many they were.
const CONSOLE_BYTES_MAX: u32 = 4096;
/// Bytes that a terminal is given at a time.
const CONSOLE_PIECE_BYTES: usize = 256;
/// `read`: there is no input.
const NO_INPUT: u32 = -2i32 as u32;
/// How often a terminal that is full is tried again, and how long it is left alone before: then output is lost, as on a
/// line that nobody listens at.
const CONSOLE_TRIES: u32 = 1000;
const CONSOLE_FULL: Duration = Duration::from_millis(1);

/// One call.
pub(super) struct Call<'a, 'b> {
    pub interface: &'a ClientInterface,
    pub state: &'a mut State,
    pub context: &'a mut HcallContext<'b>,
    pub args: &'a [u32],
    /// The results behind the first; at the start zeros.
    pub others: &'a mut [u32],
}

/// How many arguments and results.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Exactly(usize, usize),
    AtLeast(usize, usize),
}

impl Shape {
    pub fn fits(self, args: usize, results: usize) -> bool {
        match self {
            Shape::Exactly(wanted, given) => args == wanted && results == given,
            Shape::AtLeast(wanted, given) => args >= wanted && results >= given,
        }
    }
}

/// A service. Its handler gives the first result; `None` is -1.
pub(super) struct Service {
    name: &'static str,
    pub shape: Shape,
    pub handler: fn(&mut Call<'_, '_>) -> Option<u32>,
}

const fn service(
    name: &'static str,
    args: usize,
    results: usize,
    handler: fn(&mut Call<'_, '_>) -> Option<u32>,
) -> Service {
    Service { name, shape: Shape::Exactly(args, results), handler }
}

static SERVICES: [Service; 23] = [
    service("test", 1, 1, |call| call.test()),
    service("peer", 1, 1, |call| Some(call.state.tree.peer(call.args[0]).unwrap_or(0))),
    service("child", 1, 1, |call| Some(call.state.tree.child(call.args[0]).unwrap_or(0))),
    service("parent", 1, 1, |call| Some(call.state.tree.parent(call.args[0]).unwrap_or(0))),
    service("instance-to-package", 1, 1, |call| call.state.instances.get(&call.args[0]).copied()),
    service("getproplen", 2, 1, |call| Some(call.property()?.len() as u32)),
    service("getprop", 4, 1, |call| call.getprop()),
    service("nextprop", 3, 1, |call| call.nextprop()),
    service("setprop", 4, 1, |call| call.setprop()),
    service("finddevice", 1, 1, |call| call.state.tree.find(&call.string(0, PATH_BYTES_MAX)?)),
    service("instance-to-path", 3, 1, |call| call.path(*call.state.instances.get(&call.args[0])?)),
    service("package-to-path", 3, 1, |call| call.path(call.args[0])),
    Service { name: "call-method", shape: Shape::AtLeast(2, 1), handler: |call| call.call_method() },
    service("open", 1, 1, |call| call.open()),
    service("close", 1, 0, |call| call.state.instances.remove(&call.args[0])),
    service("read", 3, 1, |call| call.read()),
    service("write", 3, 1, |call| call.write()),
    service("claim", 3, 1, |call| call.claim()),
    service("release", 2, 0, |call| call.release()),
    service("boot", 1, 0, |call| call.end(Shutdown::Reboot)),
    service("exit", 0, 0, |call| call.end(Shutdown::PowerOff)),
    service("milliseconds", 0, 1, |call| Some((call.context.clock.timebase() / (TIMEBASE_HZ / 1000)) as u32)),
    service("quiesce", 0, 0, |call| {
        call.state.quiesced = true;
        Some(0)
    }),
];

/// The service with this name.
pub(super) fn by_name(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

impl Call<'_, '_> {
    /// The string that an argument points to.
    fn string(&self, arg: usize, bytes_max: usize) -> Option<String> {
        string(self.context.memory, self.args[arg], bytes_max)
    }

    /// Whether bytes can be written to the guest's memory.
    fn is_memory(&self, address: u32, bytes: u64) -> Option<()> {
        check_range(self.context.memory.size_bytes(), Access::Write, address.into(), bytes).ok()
    }

    /// Writes to the guest's memory.
    fn put(&self, address: u32, bytes: &[u8]) -> Option<()> {
        self.context.memory.write(address.into(), bytes).ok()
    }

    /// name: 0 if there is such a service.
    fn test(&mut self) -> Option<u32> {
        by_name(&self.string(0, NAME_BYTES_MAX)?).map(|_| 0)
    }

    /// phandle, name.
    fn property(&self) -> Option<Vec<u8>> {
        self.state.tree.property(self.args[0], &self.string(1, NAME_BYTES_MAX)?)
    }

    /// phandle, name, buffer, its length: the length of the whole value.
    fn getprop(&mut self) -> Option<u32> {
        let value = self.property()?;
        let count = value.len().min(self.args[3] as usize);
        self.put(self.args[2], &value[..count])?;
        Some(value.len() as u32)
    }

    /// phandle, name of the property before, buffer: 1, or 0 behind the last.
    fn nextprop(&mut self) -> Option<u32> {
        let previous = if self.args[1] == 0 { String::new() } else { self.string(1, NAME_BYTES_MAX)? };
        match self.state.tree.next_property(self.args[0], &previous)? {
            Some(name) => self.put(self.args[2], &[name.as_bytes(), &[0]].concat()).map(|()| 1),
            None => self.put(self.args[2], &[0]).map(|()| 0),
        }
    }

    /// phandle, name, value, its length: the length.
    fn setprop(&mut self) -> Option<u32> {
        let &[phandle, _, address, length] = self.args else { return None };
        let name = self.string(1, NAME_BYTES_MAX)?;
        // By these two the tree holds together.
        if length > VALUE_BYTES_MAX || name.is_empty() || name == "name" || name == "phandle" {
            return None;
        }
        let mut value = vec![0; length as usize];
        self.context.memory.read(address.into(), &mut value).ok()?;
        let key = (self.state.tree.path(phandle)?, name);
        let cost = |(path, name): &(String, String), value: &[u8]| path.len() + name.len() + value.len();
        let others = self.state.given.iter().filter(|(known, _)| **known != key);
        let taken: usize = others.map(|(key, value)| cost(key, value)).sum();
        if taken + cost(&key, &value) > VALUES_BYTES_MAX {
            return None;
        }
        self.state.tree.set_property(phandle, &key.1, &value);
        self.state.given.insert(key, value);
        Some(length)
    }

    /// Puts a node's path into the buffer of arguments 1 and 2, with a zero at its end if that fits: the path's length.
    fn path(&self, phandle: u32) -> Option<u32> {
        let path = self.state.tree.path(phandle)?;
        let bytes = [path.as_bytes(), &[0]].concat();
        let count = bytes.len().min(self.args[2] as usize);
        self.put(self.args[1], &bytes[..count])?;
        Some(path.len() as u32)
    }

    /// path: an ihandle, or 0.
    fn open(&mut self) -> Option<u32> {
        let path = self.string(0, PATH_BYTES_MAX)?;
        let node = self.state.tree.find(&path);
        Some(node.and_then(|node| self.state.open(node)).unwrap_or(0))
    }

    /// The terminal of the instance in argument 0: `reg`.
    fn terminal(&self) -> Option<u32> {
        let node = *self.state.instances.get(&self.args[0])?;
        let reg = self.state.tree.property(node, "reg")?;
        let reg = u32::from_be_bytes(reg.try_into().ok()?);
        self.interface.board.vtys.iter().any(|vty| vty.reg == reg).then_some(reg)
    }

    /// ihandle, address, length: how many bytes there were.
    fn read(&mut self) -> Option<u32> {
        let reg = self.terminal()?;
        let length = self.args[2].min(CONSOLE_BYTES_MAX);
        self.is_memory(self.args[1], length.into())?;
        let mut bytes = vec![0; length as usize];
        let vty = self.interface.bus.vtys().iter().find(|vty| vty.reg() == reg)?;
        match vty.get(&mut bytes).min(bytes.len()) {
            0 if length > 0 => Some(NO_INPUT),
            count => self.put(self.args[1], &bytes[..count]).map(|()| count as u32),
        }
    }

    /// ihandle, address, length: how many bytes the terminal took.
    fn write(&mut self) -> Option<u32> {
        let reg = self.terminal()?;
        let mut bytes = vec![0; self.args[2].min(CONSOLE_BYTES_MAX) as usize];
        self.context.memory.read(self.args[1].into(), &mut bytes).ok()?;
        let vty = self.interface.bus.vtys().iter().find(|vty| vty.reg() == reg)?;
        let mut count = 0;
        let mut tries = 0;
        for piece in bytes.chunks(CONSOLE_PIECE_BYTES) {
            while !vty.put(piece) {
                tries += 1;
                if tries > CONSOLE_TRIES {
                    return Some(count);
                }
                self.context.vcpu.relax();
                std::thread::sleep(CONSOLE_FULL);
            }
            count += piece.len() as u32;
        }
        Some(count)
    }

    /// address, size, alignment: where. With an alignment the address does not matter.
    fn claim(&mut self) -> Option<u32> {
        let &[address, size, align] = self.args else { return None };
        let place = match align {
            0 => self.state.claims.at(address.into(), size.into()).then_some(u64::from(address)),
            _ => self.state.claims.anywhere(size.into(), align.into()),
        };
        self.state.tell_free_memory();
        place.and_then(|place| u32::try_from(place).ok())
    }

    /// address, size.
    fn release(&mut self) -> Option<u32> {
        let released = self.state.claims.release(self.args[0].into(), self.args[1].into());
        self.state.tell_free_memory();
        released.then_some(0)
    }

    /// method, ihandle, arguments: 0 if there is such a method, then its results.
    fn call_method(&mut self) -> Option<u32> {
        let method = self.string(0, NAME_BYTES_MAX)?;
        let path = self.state.tree.path(*self.state.instances.get(&self.args[1])?)?;
        let argument = self.args.get(2).copied();
        let result = match (path.as_str(), method.as_str()) {
            ("/", "ibm,client-architecture-support") => self.client_architecture_support(argument?).0 as u32,
            ("/rtas", "instantiate-rtas") => self.instantiate_rtas(argument?)?,
            _ => return None,
        };
        if let Some(first) = self.others.first_mut() {
            *first = result;
        }
        Some(0)
    }

    /// Address of the vectors: PAPR's code.
    fn client_architecture_support(&mut self, vectors: u32) -> HcallStatus {
        let (partition, own) = (self.context.partition, self.context.vcpu.index());
        let stopped = |index| index == own || partition.run_state(index) == Some(RunState::Stopped);
        if !(0..partition.vcpu_count()).all(stopped) {
            return HcallStatus::H_MULTI_THREADS_ACTIVE;
        }
        if self.state.quiesced {
            return HcallStatus::H_NOT_AVAILABLE;
        }
        let agreed = match self.interface.board.platform.negotiate(self.context.memory, vectors.into()) {
            Ok(agreed) => agreed,
            Err(refusal) => {
                tracing::warn!("{refusal}");
                return refusal.status();
            }
        };
        if let Err(error) = self.interface.board.check_affinity(&agreed) {
            tracing::warn!("ibm,client-architecture-support: {error}");
            return HcallStatus::H_PARAMETER;
        }
        if !self.interface.interrupts.select(agreed.controller) {
            return HcallStatus::H_PARAMETER;
        }
        if let Some(hypervisor) = self.interface.hypervisor.get().and_then(std::sync::Weak::upgrade) {
            hypervisor.set_level(agreed.level);
            // The other vCPUs are stopped, and get theirs when they start.
            self.context.vcpu.set_pcr(self.interface.board.platform.model.pcr(agreed.level.instructions()));
        }
        match self.interface.render(self.state, &agreed) {
            Ok(()) => HcallStatus::H_SUCCESS,
            Err(error) => {
                tracing::warn!("{error}");
                HcallStatus::H_HARDWARE
            }
        }
    }

    /// Where the guest wants RTAS: the entry.
    fn instantiate_rtas(&mut self, base: u32) -> Option<u32> {
        let hypervisor = self.interface.hypervisor.get()?.upgrade()?;
        if base == 0 || !base.is_multiple_of(4) {
            return None;
        }
        self.is_memory(base, rtas_size_bytes(hypervisor.max_vcpus()))?;
        self.put(base, &RTAS_STUB)?;
        hypervisor.set_rtas_base_ra(base.into());
        Some(base)
    }

    fn end(&mut self, shutdown: Shutdown) -> Option<u32> {
        self.context.partition.request_shutdown(shutdown);
        Some(FAILED)
    }
}
