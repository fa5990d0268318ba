//! Chapter `tm`.
