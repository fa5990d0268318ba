//! vty, nvram, rtc and XICS; they enter the hypercall table through platform traits.
