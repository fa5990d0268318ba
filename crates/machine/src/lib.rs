//! The pseries board: memory map, device tree, vCPU threads, reset, power.
