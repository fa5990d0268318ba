//! Sem on Cranelift values (an empty room with its hook table, until the JIT is built).
