//! Guest RAM, its access primitives, the radix walker, the software TLB, and the handshake between vCPUs.
