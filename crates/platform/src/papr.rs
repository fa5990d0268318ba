//! PAPR's numbers: return codes, opcodes and tokens, under PAPR's names.

/// Return code of a hypercall, as r3 gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HcallStatus(pub i64);

/// Status word of an RTAS call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtasStatus(pub i32);

macro_rules! hcall_statuses {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        impl HcallStatus {
            $($(#[$doc])* pub const $name: HcallStatus = HcallStatus($value);)*

            /// PAPR's name of the code, for logs.
            pub fn name(self) -> Option<&'static str> {
                $(if self == Self::$name { return Some(stringify!($name)); })*
                None
            }
        }
    };
}

hcall_statuses! {
    /// Done.
    H_SUCCESS = 0;
    /// Busy: try again at once.
    H_BUSY = 1;
    /// There is nothing more, or nothing here.
    H_CLOSED = 2;
    /// Not for this partition as it stands.
    H_NOT_AVAILABLE = 3;
    /// H_JOIN: this is the last thread that runs.
    H_CONTINUE = 18;
    /// Failed in hardware; also: a register that this processor does not have.
    H_HARDWARE = -1;
    /// No such hypercall.
    H_FUNCTION = -2;
    /// Not from problem state.
    H_PRIVILEGE = -3;
    /// A parameter is out of range or not valid.
    H_PARAMETER = -4;
    /// Not in this mode.
    H_BAD_MODE = -5;
    /// The group of the hash table, or the entry asked for, is taken.
    H_PTEG_FULL = -6;
    /// There is no such entry.
    H_NOT_FOUND = -7;
    /// H_SET_DABR: a reserved bit.
    H_RESERVED_DABR = -8;
    /// The caller has not the authority.
    H_AUTHORITY = -10;
    /// Not in this state, or a part of the partition is in the way.
    H_RESOURCE = -16;
    /// Second parameter.
    H_P2 = -55;
    /// Third parameter.
    H_P3 = -56;
    /// Fourth parameter.
    H_P4 = -57;
    /// Fifth parameter.
    H_P5 = -58;
    /// Sixth parameter.
    H_P6 = -59;
    /// Nothing was to be done: the watchdog does not run.
    H_NOOP = -63;
    /// Not while other threads run.
    H_MULTI_THREADS_ACTIVE = -9005;
    /// A flag that is not supported; bit 0 of the flags (IBM numbering): -256 minus the bit number of the first bad flag.
    H_UNSUPPORTED_FLAG = -256;
}

impl std::fmt::Display for HcallStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl RtasStatus {
    /// Done.
    pub const SUCCESS: RtasStatus = RtasStatus(0);
    /// Hardware error.
    pub const HARDWARE_ERROR: RtasStatus = RtasStatus(-1);
    /// Busy: try again.
    pub const BUSY: RtasStatus = RtasStatus(-2);
    /// A parameter is not valid; also: not supported.
    pub const PARAMETER_ERROR: RtasStatus = RtasStatus(-3);
    /// Nothing found: `event-scan` and `check-exception` without a new event.
    pub const NO_ERRORS_FOUND: RtasStatus = RtasStatus(1);
    /// No such thing to be set or read (indicator, sensor).
    pub const NO_SUCH_INDICATOR: RtasStatus = RtasStatus(-3);
    /// The function is not authorized.
    pub const NOT_AUTHORIZED: RtasStatus = RtasStatus(-9002);
    /// `ibm,get-system-parameter`: a parameter of the call is not valid.
    pub const SYSPARM_PARAMETER_ERROR: RtasStatus = RtasStatus(-9999);
}

