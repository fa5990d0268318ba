//! The run loop: blocks, counters, tiers, interrupts.
