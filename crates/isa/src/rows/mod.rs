//! The rows, a file a chapter. Each file adds its rows and goes on to the next; the last hands them to the callback.

mod atomic;
mod branch;
mod dfp;
mod fixed;
mod fp;
mod mma;
mod prefixed;
mod storage;
mod system;
mod tm;
mod vmx;
mod vsx;
