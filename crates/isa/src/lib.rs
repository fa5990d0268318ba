//! The instruction table of the Power ISA, and all that is generated from it: decoder, encoder, assembler, disassembler.