/// Opcodes of hypercalls.
pub mod opcode {
    macro_rules! opcodes {
        ($($name:ident = $value:expr;)*) => { $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: u64 = $value;)* };
    }
    opcodes! {
        H_REMOVE = 0x04;
        H_ENTER = 0x08;
        H_READ = 0x0c;
        H_CLEAR_MOD = 0x10;
        H_CLEAR_REF = 0x14;
        H_PROTECT = 0x18;
        H_GET_TCE = 0x1c;
        H_PUT_TCE = 0x20;
        H_SET_SPRG0 = 0x24;
        H_SET_DABR = 0x28;
        H_PAGE_INIT = 0x2c;
        H_LOGICAL_CI_LOAD = 0x3c;
        H_LOGICAL_CI_STORE = 0x40;
        H_LOGICAL_CACHE_LOAD = 0x44;
        H_LOGICAL_CACHE_STORE = 0x48;
        H_LOGICAL_ICBI = 0x4c;
        H_LOGICAL_DCBF = 0x50;
        H_GET_TERM_CHAR = 0x54;
        H_PUT_TERM_CHAR = 0x58;
        H_EOI = 0x64;
        H_CPPR = 0x68;
        H_IPI = 0x6c;
        H_IPOLL = 0x70;
        H_XIRR = 0x74;
        H_REGISTER_VPA = 0xdc;
        H_CEDE = 0xe0;
        H_CONFER = 0xe4;
        H_PROD = 0xe8;
        H_PIC = 0xf8;
        H_VIO_SIGNAL = 0x104;
        H_BULK_REMOVE = 0x124;
        H_SET_XDABR = 0x134;
        H_STUFF_TCE = 0x138;
        H_PUT_TCE_INDIRECT = 0x13c;
        H_GET_CPU_CHARACTERISTICS = 0x1c8;
        H_JOIN = 0x298;
        H_HOME_NODE_ASSOCIATIVITY = 0x2ec;
        H_XIRR_X = 0x2fc;
        H_RANDOM = 0x300;
        H_SET_MODE = 0x31c;
        H_BLOCK_REMOVE = 0x328;
        H_RESIZE_HPT_PREPARE = 0x36c;
        H_RESIZE_HPT_COMMIT = 0x370;
        H_REGISTER_PROC_TBL = 0x37c;
        H_SIGNAL_SYS_RESET = 0x380;
        H_QUERY_VAS_CAPABILITIES = 0x398;
        H_INT_GET_SOURCE_INFO = 0x3a8;
        H_INT_SET_SOURCE_CONFIG = 0x3ac;
        H_INT_GET_SOURCE_CONFIG = 0x3b0;
        H_INT_GET_QUEUE_INFO = 0x3b4;
        H_INT_SET_QUEUE_CONFIG = 0x3b8;
        H_INT_GET_QUEUE_CONFIG = 0x3bc;
        H_INT_SET_OS_REPORTING_LINE = 0x3c0;
        H_INT_GET_OS_REPORTING_LINE = 0x3c4;
        H_INT_ESB = 0x3c8;
        H_INT_SYNC = 0x3cc;
        H_INT_RESET = 0x3d0;
        H_RPT_INVALIDATE = 0x448;
        H_WATCHDOG = 0x45c;
        H_RTAS = 0xf000;
        H_LOGICAL_MEMOP = 0xf001;
        H_VOF_CLIENT = 0xf005;
        H_GET_PERF_COUNTER_INFO = 0xf080;
    }
}

/// Tokens of RTAS functions: those that QEMU gives them, from 0x2000.
pub mod token {
    macro_rules! tokens {
        ($($name:ident = $value:expr;)*) => { $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: u32 = $value;)* };
    }
    tokens! {
        DISPLAY_CHARACTER = 0x2000;
        GET_TIME_OF_DAY = 0x2001;
        SET_TIME_OF_DAY = 0x2002;
        POWER_OFF = 0x2003;
        SYSTEM_REBOOT = 0x2004;
        QUERY_CPU_STOPPED_STATE = 0x2005;
        START_CPU = 0x2006;
        STOP_SELF = 0x2007;
        IBM_GET_SYSTEM_PARAMETER = 0x2008;
        IBM_SET_SYSTEM_PARAMETER = 0x2009;
        IBM_SET_XIVE = 0x200a;
        IBM_GET_XIVE = 0x200b;
        IBM_INT_OFF = 0x200c;
        IBM_INT_ON = 0x200d;
        CHECK_EXCEPTION = 0x200e;
        EVENT_SCAN = 0x200f;
        QUIESCE = 0x2011;
        NVRAM_FETCH = 0x2012;
        NVRAM_STORE = 0x2013;
        READ_PCI_CONFIG = 0x2014;
        WRITE_PCI_CONFIG = 0x2015;
        IBM_READ_PCI_CONFIG = 0x2016;
        IBM_WRITE_PCI_CONFIG = 0x2017;
        SET_INDICATOR = 0x201a;
        SET_POWER_LEVEL = 0x201b;
        GET_POWER_LEVEL = 0x201c;
        GET_SENSOR_STATE = 0x201d;
        IBM_OS_TERM = 0x201f;
        IBM_SUSPEND_ME = 0x202a;
        IBM_NMI_REGISTER = 0x202b;
        IBM_NMI_INTERLOCK = 0x202c;
    }
}
