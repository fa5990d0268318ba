//! What each instruction does, once, generic over the Sem trait; one file a chapter of the ISA.
