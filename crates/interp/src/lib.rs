//! Sem on values: pre-decoded blocks, the cold tier and the oracle.
