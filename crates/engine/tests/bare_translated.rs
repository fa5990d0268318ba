//! Small bare-metal programs, translated before they run.

mod programs;

/// Whether all code is translated before it runs.
const TRANSLATED: bool = true;
