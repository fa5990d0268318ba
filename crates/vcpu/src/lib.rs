//! What an engine's pinned register points to: state, TLB, mailbox, budget, in one fixed layout; the exits of an engine.
