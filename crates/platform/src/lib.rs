//! The small traits between PAPR, devices, engines and machine.
