//! Architected state, register bit fields, CPU models, and interrupt delivery as one pure function.
