//! Small bare-metal programs, interpreted.

mod programs;

/// Whether all code is translated before it runs.
const TRANSLATED: bool = false;
